#include "symbolizer/kernel_symbols.h"

namespace pprofd {

ModuleSymbols KernelSymbols::Symbolize(std::span<const uint64_t> addresses) {
  std::lock_guard lock(mutex_);
  Status status = kallsyms_.Refresh();
  if (!status.ok()) problem_ = status.message();
  ModuleSymbols result;
  for (uint64_t address : addresses) {
    SymbolChain chain;
    if (auto name = kallsyms_.Find(address)) {
      chain.push_back({.name = std::string(*name),
                       .system_name = std::string(*name),
                       .file = ""});
    }
    result.AddChain(chain);
  }
  return result;
}

SourceReport KernelSymbols::Report() {
  std::lock_guard lock(mutex_);
  Status status = kallsyms_.Refresh();
  if (!status.ok()) problem_ = status.message();
  SourceReport report;
  report.attempts.push_back(
      "/proc/kallsyms: " + std::to_string(kallsyms_.symbol_count()) +
      " functions");
  if (!problem_.empty()) report.attempts.push_back(problem_);
  report.has_symtab = problem_.empty() && kallsyms_.symbol_count() > 0;
  return report;
}

size_t KernelSymbols::bytes() const {
  std::lock_guard lock(mutex_);
  return kallsyms_.bytes();
}

}  // namespace pprofd
