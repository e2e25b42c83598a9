// Config: every setting of pprofd, typed, with its default.
//
// A setting has one key ("sampling.hz"), the same in the YAML file and as a
// command-line flag; one table in config.cc gives its type, bounds and help, so
// that file, flags, --help and documentation cannot drift apart.
// Owns: nothing. Thread: values; the table is immutable.
// Bound: a file of at most kMaxConfigBytes.
// Fails: Invalid for anything unknown, malformed or out of bounds, with where
//   it stands, the key and what is allowed; a Config is then left unchanged.
#ifndef DAEMON_CONFIG_H_
#define DAEMON_CONFIG_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/base/status.h"

namespace pprofd {

inline constexpr size_t kMaxConfigBytes = size_t{1} << 20;

struct HttpConfig {
  std::string listen = "127.0.0.1:6066";  // server/listen_address parses it
  int max_connections = 512;
  int max_seconds = 3600;  // longest capture a client may ask for
  bool operator==(const HttpConfig&) const = default;
};

struct SamplingConfig {
  int hz = 19;          // always on, every CPU
  int capture_hz = 99;  // one process, while a client waits
  bool operator==(const SamplingConfig&) const = default;
};

struct HistoryConfig {
  std::chrono::seconds max_age{600};
  uint64_t max_bytes = uint64_t{64} << 20;
  bool operator==(const HistoryConfig&) const = default;
};

struct HeapConfig {
  int budget_percent = 1;  // of one CPU, for each process that is tracked
  uint64_t period = uint64_t{512} << 10;  // mean bytes between samples
  std::chrono::seconds idle_time{300};
  int max_processes = 64;
  std::vector<std::string> track;  // model/heap_selection parses it
  std::string preload_library = "/usr/lib/pprofd/libpprofd_heap.so";
  bool operator==(const HeapConfig&) const = default;
};

struct RssConfig {
  bool enabled = true;
  int faults_per_sample = 128;  // page faults that a sample stands for
  bool operator==(const RssConfig&) const = default;
};

struct UnwindConfig {
  uint64_t max_table_bytes = uint64_t{64} << 20;  // in the kernel
  bool operator==(const UnwindConfig&) const = default;
};

struct SymbolsConfig {
  uint64_t max_cache_bytes = uint64_t{64} << 20;
  std::vector<std::string> debug_roots{"/usr/lib/debug"};
  std::string cache_folder = "/var/cache/pprofd";
  uint64_t cache_bytes = uint64_t{512} << 20;  // on disk; 0: none
  bool operator==(const SymbolsConfig&) const = default;
};

struct DebuginfodConfig {
  std::vector<std::string> urls;  // none: off; "env": of $DEBUGINFOD_URLS
  uint64_t max_file_bytes = uint64_t{256} << 20;
  uint64_t max_cache_bytes = uint64_t{1} << 30;
  std::chrono::seconds timeout{30};
  std::chrono::seconds retry{3600};
  bool operator==(const DebuginfodConfig&) const = default;
};

struct LogConfig {
  std::string level = "info";  // a name spdlog::level::from_str knows
  bool operator==(const LogConfig&) const = default;
};

struct Config {
  HttpConfig http;
  SamplingConfig sampling;
  HistoryConfig history;
  HeapConfig heap;
  RssConfig rss;
  UnwindConfig unwind;
  SymbolsConfig symbols;
  DebuginfodConfig debuginfod;
  LogConfig log;
  bool operator==(const Config&) const = default;
};

// One row of the table, for flags and help.
struct SettingInfo {
  std::string key;           // "section.name"
  std::string default_text;  // as one would write it: "64MiB"
  std::string allowed;       // "an integer from 1 to 999"
  std::string help;
};

// All settings, in the order of config/pprofd.yaml.
std::span<const SettingInfo> Settings();

// Reads a YAML file; settings it does not name keep their defaults.
Result<Config> LoadConfig(const std::string& path);
// The same from memory; `name` stands for the file in messages.
Result<Config> ParseConfig(std::string_view text, std::string_view name);

// Sets one setting from a flag's text; items of a list are parted by commas.
Status ApplyFlag(Config& config, std::string_view key, std::string_view value);

}  // namespace pprofd

#endif  // DAEMON_CONFIG_H_
