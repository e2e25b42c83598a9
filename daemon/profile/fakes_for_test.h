// Fakes of the profile sources, and a small world to profile.
#ifndef DAEMON_PROFILE_FAKES_FOR_TEST_H_
#define DAEMON_PROFILE_FAKES_FOR_TEST_H_

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "daemon/profile/profile_sources.h"

namespace pprofd {

class FakeModules : public ModuleProvider {
 public:
  ModuleRef FindModule(ModuleId id) override {
    auto it = modules_.find(id);
    return it == modules_.end() ? nullptr : it->second;
  }
  // One executable segment: file offset 0x1000 for 0x8000 bytes at module
  // address 0x401000.
  void Add(uint32_t number, const std::string& path) {
    auto module = std::make_shared<Module>();
    module->id = static_cast<ModuleId>(number);
    module->path = path;
    module->build_id = BuildId(std::string(2, static_cast<char>(number)));
    module->segments = {{.offset = {0x1000},
                         .address = {0x401000},
                         .file_size = 0x8000,
                         .is_executable = true}};
    modules_[module->id] = module;
  }

 private:
  std::map<ModuleId, ModuleRef> modules_;
};

class FakeProcesses : public ProcessSource {
 public:
  std::optional<ProcessInfo> FindProcess(const ProcessKey& key) override {
    auto it = processes_.find(key);
    if (it == processes_.end()) return std::nullopt;
    return it->second;
  }
  // A process whose executable is `module`, mapped at 0x555500001000, and that
  // has `library` at 0x7f0000001000.
  ProcessInfo& Add(const ProcessKey& key, const std::string& comm,
                   uint32_t module, const std::string& exe, uint32_t library) {
    ProcessInfo& info = processes_[key];
    info.key = key;
    info.comm = comm;
    info.exe = exe;
    info.exe_module = static_cast<ModuleId>(module);
    info.exe_mapping = {
        {0x555500001000}, {0x555500009000}, {0x1000}, info.exe_module};
    info.mappings = {info.exe_mapping,
                     {{0x7f0000001000},
                      {0x7f0000009000},
                      {0x1000},
                      static_cast<ModuleId>(library)}};
    return info;
  }

 private:
  std::map<ProcessKey, ProcessInfo> processes_;
};

// Names 256 bytes of code each: "m2::f401200" at 0x401200 to 0x4012ff. At
// 0x402000 and up every function has an inlined callee.
class FakeSymbols : public SymbolSource {
 public:
  ModuleSymbols SymbolizeModule(const Module& module,
                                std::span<const ModuleAddr> addresses,
                                DemangleStyle, Deadline) override {
    auto number = static_cast<uint32_t>(module.id);
    module_calls.emplace_back(
        module.id, std::vector<ModuleAddr>(addresses.begin(), addresses.end()));
    ModuleSymbols symbols;
    symbols.has_filenames = true;
    symbols.has_line_numbers = true;
    symbols.has_inline_frames = true;
    for (ModuleAddr address : addresses) {
      SymbolChain chain;
      if (address.value >= 0x402000) {
        chain.push_back(Line(fmt::format("m{}::inlined", number), 7));
      }
      chain.push_back(
          Line(fmt::format("m{}::f{:x}", number, address.value & ~0xffULL),
               static_cast<int64_t>(address.value & 0xff)));
      symbols.AddChain(chain);
    }
    return symbols;
  }
  ModuleSymbols SymbolizeKernel(std::span<const uint64_t> addresses) override {
    ModuleSymbols symbols;
    for (uint64_t address : addresses) {
      std::string name = fmt::format("k{:x}", address & 0xff00);
      symbols.AddChain({{.name = name, .system_name = name, .file = {}}});
    }
    return symbols;
  }
  ModuleSymbols SymbolizeJit(const ProcessKey& process,
                             std::span<const uint64_t> addresses, DemangleStyle,
                             Deadline) override {
    ModuleSymbols symbols;
    if (process.pid != jit_pid) return symbols;
    for (uint64_t address : addresses) {
      std::string name = fmt::format("js:{:x}", address);
      symbols.AddChain({{.name = name, .system_name = name, .file = {}}});
    }
    return symbols;
  }

  std::vector<std::pair<ModuleId, std::vector<ModuleAddr>>> module_calls;
  int32_t jit_pid = 0;  // the process with a perf map

 private:
  static SymbolLine Line(const std::string& name, int64_t line) {
    return {.name = name,
            .system_name = "_Z" + name,
            .file = "/src/" + name.substr(0, name.find(':')) + ".cc",
            .line = line,
            .start_line = 3};
  }
};

}  // namespace pprofd

#endif  // DAEMON_PROFILE_FAKES_FOR_TEST_H_
