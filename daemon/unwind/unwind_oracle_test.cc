// Compares unwind tables with libdw, which knows nothing of them.
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <gtest/gtest.h>
#include <libelf.h>

#include <memory>
#include <optional>

#include "daemon/unwind/test_files.h"
#include "daemon/unwind/unwind_table.h"

namespace pprofd {
namespace {

// What libdw says, in the words of an unwind rule.
struct Oracle {
  UnwindRule rule{};
  bool is_expressible = true;
};

int16_t Words(Dwarf_Word offset) {
  return static_cast<int16_t>(static_cast<int64_t>(offset) / 8);
}

bool SetCfa(const Dwarf_Op* ops, size_t count, UnwindRule* rule) {
  if (count == 0) return false;
  uint64_t reg = 0;
  Dwarf_Word offset = 0;
  size_t next = 1;
  if (ops[0].atom == DW_OP_bregx) {
    reg = ops[0].number;
    offset = ops[0].number2;
  } else if (ops[0].atom >= DW_OP_breg0 && ops[0].atom <= DW_OP_breg31) {
    reg = ops[0].atom - DW_OP_breg0;
    offset = ops[0].number;
  } else {
    return false;
  }
  if (count == 9 && reg == 7 && ops[4].atom >= DW_OP_lit0 &&
      ops[5].atom == DW_OP_ge) {
    rule->cfa_kind = PPROFD_CFA_PLT;
    rule->cfa_off8 = static_cast<int16_t>(ops[4].atom - DW_OP_lit0);
    return true;
  }
  bool is_deref = next < count && ops[next].atom == DW_OP_deref;
  if (is_deref) ++next;
  if (next != count || static_cast<int64_t>(offset) % 8 != 0) return false;
  rule->cfa_off8 = Words(offset);
  if (reg == 7) {
    rule->cfa_kind = is_deref ? PPROFD_CFA_RSP_DEREF : PPROFD_CFA_RSP;
  } else if (reg == 6) {
    rule->cfa_kind = is_deref ? PPROFD_CFA_RBP_DEREF : PPROFD_CFA_RBP;
  } else if (is_deref) {
    return false;
  } else {
    rule->cfa_kind = PPROFD_CFA_REG;
    rule->cfa_reg = static_cast<uint8_t>(reg);
  }
  return true;
}

// Offset from the CFA of a saved register, if that is where it is.
std::optional<int64_t> SavedAtCfa(const Dwarf_Op* ops, size_t count) {
  if (count == 0 || ops[0].atom != DW_OP_call_frame_cfa) return std::nullopt;
  if (count == 1) return 0;
  if (count == 2 && ops[1].atom == DW_OP_plus_uconst) {
    return static_cast<int64_t>(ops[1].number);
  }
  return std::nullopt;
}

Oracle AskLibdw(Dwarf_CFI* cfi, Dwarf_Addr address) {
  Oracle oracle;
  Dwarf_Frame* frame = nullptr;
  if (dwarf_cfi_addrframe(cfi, address, &frame) != 0) return oracle;
  std::unique_ptr<Dwarf_Frame, decltype(&free)> owner(frame, &free);
  bool is_signal = false;
  dwarf_frame_info(frame, nullptr, nullptr, &is_signal);
  Dwarf_Op memory[3];
  Dwarf_Op* ops = nullptr;
  size_t count = 0;
  dwarf_frame_register(frame, 16, memory, &ops, &count);
  if (ops == memory && count == 0) {  // undefined
    oracle.rule = kRuleEnd;
    return oracle;
  }
  if (is_signal) {
    oracle.rule = kRuleSignal;
    return oracle;
  }
  UnwindRule rule{};
  bool is_at_cfa = SavedAtCfa(ops, count) == -8;
  bool is_in_rdi = count == 1 && ops != nullptr && ops[0].atom == DW_OP_regx &&
                   ops[0].number == 5;
  rule.ra_kind = is_in_rdi ? PPROFD_RA_RDI : PPROFD_RA_AT_CFA;
  oracle.is_expressible = is_at_cfa || is_in_rdi;
  dwarf_frame_cfa(frame, &ops, &count);
  oracle.is_expressible &= SetCfa(ops, count, &rule);
  dwarf_frame_register(frame, 6, memory, &ops, &count);
  if (ops == nullptr) {
    rule.rbp_kind = PPROFD_RBP_SAME;
  } else if (ops == memory && count == 0) {
    rule.rbp_kind = PPROFD_RBP_UNDEFINED;
  } else if (auto offset = SavedAtCfa(ops, count)) {
    rule.rbp_kind = PPROFD_RBP_AT_CFA;
    rule.rbp_off8 = static_cast<int16_t>(*offset / 8);
  } else if (count == 1 && ops[0].atom == DW_OP_breg6) {
    rule.rbp_kind = PPROFD_RBP_AT_RBP;
    rule.rbp_off8 = Words(ops[0].number);
  } else {
    oracle.is_expressible = false;
  }
  oracle.rule = oracle.is_expressible ? rule : kRuleUnsupported;
  return oracle;
}

struct Comparison {
  size_t compared = 0;
  size_t different = 0;
};

Comparison Compare(const std::string& path, const ElfFile& file,
                   const UnwindTable& table) {
  Comparison result;
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  elf_version(EV_CURRENT);
  Elf* elf = elf_begin(fd.get(), ELF_C_READ_MMAP, nullptr);
  Dwarf_CFI* cfi = dwarf_getcfi_elf(elf);
  for (size_t i = 0; cfi != nullptr && i + 1 < table.rows.size(); ++i) {
    FileOffset offset{table.rows[i].file_offset};
    auto address = file.ToModuleAddr(offset);
    const UnwindRule& rule = table.rules[table.rows[i].rule];
    if (!address || rule.cfa_kind == PPROFD_CFA_NONE) continue;
    Oracle oracle = AskLibdw(cfi, address->value);
    ++result.compared;
    if (RuleBits(oracle.rule) == RuleBits(rule)) continue;
    if (++result.different > 5) continue;
    ADD_FAILURE() << path << " at " << std::hex << address->value << ": ours "
                  << RuleBits(rule) << ", libdw's " << RuleBits(oracle.rule);
  }
  dwarf_cfi_end(cfi);
  elf_end(elf);
  return result;
}

TEST(UnwindTableOracle, AgreesWithLibdwOnSystemFiles) {
  for (const std::string& path : SystemElfFiles()) {
    MemoryMap map = MapTestFile(path);
    if (!map) continue;
    Result<ElfFile> file = ElfFile::Parse(Bytes(map));
    Result<UnwindTable> table = BuildUnwindTable(Bytes(map));
    ASSERT_TRUE(file.ok() && table.ok()) << path;
    Comparison result = Compare(path, *file, *table);
    EXPECT_GT(result.compared, 100u) << path;
    EXPECT_EQ(result.different, 0u) << path << " of " << result.compared;
    RecordProperty(path.substr(path.rfind('/') + 1),
                   static_cast<int>(result.compared));
  }
}

}  // namespace
}  // namespace pprofd
