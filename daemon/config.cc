#include "daemon/config.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <functional>
#include <optional>
#include <set>
#include <utility>

#include "daemon/base/unique_handle.h"
#include "daemon/model/heap_selection.h"
#include "daemon/server/listen_address.h"

namespace pprofd {

namespace {

using std::chrono::seconds;

// ---- Texts of values ------------------------------------------------------

// A number with a unit, as in "64MiB"; largest unit last.
struct Unit {
  std::string_view name;
  int64_t factor;
};
constexpr std::array<Unit, 3> kTimeUnits{{{"s", 1}, {"m", 60}, {"h", 3600}}};
constexpr std::array<Unit, 3> kSizeUnits{
    {{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}}};

std::optional<int64_t> ParseInteger(std::string_view text) {
  int64_t value = 0;
  const char* end = text.data() + text.size();
  auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || rest != end) return std::nullopt;
  return value;
}

// A sum such as "1h30m"; none when malformed or too large.
std::optional<int64_t> ParseWithUnits(std::string_view text,
                                      std::span<const Unit> units) {
  int64_t sum = 0;
  if (text.empty()) return std::nullopt;
  while (!text.empty()) {
    size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
    std::optional<int64_t> number = ParseInteger(text.substr(0, digits));
    text.remove_prefix(digits);
    size_t letters = std::min(text.find_first_of("0123456789"), text.size());
    auto unit = std::ranges::find(units, text.substr(0, letters), &Unit::name);
    text.remove_prefix(letters);
    int64_t part = 0;
    if (!number || unit == units.end() ||
        __builtin_mul_overflow(*number, unit->factor, &part) ||
        __builtin_add_overflow(sum, part, &sum)) {
      return std::nullopt;
    }
  }
  return sum;
}

// In the largest unit that leaves no rest.
std::string FormatWithUnit(int64_t value, std::span<const Unit> units) {
  size_t i = units.size() - 1;
  while (i > 0 && value % units[i].factor != 0) --i;
  return fmt::format("{}{}", value / units[i].factor, units[i].name);
}

// ---- The table ------------------------------------------------------------

struct Setting {
  SettingInfo info;
  bool is_list = false;
  // False when the texts are not allowed; `config` is then unchanged. A setting
  // that is no list gets exactly one.
  std::function<bool(Config& config, std::span<const std::string> texts)> set;
};

template <typename T>
using Field = T& (*)(Config&);

Setting Integer(std::string key, std::string help, Field<int> field, int min,
                int max) {
  Config defaults;
  return {{std::move(key), std::to_string(field(defaults)),
           fmt::format("an integer from {} to {}", min, max), std::move(help)},
          false,
          [=](Config& config, std::span<const std::string> texts) {
            std::optional<int64_t> value = ParseInteger(texts[0]);
            if (!value || *value < min || *value > max) return false;
            field(config) = static_cast<int>(*value);
            return true;
          }};
}

Setting Switch(std::string key, std::string help, Field<bool> field) {
  Config defaults;
  return {{std::move(key), field(defaults) ? "true" : "false", "true or false",
           std::move(help)},
          false,
          [=](Config& config, std::span<const std::string> texts) {
            if (texts[0] != "true" && texts[0] != "false") return false;
            field(config) = texts[0] == "true";
            return true;
          }};
}

Setting Duration(std::string key, std::string help, Field<seconds> field,
                 seconds min, seconds max) {
  Config defaults;
  return {{std::move(key), FormatWithUnit(field(defaults).count(), kTimeUnits),
           fmt::format("a duration from {} to {}",
                       FormatWithUnit(min.count(), kTimeUnits),
                       FormatWithUnit(max.count(), kTimeUnits)),
           std::move(help)},
          false,
          [=](Config& config, std::span<const std::string> texts) {
            std::optional<int64_t> value = ParseWithUnits(texts[0], kTimeUnits);
            if (!value || *value < min.count() || *value > max.count()) {
              return false;
            }
            field(config) = seconds(*value);
            return true;
          }};
}

Setting Size(std::string key, std::string help, Field<uint64_t> field,
             int64_t min, int64_t max) {
  Config defaults;
  auto format = [](int64_t bytes) { return FormatWithUnit(bytes, kSizeUnits); };
  return {{std::move(key), format(static_cast<int64_t>(field(defaults))),
           fmt::format("a size from {} to {}", format(min), format(max)),
           std::move(help)},
          false,
          [=](Config& config, std::span<const std::string> texts) {
            std::optional<int64_t> value = ParseWithUnits(texts[0], kSizeUnits);
            if (!value || *value < min || *value > max) return false;
            field(config) = static_cast<uint64_t>(*value);
            return true;
          }};
}

Setting Address(std::string key, std::string help, Field<std::string> field) {
  Config defaults;
  return {{std::move(key), field(defaults),
           "an address and a port, like 127.0.0.1:6066 or [::1]:6066",
           std::move(help)},
          false,
          [=](Config& config, std::span<const std::string> texts) {
            if (!ParseListenAddress(texts[0]).ok()) return false;
            field(config) = texts[0];
            return true;
          }};
}

Setting Choice(std::string key, std::string help, Field<std::string> field,
               std::vector<std::string> choices) {
  Config defaults;
  return {{std::move(key), field(defaults),
           fmt::format("one of {}", fmt::join(choices, ", ")), std::move(help)},
          false,
          [=](Config& config, std::span<const std::string> texts) {
            if (std::ranges::count(choices, texts[0]) == 0) return false;
            field(config) = texts[0];
            return true;
          }};
}

bool IsAbsolutePath(const std::string& text) { return text.starts_with('/'); }

// What libdebuginfod takes, but for file: and without what parts URLs.
bool IsServerUrl(const std::string& text) {
  size_t scheme = text.starts_with("https://")  ? 8
                  : text.starts_with("http://") ? 7
                                                : 0;
  return scheme != 0 && text.size() > scheme && text[scheme] != '/' &&
         std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~'; });
}

Setting Path(std::string key, std::string help, Field<std::string> field) {
  Config defaults;
  return {
      {std::move(key), field(defaults), "an absolute path", std::move(help)},
      false,
      [=](Config& config, std::span<const std::string> texts) {
        if (!IsAbsolutePath(texts[0])) return false;
        field(config) = texts[0];
        return true;
      }};
}

constexpr size_t kMaxListed = 16;

bool ArePaths(std::span<const std::string> texts) {
  return texts.size() <= kMaxListed &&
         std::ranges::all_of(texts, IsAbsolutePath);
}

bool AreServers(std::span<const std::string> texts) {
  bool is_env = texts.size() == 1 && texts[0] == "env";
  return is_env || (texts.size() <= kMaxListed &&
                    std::ranges::all_of(texts, IsServerUrl));
}

Setting List(std::string key, std::string help,
             Field<std::vector<std::string>> field, std::string_view of_what,
             bool (*are_allowed)(std::span<const std::string> texts)) {
  Config defaults;
  return {{std::move(key), fmt::format("{}", fmt::join(field(defaults), ",")),
           fmt::format("a list of at most {} {}", kMaxListed, of_what),
           std::move(help)},
          true,
          [=](Config& config, std::span<const std::string> texts) {
            if (!are_allowed(texts)) return false;
            field(config).assign(texts.begin(), texts.end());
            return true;
          }};
}

constexpr int64_t kKiB = 1 << 10;
constexpr int64_t kMiB = 1 << 20;
constexpr int64_t kGiB = 1 << 30;

void AddDebuginfod(std::vector<Setting>& table) {
  table.push_back(List(
      "debuginfod.urls",
      "servers that are asked for debug files by build ID; none: off, env: "
      "those of $DEBUGINFOD_URLS",
      [](Config& config) -> std::vector<std::string>& {
        return config.debuginfod.urls;
      },
      "URLs (http or https), or env", AreServers));
  table.push_back(Size(
      "debuginfod.max_file_bytes", "largest debug file that is fetched",
      [](Config& config) -> uint64_t& {
        return config.debuginfod.max_file_bytes;
      },
      kMiB, 16 * kGiB));
  table.push_back(Size(
      "debuginfod.max_cache_bytes",
      "disk for debug files from servers; the least recently used go first",
      [](Config& config) -> uint64_t& {
        return config.debuginfod.max_cache_bytes;
      },
      kMiB, 1024 * kGiB));
  table.push_back(Duration(
      "debuginfod.timeout", "longest that fetching a debug file may take",
      [](Config& config) -> seconds& { return config.debuginfod.timeout; },
      seconds(1), seconds(3600)));
  table.push_back(Duration(
      "debuginfod.retry",
      "how long servers are not asked again for what they could not give",
      [](Config& config) -> seconds& { return config.debuginfod.retry; },
      seconds(1), seconds(30 * 86400)));
}

bool AreHeapRules(std::span<const std::string> texts) {
  std::vector<std::string> rules(texts.begin(), texts.end());
  return HeapSelection::Parse(rules).ok();
}

void AddHeap(std::vector<Setting>& table) {
  table.push_back(Integer(
      "heap.budget_percent",
      "of one CPU, what watching the allocations of a process may cost it",
      [](Config& config) -> int& { return config.heap.budget_percent; }, 1,
      1000));
  table.push_back(Size(
      "heap.period", "mean bytes between sampled allocations",
      [](Config& config) -> uint64_t& { return config.heap.period; }, kKiB,
      kGiB));
  table.push_back(Duration(
      "heap.idle_time",
      "how long allocations go on being sampled when nobody asks",
      [](Config& config) -> seconds& { return config.heap.idle_time; },
      seconds(0), seconds(86400)));
  table.push_back(Integer(
      "heap.max_processes", "processes whose allocations are sampled at once",
      [](Config& config) -> int& { return config.heap.max_processes; }, 1,
      250));
  table.push_back(List(
      "heap.track",
      "processes whose allocations are tracked from their start on",
      [](Config& config) -> std::vector<std::string>& {
        return config.heap.track;
      },
      "of exe:/PATH, unit:NAME.service, container:ID (12 to 64 hexadecimal "
      "digits)",
      AreHeapRules));
  table.push_back(
      Path("heap.preload_library",
           "the file with which processes sample their allocations themselves",
           [](Config& config) -> std::string& {
             return config.heap.preload_library;
           }));
}

void AddRss(std::vector<Setting>& table) {
  table.push_back(Switch(
      "rss.enabled", "whether page faults are sampled, by which programs grow",
      [](Config& config) -> bool& { return config.rss.enabled; }));
  table.push_back(Integer(
      "rss.faults_per_sample", "page faults for each one that is sampled",
      [](Config& config) -> int& { return config.rss.faults_per_sample; }, 1,
      1 << 20));
}

std::vector<Setting> MakeTable() {
  std::vector<Setting> table;
  table.push_back(Address(
      "http.listen", "where HTTP is served",
      [](Config& config) -> std::string& { return config.http.listen; }));
  table.push_back(Integer(
      "http.max_connections", "connections at once; more are refused",
      [](Config& config) -> int& { return config.http.max_connections; }, 1,
      65536));
  table.push_back(Integer(
      "http.max_seconds", "longest capture a client may ask for, in seconds",
      [](Config& config) -> int& { return config.http.max_seconds; }, 1,
      86400));
  table.push_back(Integer(
      "sampling.hz", "samples per second and CPU of the always-on profile",
      [](Config& config) -> int& { return config.sampling.hz; }, 1, 999));
  table.push_back(Integer(
      "sampling.capture_hz",
      "samples per second and CPU of a process while a client waits for it",
      [](Config& config) -> int& { return config.sampling.capture_hz; }, 1,
      999));
  table.push_back(Duration(
      "history.max_age", "how long past samples are kept in memory",
      [](Config& config) -> seconds& { return config.history.max_age; },
      seconds(10), seconds(86400)));
  table.push_back(Size(
      "history.max_bytes", "memory for past samples; the oldest go first",
      [](Config& config) -> uint64_t& { return config.history.max_bytes; },
      kMiB, 16 * kGiB));
  AddHeap(table);
  AddRss(table);
  table.push_back(Size(
      "unwind.max_table_bytes",
      "kernel memory for unwind tables; the least recently used go first",
      [](Config& config) -> uint64_t& { return config.unwind.max_table_bytes; },
      8 * kMiB, 512 * kMiB));
  table.push_back(Size(
      "symbols.max_cache_bytes",
      "memory for symbols; the least recently used go first",
      [](Config& config) -> uint64_t& {
        return config.symbols.max_cache_bytes;
      },
      kMiB, 16 * kGiB));
  table.push_back(List(
      "symbols.debug_roots", "where separate debug files are searched",
      [](Config& config) -> std::vector<std::string>& {
        return config.symbols.debug_roots;
      },
      "absolute paths", ArePaths));
  table.push_back(
      Path("symbols.cache_folder",
           "where names found in debug information are kept for the next start",
           [](Config& config) -> std::string& {
             return config.symbols.cache_folder;
           }));
  table.push_back(Size(
      "symbols.cache_bytes",
      "disk space for them, 0KiB for none; the least recently used go first",
      [](Config& config) -> uint64_t& { return config.symbols.cache_bytes; }, 0,
      64 * kGiB));
  AddDebuginfod(table);
  table.push_back(
      Choice("log.level", "least severe messages that are logged",
             [](Config& config) -> std::string& { return config.log.level; },
             {"debug", "info", "warn", "error"}));
  return table;
}

const std::vector<Setting>& Table() {
  static const std::vector<Setting> table = MakeTable();
  return table;
}

const Setting* FindSetting(std::string_view key) {
  const std::vector<Setting>& table = Table();
  auto found = std::ranges::find_if(
      table, [&](const Setting& setting) { return setting.info.key == key; });
  return found == table.end() ? nullptr : &*found;
}

Status NotAllowed(const Setting& setting, std::string_view value) {
  return Status(StatusCode::kInvalid,
                fmt::format("{}: \"{}\" is not {}", setting.info.key, value,
                            setting.info.allowed));
}

// ---- The file -------------------------------------------------------------

// Walks the two levels of the document: sections and their settings.
class FileReader {
 public:
  explicit FileReader(std::string_view name) : name_(name) {}

  Result<Config> Read(const std::string& text) {
    std::vector<YAML::Node> documents = YAML::LoadAll(text);
    if (documents.size() > 1) {
      return ErrorAt(documents[1], "only one document is allowed");
    }
    if (documents.empty() || documents[0].IsNull()) return Config();
    const YAML::Node& root = documents[0];
    if (!root.IsMap()) return ErrorAt(root, "settings must be in sections");
    for (const auto& section : root) {
      RETURN_IF_ERROR(ReadSection(section.first, section.second));
    }
    return config_;
  }

  Status ErrorAt(const YAML::Mark& mark, std::string_view message) const {
    return Status(StatusCode::kInvalid,
                  fmt::format("{}:{}:{}: {}", name_, mark.line + 1,
                              mark.column + 1, message));
  }

 private:
  Status ErrorAt(const YAML::Node& node, std::string_view message) const {
    return ErrorAt(node.Mark(), message);
  }

  Status ReadSection(const YAML::Node& name, const YAML::Node& section) {
    if (!name.IsScalar()) return ErrorAt(name, "a section's name must be text");
    const std::string prefix = name.Scalar() + ".";
    std::vector<std::string> known;
    for (const Setting& setting : Table()) {
      if (setting.info.key.starts_with(prefix)) {
        known.push_back(setting.info.key.substr(prefix.size()));
      }
    }
    if (known.empty()) {
      return ErrorAt(name,
                     fmt::format("unknown section \"{}\"", name.Scalar()));
    }
    if (section.IsNull()) return Status::Ok();
    if (!section.IsMap()) {
      return ErrorAt(section,
                     fmt::format("section \"{}\" must hold {}", name.Scalar(),
                                 fmt::join(known, ", ")));
    }
    for (const auto& entry : section) {
      const YAML::Node& key = entry.first;
      if (!key.IsScalar()) return ErrorAt(key, "a key must be text");
      const Setting* setting = FindSetting(prefix + key.Scalar());
      if (setting == nullptr) {
        return ErrorAt(key, fmt::format("unknown setting \"{}{}\"; \"{}\" has "
                                        "{}",
                                        prefix, key.Scalar(), name.Scalar(),
                                        fmt::join(known, ", ")));
      }
      if (!seen_.insert(setting->info.key).second) {
        return ErrorAt(key, setting->info.key + " is set twice");
      }
      RETURN_IF_ERROR(ReadSetting(*setting, entry.second));
    }
    return Status::Ok();
  }

  Status ReadSetting(const Setting& setting, const YAML::Node& value) {
    const std::string& key = setting.info.key;
    std::vector<std::string> texts;
    if (value.IsScalar() && !setting.is_list) {
      texts.push_back(value.Scalar());
    } else if (value.IsSequence() && setting.is_list) {
      for (const YAML::Node& item : value) {
        if (!item.IsScalar()) {
          return ErrorAt(item, fmt::format("{}: every item must be text", key));
        }
        texts.push_back(item.Scalar());
      }
    } else {
      return ErrorAt(value,
                     fmt::format("{}: must be {}", key, setting.info.allowed));
    }
    if (!setting.set(config_, texts)) {
      return ErrorAt(
          value, NotAllowed(setting, fmt::format("{}", fmt::join(texts, ", ")))
                     .message());
    }
    return Status::Ok();
  }

  const std::string_view name_;
  Config config_;
  std::set<std::string> seen_;
};

Result<std::string> ReadWholeFile(const std::string& path) {
  UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return Status::FromErrno(errno, "cannot open " + path);
  std::string text(kMaxConfigBytes + 1, '\0');
  size_t size = 0;
  while (size < text.size()) {
    ssize_t n = ::read(file.get(), text.data() + size, text.size() - size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Status::FromErrno(errno, "cannot read " + path);
    if (n == 0) break;
    size += static_cast<size_t>(n);
  }
  text.resize(size);
  return text;
}

}  // namespace

std::span<const SettingInfo> Settings() {
  static const std::vector<SettingInfo> infos = [] {
    std::vector<SettingInfo> rows;
    for (const Setting& setting : Table()) rows.push_back(setting.info);
    return rows;
  }();
  return infos;
}

Result<Config> ParseConfig(std::string_view text, std::string_view name) {
  if (text.size() > kMaxConfigBytes) {
    return Status(StatusCode::kInvalid, fmt::format("{}: larger than {} bytes",
                                                    name, kMaxConfigBytes));
  }
  FileReader reader(name);
  try {
    return reader.Read(std::string(text));
  } catch (const YAML::Exception& error) {
    return reader.ErrorAt(error.mark, error.msg);
  }
}

Result<Config> LoadConfig(const std::string& path) {
  ASSIGN_OR_RETURN(std::string text, ReadWholeFile(path));
  return ParseConfig(text, path);
}

Status ApplyFlag(Config& config, std::string_view key, std::string_view value) {
  const Setting* setting = FindSetting(key);
  if (setting == nullptr) {
    return Status(StatusCode::kInvalid,
                  fmt::format("unknown setting \"{}\"", key));
  }
  std::vector<std::string> texts;
  if (!setting->is_list) {
    texts.emplace_back(value);
  } else {
    while (!value.empty()) {
      size_t comma = std::min(value.find(','), value.size());
      texts.emplace_back(value.substr(0, comma));
      value.remove_prefix(std::min(comma + 1, value.size()));
    }
  }
  if (!setting->set(config, texts)) {
    return NotAllowed(*setting, fmt::format("{}", fmt::join(texts, ",")));
  }
  return Status::Ok();
}

}  // namespace pprofd
