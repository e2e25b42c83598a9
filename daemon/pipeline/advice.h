// Advice: what would give a module, JIT code or the kernel its names and rows.
//
// From facts to words and commands; what is put into a command is quoted.
// Thread: pure functions.
#ifndef DAEMON_PIPELINE_ADVICE_H_
#define DAEMON_PIPELINE_ADVICE_H_

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/model/process_explanation.h"
#include "daemon/process/target_system.h"

namespace pprofd {

// What is known of the process around a module.
struct AdviceContext {
  int32_t pid = 0;
  TargetSystem::Family family = TargetSystem::Family::kOther;
  std::set<std::string> debug_packages{};  // installed
  std::string system{};                    // its name, for people
  bool asks_debuginfod = false;
};

// Fills `missing` and `advice` from the other facts.
void AdviseModule(const AdviceContext& context, ModuleFacts* module);

// For code without a file, a perf map or a jitdump; `exe` names the runtime.
std::vector<Advice> AdviseJit(int32_t pid, std::string_view exe,
                              const JitFacts& jit);

std::vector<Advice> AdviseKernel(const KernelFacts& kernel);

// In single quotes, for a shell.
std::string ShellQuoted(std::string_view text);

}  // namespace pprofd

#endif  // DAEMON_PIPELINE_ADVICE_H_
