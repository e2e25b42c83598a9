#include "daemon/unwind/cfi_index.h"

#include <utility>

#include "daemon/unwind/cfi_interpreter.h"
#include "daemon/unwind/cfi_sections.h"
#include "daemon/unwind/go_functions.h"

namespace pprofd {
namespace {

// The row that holds at a module address of the function.
CodeInfo InterpretAt(const EhFrame& eh_frame, const Fde& fde,
                     uint64_t address) {
  CodeInfo info;
  info.kind = CodeKind::kNotUnderstood;
  info.section = &eh_frame.section();
  const Cie& cie = eh_frame.cie(fde);
  info.is_signal_frame = cie.is_signal_frame;
  CfiInterpreter interpreter(eh_frame.section());
  bool is_complete =
      interpreter.RunFde(cie, fde, [&](uint64_t start, const CfiRow& row) {
        if (start > address) return;
        info.row = row;
        info.kind = CodeKind::kRow;
      });
  if (!is_complete && address >= interpreter.failed_at()) {
    info.kind = CodeKind::kNotUnderstood;
  }
  return info;
}

// A rule of a table as a row; expressions do not occur in such rules.
CodeInfo FromRule(const UnwindRule& rule) {
  CodeInfo info;
  info.kind = CodeKind::kRow;
  CfiRow& row = info.row;
  row.cfa.kind = CfiRuleKind::kRegister;
  row.cfa.value = rule.cfa_off8 * 8;
  row.registers[kRegisterRip] = {.kind = CfiRuleKind::kAtCfa, .value = -8};
  switch (rule.cfa_kind) {
    case PPROFD_CFA_NONE:
      info.kind = CodeKind::kNoInformation;
      break;
    case PPROFD_CFA_SIGNAL:
      info.kind = CodeKind::kKernelSignal;
      break;
    case PPROFD_CFA_END:
      info.kind = CodeKind::kRoot;
      break;
    case PPROFD_CFA_RSP:
      row.cfa.reg = kRegisterRsp;
      break;
    case PPROFD_CFA_RBP:
      row.cfa.reg = kRegisterRbp;
      break;
    default:
      info.kind = CodeKind::kNotUnderstood;
  }
  if (rule.rbp_kind == PPROFD_RBP_AT_CFA) {
    row.registers[kRegisterRbp] = {.kind = CfiRuleKind::kAtCfa,
                                   .value = rule.rbp_off8 * 8};
  } else if (rule.rbp_kind != PPROFD_RBP_SAME) {
    row.registers[kRegisterRbp] = {.kind = CfiRuleKind::kUndefined};
  }
  return info;
}

}  // namespace

Result<std::unique_ptr<CfiIndex>> CfiIndex::Make(MemoryMap file) {
  ASSIGN_OR_RETURN(ElfFile elf, ElfFile::Parse(Bytes(file)));
  std::unique_ptr<CfiIndex> index(
      new CfiIndex(std::move(file), std::move(elf)));
  index->AddSection(FindEhFrame(index->elf_));
  // Go's .debug_frame does not tell where stacks end; its own table does.
  if (!GoFunctions::Find(index->elf_)) {
    index->AddSection(FindDebugFrame(index->elf_, index->debug_storage_));
  }
  return index;
}

void CfiIndex::AddSection(const std::optional<CfiSection>& section) {
  if (!section) return;
  Result<EhFrame> parsed = EhFrame::Parse(*section);
  if (parsed.ok()) sections_.push_back(std::move(parsed).value());
}

CodeInfo CfiIndex::Find(FileOffset offset) {
  std::optional<ModuleAddr> address = elf_.ToModuleAddr(offset);
  for (const EhFrame& section : sections_) {
    if (!address) break;
    const Fde* fde = section.Find(address->value);
    if (fde != nullptr) return InterpretAt(section, *fde, address->value);
  }
  return FindInTable(offset);
}

size_t CfiIndex::bytes() const {
  size_t bytes = debug_storage_.size();
  for (const EhFrame& section : sections_) {
    bytes += section.fdes().size() * sizeof(Fde);
  }
  if (table_) bytes += table_->rows.size() * sizeof(UnwindRow);
  return bytes;
}

CodeInfo CfiIndex::FindInTable(FileOffset offset) {
  if (!table_) {
    Result<UnwindTable> built = BuildUnwindTable(Bytes(file_));
    table_ = built.ok() ? std::move(built).value() : UnwindTable();
  }
  const UnwindRule& rule = table_->RuleAt(offset);
  CodeInfo info = FromRule(rule);
  bool is_in_gap = offset.value >= table_->entry_gap_start &&
                   offset.value < table_->entry_gap_limit;
  if (info.kind == CodeKind::kNoInformation && is_in_gap) {
    info.kind = CodeKind::kRoot;
  }
  return info;
}

}  // namespace pprofd
