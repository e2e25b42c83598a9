// Fuzz target: the unwind information of ELF files, which any process brings.
//
// Whatever the file, the table's rows ascend, name rules that exist and end in
// "nothing known"; the userspace unwinder survives the file's expressions, and
// loops of theirs end.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "daemon/unwind/cfi_interpreter.h"
#include "daemon/unwind/cfi_sections.h"
#include "daemon/unwind/dwarf_expression.h"
#include "daemon/unwind/eh_frame.h"
#include "daemon/unwind/table_encoder.h"
#include "daemon/unwind/unwind_table.h"

namespace pprofd {
namespace {

void CheckTable(const UnwindTable& table) {
  if (table.rows.empty()) return;
  for (size_t i = 0; i < table.rows.size(); ++i) {
    if (table.rows[i].rule >= table.rules.size()) abort();
    if (i > 0 && table.rows[i - 1].file_offset >= table.rows[i].file_offset) {
      abort();
    }
  }
  if (table.rows.back().rule != 0) abort();
  std::vector<uint16_t> numbers(table.rules.size(), 1);
  numbers[0] = 0;
  TableEncoder encoder(table, numbers);
  if (encoder.page_count() > PPROFD_MAX_DIRECTORY_PAGES) abort();
  for (uint32_t page = 0; page < encoder.page_count(); ++page) {
    std::span<const uint8_t> piece = encoder.EncodePage();
    if (piece.size() % 8 != 0 || piece.size() > TableEncoder::kMaxPieceBytes) {
      abort();
    }
  }
}

// Evaluates every expression that a function's rows name.
void EvaluateAll(const EhFrame& eh_frame) {
  ExpressionContext context;
  context.read_register = [](uint64_t reg) { return std::optional(reg * 8); };
  context.read_memory = [](uint64_t address, unsigned) {
    return std::optional(address / 3);
  };
  CfiInterpreter interpreter(eh_frame.section());
  for (const Fde& fde : eh_frame.fdes()) {
    size_t budget = 64;
    interpreter.RunFde(
        eh_frame.cie(fde), fde, [&](uint64_t, const CfiRow& row) {
          if (row.cfa.kind != CfiRuleKind::kExpression || budget == 0) return;
          --budget;
          EvaluateExpression(ExpressionBytes(eh_frame.section(), row.cfa.value),
                             std::nullopt, context);
        });
  }
}

}  // namespace
}  // namespace pprofd

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pprofd;
  std::span<const uint8_t> bytes(data, size);
  Result<UnwindTable> table = BuildUnwindTable(bytes);
  if (table.ok()) CheckTable(*table);
  Result<ElfFile> file = ElfFile::Parse(bytes);
  if (!file.ok()) return 0;
  std::optional<CfiSection> section = FindEhFrame(*file);
  if (!section) return 0;
  Result<EhFrame> eh_frame = EhFrame::Parse(*section);
  if (eh_frame.ok()) EvaluateAll(*eh_frame);
  return 0;
}
