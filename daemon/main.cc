// pprofd: flags, configuration, run; turns a Status into an exit code.

#include <spdlog/sinks/stdout_sinks.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <csignal>
#include <cstdio>
#include <exception>
#include <iostream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "daemon/base/memory_policy.h"
#include "daemon/base/own_files.h"
#include "daemon/base/telemetry.h"
#include "daemon/config.h"
#include "daemon/model/allocator_report.h"
#include "daemon/pipeline/pipeline.h"
#include "daemon/record_command.h"
#include "daemon/symbolize_command.h"

namespace pprofd {
namespace {

constexpr int kFailure = 1;

// Errors are for people: one line, what is wrong and what to do.
int Fail(const Status& status) {
  fprintf(stderr, "pprofd: %s\n", status.message().c_str());
  return kFailure;
}

void SetUpLog(const std::string& level) {
  spdlog::set_default_logger(spdlog::stderr_logger_mt("pprofd"));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e %l %v");
  spdlog::set_level(spdlog::level::from_str(level));
}

Result<Config> MakeConfig(const std::string& file,
                          const std::map<std::string, std::string>& flags) {
  Config config;
  if (!file.empty()) {
    ASSIGN_OR_RETURN(config, LoadConfig(file));
  }
  for (const auto& [key, value] : flags) {
    RETURN_IF_ERROR(ApplyFlag(config, key, value));
  }
  return config;
}

// Flags for all settings whose key begins with one of `prefixes`.
void AddSettings(CLI::App* command, const std::vector<std::string>& prefixes,
                 std::map<std::string, std::string>* flags) {
  for (const SettingInfo& setting : Settings()) {
    bool is_wanted =
        std::ranges::any_of(prefixes, [&](const std::string& prefix) {
          return setting.key.starts_with(prefix);
        });
    if (!is_wanted) continue;
    command->add_option_function<std::string>(
        "--" + setting.key,
        [flags, key = setting.key](const std::string& value) {
          (*flags)[key] = value;
        },
        setting.help + " (" + setting.allowed + ", default " +
            setting.default_text + ")");
  }
}

int RunDaemon(const Config& config) {
  SetUpLog(config.log.level);
  // A file that may not grow is an error of the write, not our end.
  std::signal(SIGXFSZ, SIG_IGN);
  Result<std::unique_ptr<Pipeline>> pipeline = Pipeline::Create(config);
  if (!pipeline.ok()) return Fail(pipeline.status());
  std::string url = "http://" + (*pipeline)->http_address() + "/debug/pprof/";
  printf("listening on %s\n", url.c_str());
  printf("try: go tool pprof -top '%sprofile?pid=PID&seconds=5'\n",
         url.c_str());
  fflush(stdout);
  (*pipeline)->Run();
  return 0;
}

int Check() {
  SetUpLog("warn");
  Result<std::vector<ProgramCost>> costs = CheckPrograms();
  if (!costs.ok()) return Fail(costs.status());
  for (const ProgramCost& cost : *costs) {
    printf("verified_insns %s %llu\n", cost.name.c_str(),
           static_cast<unsigned long long>(cost.verified_instructions));
  }
  SymbolizerClient::Options options;
  options.process.role = "check";
  auto symbolizer = SymbolizerClient::Start(std::move(options));
  if (!symbolizer.ok()) return Fail(symbolizer.status());
  uint32_t landlock = (*symbolizer)->landlock_abi();
  printf("symbolizer confined by seccomp%s\n",
         landlock > 0 ? (" and Landlock " + std::to_string(landlock)).c_str()
                      : "; this kernel has no Landlock");
  printf("ok: this host can be profiled\n");
  return 0;
}

int Symbolize(const Config& config, const std::string& demangle) {
  SetUpLog("error");
  DemangleStyle style = demangle == "none"        ? DemangleStyle::kNone
                        : demangle == "templates" ? DemangleStyle::kTemplates
                        : demangle == "full"      ? DemangleStyle::kFull
                                                  : DemangleStyle::kShort;
  SymbolizerClient::Options options;
  options.process.role = "symbolize";
  options.process.max_cache_bytes = config.symbols.max_cache_bytes;
  options.process.debug_roots = config.symbols.debug_roots;
  auto symbolizer = SymbolizerClient::Start(std::move(options));
  if (!symbolizer.ok()) return Fail(symbolizer.status());
  // Else it cannot be known what is there to read.
  std::ios::sync_with_stdio(false);
  SymbolizeCommand command(**symbolizer, config.symbols.debug_roots, style);
  return command.Run(std::cin, std::cout, std::cerr) ? 0 : kFailure;
}

int Record(const Config& config, RecordRequest request) {
  SetUpLog("warn");
  std::signal(SIGXFSZ, SIG_IGN);
  request.preload_libraries = {BesideProgram(kPreloadFamily),
                               config.heap.preload_library};
  // Before there are threads.
  Result<RecordCommand> command = RecordCommand::Start(std::move(request));
  if (!command.ok()) return Fail(command.status());
  auto pipeline = Pipeline::Create(config, Pipeline::Use::kCollect);
  if (!pipeline.ok()) return Fail(pipeline.status());
  Result<int> status = command->Run((*pipeline)->service());
  return status.ok() ? *status : Fail(status.status());
}

// Go's tools take one dash before names of several letters, too.
std::vector<std::string> WithTwoDashes(int argc, char** argv) {
  std::vector<std::string> words;
  bool is_ours = true;
  for (int i = 1; i < argc; ++i) {
    std::string word = argv[i];
    is_ours = is_ours && word != "--";
    bool is_name = word.size() > 2 && word[0] == '-' && word[1] != '-' &&
                   std::isalpha(static_cast<unsigned char>(word[1])) != 0;
    words.push_back(is_ours && is_name ? "-" + word : word);
  }
  // CLI11 takes them from the end.
  std::ranges::reverse(words);
  return words;
}

int Main(int argc, char** argv) {
  SetMemoryPolicy();
  CLI::App app{"pprofd: /debug/pprof/ for every process on this host"};
  app.require_subcommand(1);
  app.set_version_flag("--version", PPROFD_VERSION);

  CLI::App* run = app.add_subcommand("run", "Sample and serve profiles");
  std::string config_file;
  run->add_option("--config.file", config_file,
                  "YAML file with settings; flags win over it");
  std::map<std::string, std::string> flags;
  AddSettings(run, {""}, &flags);
  CLI::App* check = app.add_subcommand(
      "check", "Say whether this host can be profiled, and stop");
  CLI::App* symbolize = app.add_subcommand(
      "symbolize",
      "Read lines 'FILE-or-BUILDID ADDRESS...' (hexadecimal, as for addr2line) "
      "and write for each address 'name at file:line:column', then a line "
      "' (inlined by) ...' per caller it is inlined into, then an empty line");
  std::string demangle = "full";
  symbolize->add_option("--demangle", demangle, "form of names")
      ->check(CLI::IsMember({"default", "none", "templates", "full"}))
      ->capture_default_str();
  AddSettings(symbolize, {"symbols.max_cache_bytes", "symbols.debug_roots"},
              &flags);
  CLI::App* record = app.add_subcommand(
      "record", "Profile a command from its first instruction to its exit");
  RecordRequest request;
  record->add_option("-o", request.cpu_file, "where its CPU profile goes");
  record->add_option("--mem", request.heap_file,
                     "where its heap profile goes: of the command itself, not "
                     "of processes it starts");
  record->add_option("--hz", request.hz, "CPU samples per second")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  record->add_option("command", request.command, "the command, behind --")
      ->required();
  AddSettings(record, {"symbols.", "heap.preload_library"}, &flags);
  try {
    app.parse(WithTwoDashes(argc, argv));
  } catch (const CLI::ParseError& error) {
    return app.exit(error);
  }

  if (check->parsed()) return Check();
  Result<Config> config = MakeConfig(config_file, flags);
  if (!config.ok()) return Fail(config.status());
  if (symbolize->parsed()) return Symbolize(*config, demangle);
  if (record->parsed()) {
    if (request.cpu_file.empty() && request.heap_file.empty()) {
      request.cpu_file = "cpu.pb.gz";
    }
    return Record(*config, std::move(request));
  }
  return RunDaemon(*config);
}

}  // namespace
}  // namespace pprofd

int main(int argc, char** argv) {
  // Nothing of ours throws; libraries may, when memory is short.
  try {
    return pprofd::Main(argc, argv);
  } catch (const std::exception& error) {
    fprintf(stderr, "pprofd: %s\n", error.what());
    return pprofd::kFailure;
  }
}
