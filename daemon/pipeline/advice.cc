#include "daemon/pipeline/advice.h"

#include <fmt/format.h>

#include <algorithm>

namespace pprofd {
namespace {

// What keeps its build's own word for where debug files are.
Advice KeepDebugInformation(const ModuleFacts& module) {
  if (module.build_id.size() <= 2) {
    return {
        "keep the file's debug information (build with -g, do not strip); "
        "it has no build ID, so that a separate debug file is only found by "
        "its .gnu_debuglink: link with -Wl,--build-id",
        ""};
  }
  return {fmt::format("keep the file's debug information (build with -g, do "
                      "not strip) or put its separate debug file at "
                      "/usr/lib/debug/.build-id/{}/{}.debug",
                      module.build_id.substr(0, 2), module.build_id.substr(2)),
          ""};
}

// "python3.11" of its own package and of libpython3.11-minimal and the like;
// else "".
std::string_view PythonOf(std::string_view package) {
  size_t start = package.starts_with("lib") ? 3 : 0;
  std::string_view name = package.substr(start);
  constexpr std::string_view kPython = "python3.";
  if (!name.starts_with(kPython)) return "";
  size_t end = name.find_first_not_of("0123456789", kPython.size());
  std::string_view rest = name.substr(std::min(end, name.size()));
  bool is_interpreter = rest.empty() || rest == "-minimal" || rest == "-stdlib";
  return is_interpreter ? name.substr(0, name.size() - rest.size()) : "";
}

// The C library and Python do not follow the rule NAME-dbgsym.
std::string DebugPackageOf(const std::string& package) {
  if (package == "libc6") return "libc6-dbg";
  std::string_view python = PythonOf(package);
  return python.empty() ? package + "-dbgsym" : std::string(python) + "-dbg";
}

void AdviseDebian(const AdviceContext& context, ModuleFacts* module) {
  if (module->package.empty()) {
    module->advice.push_back(KeepDebugInformation(*module));
    module->advice.push_back(
        {"if the file is from a package: list the packages with debug symbols "
         "of this process (from debian-goodies)",
         fmt::format("find-dbgsym-packages {}", context.pid)});
    return;
  }
  const std::string& package = module->package;
  for (const std::string& candidate :
       {DebugPackageOf(package), package + "-dbgsym", package + "-dbg"}) {
    if (!context.debug_packages.contains(candidate)) continue;
    module->advice.push_back(
        {fmt::format("{0} is installed and has no file for this build ID: "
                     "{0} and {1} must be of the same version, and the "
                     "process started after the last upgrade",
                     candidate, package),
         fmt::format("apt-get install {} {}", package, candidate)});
    return;
  }
  std::string wanted = DebugPackageOf(package);
  module->advice.push_back(
      {wanted == package + "-dbgsym"
           ? fmt::format("install the debug symbols of {0}: by the rule of "
                         "Debian's archive for debug symbols (which must be "
                         "among apt's sources) the package {0}-dbgsym; older "
                         "packages have {0}-dbg",
                         package)
           : fmt::format("install the debug symbols of {}; both must be of "
                         "the same version",
                         package),
       fmt::format("apt-get install {}", wanted)});
  if (wanted.ends_with("-dbgsym")) {
    module->advice.push_back(
        {"or ask for the package by build ID (from debian-goodies)",
         fmt::format("find-dbgsym-packages {}", context.pid)});
  }
}

// Of the distributions whose server anyone may ask.
std::string_view PublicServer(const AdviceContext& context) {
  switch (context.family) {
    case TargetSystem::Family::kDebian:
      return context.system.find("Ubuntu") != std::string::npos
                 ? "https://debuginfod.ubuntu.com"
                 : "https://debuginfod.debian.net";
    case TargetSystem::Family::kFedora:
      return "https://debuginfod.fedoraproject.org";
    case TargetSystem::Family::kSuse:
      return "https://debuginfod.opensuse.org";
    case TargetSystem::Family::kOther:
      return "";
  }
  return "";
}

// Where it can be told, only for files of packages: servers have no others.
void AdviseDebuginfod(const AdviceContext& context, ModuleFacts* module) {
  std::string_view server = PublicServer(context);
  bool is_foreign = context.family == TargetSystem::Family::kDebian &&
                    module->package.empty();
  if (context.asks_debuginfod || server.empty() || is_foreign ||
      module->build_id.empty()) {
    return;
  }
  module->advice.push_back(
      {fmt::format("or let pprofd fetch it by build ID, which tells the server "
                   "what runs here: set debuginfod.urls to [{}]",
                   server),
       ""});
}

void AdviseNames(const AdviceContext& context, ModuleFacts* module) {
  if (module->is_deleted) {
    module->advice.push_back(
        {"the file was deleted or replaced after the process started it: "
         "debug information of the new file does not fit; restart the process "
         "first",
         ""});
  }
  switch (context.family) {
    case TargetSystem::Family::kDebian:
      AdviseDebian(context, module);
      AdviseDebuginfod(context, module);
      return;
    case TargetSystem::Family::kFedora:
      module->advice.push_back(
          {"if the file is from a package: install its debug information",
           fmt::format("dnf debuginfo-install \"$(rpm -qf {})\"",
                       ShellQuoted(module->path))});
      break;
    case TargetSystem::Family::kSuse:
      if (module->build_id.empty()) break;
      module->advice.push_back(
          {"if the file is from a package: install its debug information",
           fmt::format("zypper install -C 'debuginfo(build-id)={}'",
                       module->build_id)});
      break;
    case TargetSystem::Family::kOther:
      break;
  }
  AdviseDebuginfod(context, module);
  module->advice.push_back(KeepDebugInformation(*module));
}

void AdviseRows(ModuleFacts* module) {
  module->advice.push_back(
      {"stacks that pass through this file end there: build it with "
       "-fasynchronous-unwind-tables "
       "(or -g, for .debug_frame) and do not strip .eh_frame or .debug_frame",
       ""});
}

// Files whose rows cover less than this part of their code count as without.
constexpr uint64_t kMinCoveredPart = 10;

std::string_view BaseName(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

}  // namespace

std::string ShellQuoted(std::string_view text) {
  std::string quoted = "'";
  for (char c : text) {
    if (c == '\'') {
      quoted += "'\\''";
    } else {
      quoted += c;
    }
  }
  return quoted + "'";
}

void AdviseModule(const AdviceContext& context, ModuleFacts* module) {
  const UnwindFacts& unwind = module->unwind;
  const SymbolFacts& symbols = module->symbols;
  // What is no file (the vDSO) is the kernel's, and nobody can mend it.
  if (symbols.is_known && module->path.starts_with('/')) {
    if (!symbols.has_dwarf) module->missing.emplace_back("DWARF");
    if (!symbols.has_symtab && !symbols.has_go_table) {
      module->missing.emplace_back("symbol table");
    }
    if (!symbols.has_dwarf) AdviseNames(context, module);
  }
  // Start code has rows even where the program has none.
  bool has_few_rows =
      unwind.rows == 0 || module->cut_samples > 0 ||
      unwind.covered_bytes < unwind.code_bytes / kMinCoveredPart;
  bool has_no_rows = unwind.state == UnwindFacts::State::kBuilt
                         ? has_few_rows
                         : unwind.state == UnwindFacts::State::kNotBuilt &&
                               unwind.problem.empty() && !unwind.has_source();
  if (has_no_rows) {
    module->missing.emplace_back("unwind rows");
    AdviseRows(module);
  } else if (unwind.state == UnwindFacts::State::kRefused) {
    module->missing.emplace_back("unwind rows");
  }
}

std::vector<Advice> AdviseJit(int32_t pid, std::string_view exe,
                              const JitFacts& jit) {
  if (jit.has_map || jit.has_dump || (jit.mappings == 0 && jit.samples == 0))
    return {};
  std::string_view name = BaseName(exe);
  std::string map = jit.map_path.empty() ? "/tmp/perf-PID.map" : jit.map_path;
  if (name == "node" || name == "nodejs") {
    return {{"Node.js names its code when started with these flags",
             "node --perf-basic-prof --interpreted-frames-native-stack …"},
            {"or with these, which write lines too, to jit-PID.dump in its "
             "directory; that file has all code ever made and grows with it",
             "node --perf-prof --interpreted-frames-native-stack …"}};
  }
  if (name == "java") {
    return {{"a JVM of version 17 or later writes the map when asked; names "
             "are those of that moment",
             fmt::format("jcmd {} Compiler.perfmap", pid)},
            {"start it with frame pointers, without which stacks end in its "
             "code",
             "java -XX:+PreserveFramePointer …"}};
  }
  if (name.starts_with("python")) {
    return {
        {"Python 3.12 or later names its functions when started so; "
         "earlier ones cannot",
         "python3 -X perf …"}};
  }
  if (name == "dotnet") {
    return {{".NET names its code when started with this variable",
             "DOTNET_PerfMapEnabled=1 dotnet …"}};
  }
  return {{fmt::format("code without a file has names only if the program's "
                       "runtime writes {} or a jitdump, jit-PID.dump, which "
                       "it must have mapped",
                       map),
           ""}};
}

std::vector<Advice> AdviseKernel(const KernelFacts& kernel) {
  if (kernel.has_names) return {};
  std::vector<Advice> advice;
  advice.push_back(
      {"pprofd needs CAP_SYSLOG to read the addresses of /proc/kallsyms", ""});
  if (kernel.kptr_restrict == "2") {
    advice.push_back({"kernel.kptr_restrict=2 hides them from everyone",
                      "sysctl kernel.kptr_restrict=1"});
  }
  return advice;
}

}  // namespace pprofd
