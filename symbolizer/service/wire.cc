#include "symbolizer/service/wire.h"

#include <algorithm>
#include <cstring>

#include "symbolizer/allocator_functions.h"
#include "symbolizer/probe_point.h"

namespace pprofd {
namespace {

constexpr size_t kMaxSegments = 4096;
constexpr size_t kMaxBuildIdBytes = 64;
constexpr size_t kMaxMessageBytes = 1024;
constexpr size_t kMaxAttempts = 256;
constexpr size_t kMaxAllocatorNameBytes = 255;
constexpr uint32_t kDwarfRegisters = 16;

Status Senseless(const char* what) {
  return Status(StatusCode::kCorrupt,
                std::string("the symbolizer's answer makes no sense: ") + what);
}

std::string Cut(const std::string& text) {
  return text.substr(0, kMaxMessageBytes);
}

BuildId ToBuildId(const std::string& bytes) {
  return bytes.size() > kMaxBuildIdBytes ? BuildId() : BuildId(bytes);
}

void ToWire(const UnwindTableStats& stats, wire::TableStats* out) {
  out->set_eh_frame_fdes(stats.eh_frame_fdes);
  out->set_debug_frame_fdes(stats.debug_frame_fdes);
  out->set_skipped_records(stats.skipped_records);
  out->set_go_functions(stats.go_functions);
  out->set_signal_trampolines(stats.signal_trampolines);
  out->set_covered_bytes(stats.covered_bytes);
  out->set_code_bytes(stats.code_bytes);
  for (size_t rows : stats.rows_by_kind) out->add_rows_by_kind(rows);
}

UnwindTableStats FromWire(const wire::TableStats& in) {
  UnwindTableStats stats;
  stats.eh_frame_fdes = in.eh_frame_fdes();
  stats.debug_frame_fdes = in.debug_frame_fdes();
  stats.skipped_records = in.skipped_records();
  stats.go_functions = in.go_functions();
  stats.signal_trampolines = in.signal_trampolines();
  stats.covered_bytes = in.covered_bytes();
  stats.code_bytes = in.code_bytes();
  size_t kinds = std::min<size_t>(stats.rows_by_kind.size(),
                                  static_cast<size_t>(in.rows_by_kind_size()));
  std::copy_n(in.rows_by_kind().begin(), kinds, stats.rows_by_kind.begin());
  return stats;
}

// True if a uprobe there is one on that function.
bool IsProbeOf(const wire::Allocator::Function& in) {
  return in.probe() >= in.entry() &&
         in.probe() - in.entry() < ProbePoint::kMaxBytes;
}

Result<AllocatorFunction> FromWire(const wire::Allocator::Function& in) {
  AllocatorFunction function{.name = in.name(),
                             .kind = in.kind(),
                             .entry = {in.entry()},
                             .probe = {in.probe()},
                             .is_emulated = in.is_emulated()};
  if (in.name().empty() || in.name().size() > kMaxAllocatorNameBytes) {
    return Senseless("the name of an allocator's function");
  }
  if (in.kind() < PPROFD_HEAP_MALLOC || in.kind() > PPROFD_HEAP_LAST_KIND) {
    return Senseless("the kind of an allocator's function");
  }
  if (!IsProbeOf(in)) return Senseless("the place of a probe");
  if (static_cast<size_t>(in.registers_size()) != function.registers.size()) {
    return Senseless("the number of registers");
  }
  for (size_t i = 0; i < function.registers.size(); ++i) {
    uint32_t number = in.registers(static_cast<int>(i));
    if (number >= kDwarfRegisters) return Senseless("a register");
    function.registers[i] = static_cast<uint8_t>(number);
  }
  return function;
}

}  // namespace

void ToWire(const Status& status, wire::Failure* out) {
  out->set_code(static_cast<uint32_t>(status.code()));
  out->set_message(Cut(status.message()));
}

Status FromWire(const wire::Failure& in) {
  // Codes from outside: only those that a file can be the reason of.
  auto code = static_cast<StatusCode>(in.code());
  bool is_known = code == StatusCode::kUnsupported ||
                  code == StatusCode::kExhausted ||
                  code == StatusCode::kNotFound || code == StatusCode::kIo;
  return Status(is_known ? code : StatusCode::kCorrupt, Cut(in.message()));
}

void ToWire(const ElfDescription& description, wire::Description* out) {
  out->set_build_id(description.build_id.bytes());
  out->set_table_identity(description.table_identity.bytes());
  for (const LoadSegment& segment : description.segments) {
    auto* added = out->add_segments();
    added->set_offset(segment.offset.value);
    added->set_address(segment.address.value);
    added->set_file_size(segment.file_size);
    added->set_is_executable(segment.is_executable);
  }
}

ElfDescription FromWire(const wire::Description& in) {
  ElfDescription description;
  description.build_id = ToBuildId(in.build_id());
  description.table_identity = ToBuildId(in.table_identity());
  for (const auto& segment : in.segments()) {
    if (description.segments.size() == kMaxSegments) break;
    description.segments.push_back({.offset = {segment.offset()},
                                    .address = {segment.address()},
                                    .file_size = segment.file_size(),
                                    .is_executable = segment.is_executable()});
  }
  return description;
}

void ToWire(const UnwindTable& table, wire::Table* out) {
  out->set_rows(table.rows.data(), table.rows.size() * sizeof(UnwindRow));
  for (const UnwindRule& rule : table.rules) out->add_rules(RuleBits(rule));
  out->set_entry_gap_start(table.entry_gap_start);
  out->set_entry_gap_limit(table.entry_gap_limit);
  ToWire(table.stats, out->mutable_stats());
}

Result<UnwindTable> FromWire(const wire::Table& in) {
  UnwindTable table;
  const std::string& rows = in.rows();
  if (rows.size() % sizeof(UnwindRow) != 0 ||
      rows.size() / sizeof(UnwindRow) > kMaxUnwindRows ||
      in.rules_size() > PPROFD_MAX_RULES) {
    return Senseless("sizes of an unwind table");
  }
  table.rows.resize(rows.size() / sizeof(UnwindRow));
  std::memcpy(table.rows.data(), rows.data(), rows.size());
  for (uint64_t bits : in.rules()) {
    table.rules.push_back(std::bit_cast<UnwindRule>(bits));
  }
  bool is_first_none =
      !table.rules.empty() && RuleBits(table.rules[0]) == RuleBits(kRuleNone);
  if (!is_first_none || (!table.rows.empty() && table.rows.back().rule != 0)) {
    return Senseless("rules of an unwind table");
  }
  for (size_t i = 0; i < table.rows.size(); ++i) {
    bool is_ascending =
        i == 0 || table.rows[i - 1].file_offset < table.rows[i].file_offset;
    if (!is_ascending || table.rows[i].rule >= table.rules.size()) {
      return Senseless("rows of an unwind table");
    }
  }
  table.entry_gap_start = in.entry_gap_start();
  table.entry_gap_limit = in.entry_gap_limit();
  if (table.entry_gap_limit < table.entry_gap_start) {
    return Senseless("entry of an unwind table");
  }
  table.stats = FromWire(in.stats());
  return table;
}

void ToWire(const Mapping& mapping, wire::CodeMapping* out) {
  out->set_start(mapping.start.value);
  out->set_limit(mapping.limit.value);
  out->set_offset(mapping.offset.value);
  out->set_module(static_cast<uint32_t>(mapping.module));
}

Mapping FromWire(const wire::CodeMapping& in) {
  return {.start = {in.start()},
          .limit = {in.limit()},
          .offset = {in.offset()},
          .module = static_cast<ModuleId>(in.module())};
}

void ToWire(const RawStack& raw, wire::Unwind* out) {
  for (uint64_t value : raw.registers) out->add_registers(value);
  out->set_stack(raw.bytes.data(), raw.bytes.size());
}

RawStack FromWire(const wire::Unwind& in) {
  RawStack raw;
  size_t count = std::min<size_t>(raw.registers.size(),
                                  static_cast<size_t>(in.registers_size()));
  std::copy_n(in.registers().begin(), count, raw.registers.begin());
  raw.bytes.assign(in.stack().begin(), in.stack().end());
  return raw;
}

void ToWire(const UnwoundStack& stack, wire::UnwoundStack* out) {
  for (const Frame& frame : stack.frames) out->add_frames(frame.bits());
  out->set_result(static_cast<uint32_t>(stack.result));
  out->set_reason(stack.reason);
  out->set_reason_module(static_cast<uint32_t>(stack.reason_module));
}

Result<UnwoundStack> FromWire(const wire::UnwoundStack& in) {
  UnwoundStack stack;
  if (in.frames_size() > PPROFD_MAX_USER_FRAMES) {
    return Senseless("more frames than a stack may have");
  }
  for (uint64_t bits : in.frames()) stack.frames.emplace_back(bits);
  stack.result = static_cast<UnwindResult>(in.result());
  bool is_whole = stack.result == UnwindResult::kComplete ||
                  stack.result == UnwindResult::kMixed;
  if (!is_whole && stack.result != UnwindResult::kTruncated) {
    return Senseless("the result of unwinding");
  }
  if (in.reason() >= PPROFD_MAX_REASONS) return Senseless("a reason");
  stack.reason = in.reason();
  stack.reason_module = static_cast<ModuleId>(in.reason_module());
  return stack;
}

void ToWire(const ModuleSymbols& symbols, wire::Names* out) {
  for (const SymbolFunction& function : symbols.functions) {
    auto* added = out->add_functions();
    added->set_name(function.name.data(), function.name.size());
    if (function.system_name != function.name) {
      added->set_system_name(function.system_name.data(),
                             function.system_name.size());
    }
    added->set_file(function.file.data(), function.file.size());
    added->set_start_line(function.start_line);
  }
  auto calls = static_cast<int>(symbols.calls.size());
  out->mutable_call_functions()->Reserve(calls);
  out->mutable_call_lines()->Reserve(calls);
  out->mutable_call_columns()->Reserve(calls);
  for (const ModuleSymbols::Call& call : symbols.calls) {
    out->add_call_functions(call.function);
    out->add_call_lines(call.line);
    out->add_call_columns(call.column);
  }
  out->mutable_chain_lengths()->Reserve(static_cast<int>(symbols.size()));
  uint32_t start = 0;
  for (uint32_t end : symbols.chain_ends) {
    out->add_chain_lengths(end - start);
    start = end;
  }
  out->set_has_filenames(symbols.has_filenames);
  out->set_has_line_numbers(symbols.has_line_numbers);
  out->set_has_inline_frames(symbols.has_inline_frames);
}

Result<ModuleSymbols> FromWire(wire::Names message, size_t wanted) {
  auto kept = std::make_shared<const wire::Names>(std::move(message));
  const wire::Names& in = *kept;
  ModuleSymbols symbols;
  symbols.source = kept;
  int calls = in.call_functions_size();
  if (in.call_lines_size() != calls || in.call_columns_size() != calls ||
      static_cast<size_t>(in.chain_lengths_size()) != wanted) {
    return Senseless("sizes of names");
  }
  symbols.functions.reserve(static_cast<size_t>(in.functions_size()));
  for (const auto& function : in.functions()) {
    symbols.functions.push_back({.name = function.name(),
                                 .system_name = function.system_name().empty()
                                                    ? function.name()
                                                    : function.system_name(),
                                 .file = function.file(),
                                 .start_line = function.start_line()});
  }
  symbols.calls.reserve(static_cast<size_t>(calls));
  for (int i = 0; i < calls; ++i) {
    if (in.call_functions(i) >= symbols.functions.size()) {
      return Senseless("a function's number");
    }
    symbols.calls.push_back({.function = in.call_functions(i),
                             .line = in.call_lines(i),
                             .column = in.call_columns(i)});
  }
  uint64_t end = 0;
  symbols.chain_ends.reserve(wanted);
  for (uint32_t length : in.chain_lengths()) {
    end += length;
    if (end > symbols.calls.size()) return Senseless("a chain's length");
    symbols.chain_ends.push_back(static_cast<uint32_t>(end));
  }
  symbols.has_filenames = in.has_filenames();
  symbols.has_line_numbers = in.has_line_numbers();
  symbols.has_inline_frames = in.has_inline_frames();
  return symbols;
}

void ToWire(const SourceReport& report, wire::Sources* out) {
  for (const std::string& attempt : report.attempts) {
    out->add_attempts(Cut(attempt));
  }
  out->set_has_dwarf(report.has_dwarf);
  out->set_has_symtab(report.has_symtab);
  out->set_has_dynsym(report.has_dynsym);
  out->set_has_go_table(report.has_go_table);
}

void ToWire(const Examination& examination, wire::Sources* out) {
  ToWire(examination.symbols, out);
  ToWire(examination.table, out->mutable_table());
  out->set_table_problem(Cut(examination.table_problem));
}

Examination FromWire(const wire::Sources& in) {
  Examination examination;
  for (const std::string& attempt : in.attempts()) {
    if (examination.symbols.attempts.size() == kMaxAttempts) break;
    examination.symbols.attempts.push_back(Cut(attempt));
  }
  examination.symbols.has_dwarf = in.has_dwarf();
  examination.symbols.has_symtab = in.has_symtab();
  examination.symbols.has_dynsym = in.has_dynsym();
  examination.symbols.has_go_table = in.has_go_table();
  examination.table = FromWire(in.table());
  examination.table_problem = Cut(in.table_problem());
  return examination;
}

void ToWire(const AllocatorReport& report, wire::Allocator* out) {
  out->set_family(report.family);
  for (const AllocatorFunction& function : report.functions) {
    auto* added = out->add_functions();
    added->set_name(function.name);
    added->set_kind(function.kind);
    added->set_entry(function.entry.value);
    added->set_probe(function.probe.value);
    added->set_is_emulated(function.is_emulated);
    for (uint8_t number : function.registers) added->add_registers(number);
  }
  for (const AllocatorSlot& slot : report.slots) {
    auto* added = out->add_slots();
    added->set_name(slot.name);
    added->set_address(slot.address.value);
  }
  out->set_is_static(report.is_static);
  out->set_has_symbols(report.has_symbols);
}

Result<AllocatorReport> FromWire(const wire::Allocator& in) {
  if (static_cast<size_t>(in.functions_size()) > kMaxAllocatorFunctions ||
      static_cast<size_t>(in.slots_size()) > kMaxAllocatorSlots) {
    return Senseless("sizes of an allocator");
  }
  if (in.family().size() > kMaxAllocatorNameBytes ||
      in.family().empty() != (in.functions_size() == 0)) {
    return Senseless("the family of an allocator");
  }
  AllocatorReport report;
  report.family = in.family();
  report.is_static = in.is_static();
  report.has_symbols = in.has_symbols();
  for (const auto& added : in.functions()) {
    ASSIGN_OR_RETURN(AllocatorFunction function, FromWire(added));
    report.functions.push_back(std::move(function));
  }
  for (const auto& slot : in.slots()) {
    if (slot.name().empty() || slot.name().size() > kMaxAllocatorNameBytes) {
      return Senseless("the name of a slot");
    }
    report.slots.push_back({slot.name(), {slot.address()}});
  }
  return report;
}

}  // namespace pprofd
