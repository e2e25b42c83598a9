#include "daemon/process/memory_stats.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <optional>
#include <utility>

namespace pprofd {
namespace {

constexpr size_t kReadBytes = 64 << 10;
constexpr size_t kMaxSmallFileBytes = 64 << 10;
// Lines that are not executable may be many.
constexpr uint64_t kMaxMapsReadBytes = 512 << 20;
constexpr int kStackPointerField = 29;  // kstkesp
constexpr int kMinorFaultsField = 10;
constexpr int kMajorFaultsField = 12;

constexpr std::array<std::string_view, 8> kStatusNames = {
    "VmRSS",  "RssAnon", "RssFile", "RssShmem",
    "VmSwap", "VmData",  "VmPTE",   "Threads"};
constexpr std::array<std::string_view, 5> kRollupNames = {
    "Pss", "Pss_Anon", "Private_Dirty", "Anonymous", "AnonHugePages"};
constexpr std::array<std::string_view, 1> kPeakName = {"VmHWM"};

uint64_t SumOf(uint64_t a, uint64_t b) {
  return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

uint64_t ProductOf(uint64_t a, uint64_t b) {
  return b != 0 && a > UINT64_MAX / b ? UINT64_MAX : a * b;
}

std::optional<uint64_t> NumberIn(std::string_view text, int base) {
  uint64_t value = 0;
  auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size()) return {};
  return value;
}

// The next field of `line`, which loses it; "" at its end.
std::string_view TakeField(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
  size_t size = std::min(line.find_first_of(" \t"), line.size());
  std::string_view field = line.substr(0, size);
  line.remove_prefix(size);
  return field;
}

// The value in bytes of what follows a colon: "12 kB" or "12".
std::optional<uint64_t> FigureIn(std::string_view text) {
  std::optional<uint64_t> value = NumberIn(TakeField(text), 10);
  if (!value) return {};
  return TakeField(text) == "kB" ? ProductOf(*value, 1024) : *value;
}

// Cuts a text that comes in pieces into lines.
class LineSplitter {
 public:
  // Calls use(line) for each line that `piece` ends.
  template <typename Use>
  void Feed(std::string_view piece, Use&& use) {
    while (!piece.empty()) {
      size_t newline = piece.find('\n');
      std::string_view part = piece.substr(0, newline);
      bool ends_line = newline != std::string_view::npos;
      piece.remove_prefix(ends_line ? newline + 1 : piece.size());
      if (partial_.size() + part.size() > kMaxMemoryLineBytes) is_long_ = true;
      if (is_long_) {
        partial_.clear();
      } else if (ends_line && partial_.empty()) {
        use(part);
      } else {
        partial_.append(part);
        if (ends_line) use(std::string_view(partial_));
      }
      if (ends_line) {
        partial_.clear();
        is_long_ = false;
      }
    }
  }
  template <typename Use>
  void Finish(Use&& use) {
    if (!partial_.empty()) use(std::string_view(partial_));
    partial_.clear();
  }

 private:
  std::string partial_;
  bool is_long_ = false;
};

template <typename Use>
void ForEachLine(std::string_view text, Use&& use) {
  LineSplitter splitter;
  splitter.Feed(text, use);
  splitter.Finish(use);
}

// Calls use(piece) with pieces of a file until its end or until use() says no.
template <typename Use>
Status ReadPieces(const ProcessDir& process, const std::string& name,
                  Use&& use) {
  ASSIGN_OR_RETURN(UniqueFd fd, process.OpenAt(name, O_RDONLY));
  std::string buffer(kReadBytes, '\0');
  while (true) {
    ssize_t size = read(fd.get(), buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return Status::FromErrno(errno, "read of " + name);
    if (size == 0 || !use(std::string_view(buffer.data(), size))) {
      return Status::Ok();
    }
  }
}

Result<std::string> ReadSmall(const ProcessDir& process,
                              const std::string& name) {
  std::string text;
  RETURN_IF_ERROR(ReadPieces(process, name, [&text](std::string_view piece) {
    text.append(piece.substr(0, kMaxSmallFileBytes - text.size()));
    return text.size() < kMaxSmallFileBytes;
  }));
  return text;
}

// Threads whose stack pointer is not told are left out.
std::vector<uint64_t> ReadStackPointers(const ProcessDir& process) {
  std::vector<uint64_t> pointers;
  Result<std::vector<int32_t>> threads = process.ListThreads();
  if (!threads.ok()) return pointers;
  if (threads->size() > kMaxStackThreads) threads->resize(kMaxStackThreads);
  for (int32_t thread : *threads) {
    std::string directory = "task/" + std::to_string(thread);
    uint64_t pointer = 0;
    if (auto text = ReadSmall(process, directory + "/syscall"); text.ok()) {
      pointer = ParseSyscallStackPointer(*text);
    }
    if (pointer == 0) {
      if (auto text = ReadSmall(process, directory + "/stat"); text.ok()) {
        pointer = ParseStatField(*text, kStackPointerField);
      }
    }
    if (pointer != 0) pointers.push_back(pointer);
  }
  return pointers;
}

Status AddSmaps(const ProcessDir& process, MemoryStats& stats) {
  SmapsParser parser(ReadStackPointers(process));
  LineSplitter splitter;
  auto feed = [&parser](std::string_view line) { parser.FeedLine(line); };
  RETURN_IF_ERROR(ReadPieces(process, "smaps", [&](std::string_view piece) {
    splitter.Feed(piece, feed);
    return !parser.sums().is_cut;
  }));
  splitter.Finish(feed);
  const SmapsSums& sums = parser.sums();
  stats.heap_sys = sums.heap_sys;
  stats.heap_inuse = sums.heap_inuse;
  stats.stack_sys = sums.stack_sys;
  stats.stack_inuse = sums.stack_inuse;
  stats.is_cut = sums.is_cut;
  return Status::Ok();
}

void AppendFigures(std::vector<MemoryFigure> from,
                   std::vector<MemoryFigure>& to) {
  for (MemoryFigure& figure : from) to.push_back(std::move(figure));
}

// Keeps the executable lines of a maps file.
class ExecutableLineKeeper {
 public:
  void FeedLine(std::string_view line) {
    std::string_view rest = line;
    TakeField(rest);
    std::string_view permissions = TakeField(rest);
    if (permissions.size() < 4 || permissions[2] != 'x') return;
    if (text_.size() + line.size() + 1 > kMaxMapTextBytes) is_full_ = true;
    if (is_full_) return;
    text_.append(line);
    text_ += '\n';
  }
  bool is_full() const { return is_full_; }
  std::string Take() { return std::move(text_); }

 private:
  std::string text_;
  bool is_full_ = false;
};

}  // namespace

SmapsParser::SmapsParser(std::vector<uint64_t> stack_pointers)
    : stack_pointers_(std::move(stack_pointers)) {
  std::sort(stack_pointers_.begin(), stack_pointers_.end());
}

SmapsParser::Kind SmapsParser::KindOf(uint64_t start, uint64_t limit,
                                      std::string_view permissions,
                                      std::string_view path) const {
  if (path == "[stack]") return Kind::kStack;
  bool is_anonymous =
      path.empty() || path == "[heap]" || path.starts_with("[anon:");
  if (!is_anonymous || !permissions.starts_with("rw") ||
      permissions[3] != 'p') {
    return Kind::kOther;
  }
  auto it =
      std::lower_bound(stack_pointers_.begin(), stack_pointers_.end(), start);
  bool has_stack = it != stack_pointers_.end() && *it < limit;
  return has_stack && path != "[heap]" ? Kind::kStack : Kind::kHeap;
}

// "START-LIMIT PERMISSIONS OFFSET DEVICE INODE   PATH"
bool SmapsParser::StartMapping(std::string_view line) {
  std::string_view range = TakeField(line);
  std::string_view permissions = TakeField(line);
  size_t dash = range.find('-');
  if (dash == std::string_view::npos || permissions.size() != 4) return false;
  std::optional<uint64_t> start = NumberIn(range.substr(0, dash), 16);
  std::optional<uint64_t> limit = NumberIn(range.substr(dash + 1), 16);
  if (!start || !limit || *start >= *limit) return false;
  for (int i = 0; i < 3; ++i) TakeField(line);
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));

  ++sums_.mapping_count;
  kind_ = KindOf(*start, *limit, permissions, line);
  uint64_t size = *limit - *start;
  if (kind_ == Kind::kHeap) sums_.heap_sys = SumOf(sums_.heap_sys, size);
  if (kind_ == Kind::kStack) sums_.stack_sys = SumOf(sums_.stack_sys, size);
  return true;
}

void SmapsParser::FeedLine(std::string_view line) {
  if (sums_.is_cut) return;
  size_t name_size = line.find_first_of(": ");
  bool is_figure =
      name_size != std::string_view::npos && line[name_size] == ':';
  bool is_full = ++line_count_ > kMaxMemoryLines ||
                 (!is_figure && sums_.mapping_count >= kMaxSmapsMappings);
  if (is_full) {
    sums_.is_cut = true;
    return;
  }
  if (!is_figure) {
    // Figures below a line that makes no sense belong to no mapping.
    if (!StartMapping(line)) kind_ = Kind::kOther;
    return;
  }
  std::string_view name = line.substr(0, name_size);
  bool is_resident = name == "Rss";
  bool counts = kind_ == Kind::kStack
                    ? is_resident
                    : kind_ == Kind::kHeap && (is_resident || name == "Swap");
  if (!counts) return;
  uint64_t value = FigureIn(line.substr(name_size + 1)).value_or(0);
  uint64_t& sum = kind_ == Kind::kStack ? sums_.stack_inuse : sums_.heap_inuse;
  sum = SumOf(sum, value);
}

SmapsSums ParseSmaps(std::string_view text,
                     std::vector<uint64_t> stack_pointers) {
  SmapsParser parser(std::move(stack_pointers));
  ForEachLine(text,
              [&parser](std::string_view line) { parser.FeedLine(line); });
  return parser.sums();
}

std::vector<MemoryFigure> ParseFigures(
    std::string_view text, std::span<const std::string_view> names) {
  std::vector<std::optional<uint64_t>> values(names.size());
  ForEachLine(text, [&](std::string_view line) {
    size_t colon = line.find(':');
    if (colon == std::string_view::npos) return;
    auto name = std::find(names.begin(), names.end(), line.substr(0, colon));
    if (name == names.end()) return;
    values[name - names.begin()] = FigureIn(line.substr(colon + 1));
  });
  std::vector<MemoryFigure> figures;
  for (size_t i = 0; i < names.size(); ++i) {
    if (values[i]) figures.push_back({std::string(names[i]), *values[i]});
  }
  return figures;
}

uint64_t ParseSyscallStackPointer(std::string_view text) {
  text = text.substr(0, text.find('\n'));
  std::string_view last;
  std::string_view before_last;
  while (true) {
    std::string_view field = TakeField(text);
    if (field.empty()) break;
    before_last = std::exchange(last, field);
  }
  if (!before_last.starts_with("0x") || !last.starts_with("0x")) return 0;
  return NumberIn(before_last.substr(2), 16).value_or(0);
}

uint64_t ParseStatField(std::string_view text, int number) {
  constexpr int kFirstField = 3;  // behind the name
  size_t close = text.rfind(')');
  if (close == std::string_view::npos || number < kFirstField) return 0;
  text = text.substr(close + 1);
  text = text.substr(0, text.find('\n'));
  for (int i = kFirstField; i < number; ++i) TakeField(text);
  return NumberIn(TakeField(text), 10).value_or(0);
}

std::string ExecutableLines(std::string_view maps_text) {
  ExecutableLineKeeper keeper;
  ForEachLine(maps_text,
              [&keeper](std::string_view line) { keeper.FeedLine(line); });
  return keeper.Take();
}

void Reconcile(MemoryStats& stats) {
  stats.stack_sys = std::min(stats.stack_sys, stats.sys);
  stats.heap_sys = std::min(stats.heap_sys, stats.sys - stats.stack_sys);
  stats.stack_inuse = std::min(stats.stack_inuse, stats.stack_sys);
  stats.heap_inuse = std::min(stats.heap_inuse, stats.heap_sys);
  stats.other_sys = stats.sys - stats.stack_sys - stats.heap_sys;
}

Result<MemoryStats> ReadMemoryStats(const ProcessDir& process) {
  MemoryStats stats;
  RETURN_IF_ERROR(AddSmaps(process, stats));
  ASSIGN_OR_RETURN(std::string statm, ReadSmall(process, "statm"));
  std::string_view fields = statm;
  stats.sys = ProductOf(NumberIn(TakeField(fields), 10).value_or(0),
                        static_cast<uint64_t>(sysconf(_SC_PAGESIZE)));
  Reconcile(stats);

  ASSIGN_OR_RETURN(std::string status, ReadSmall(process, "status"));
  for (const MemoryFigure& peak : ParseFigures(status, kPeakName)) {
    stats.max_rss = peak.value;
  }
  AppendFigures(ParseFigures(status, kStatusNames), stats.figures);
  // Not every kernel has it, and not everyone may read it.
  if (auto rollup = ReadSmall(process, "smaps_rollup"); rollup.ok()) {
    AppendFigures(ParseFigures(*rollup, kRollupNames), stats.figures);
  }
  ASSIGN_OR_RETURN(std::string stat, ReadSmall(process, "stat"));
  stats.figures.push_back({"minflt", ParseStatField(stat, kMinorFaultsField)});
  stats.figures.push_back({"majflt", ParseStatField(stat, kMajorFaultsField)});
  return stats;
}

Result<std::string> ReadExecutableMaps(const ProcessDir& process) {
  ExecutableLineKeeper keeper;
  LineSplitter splitter;
  auto feed = [&keeper](std::string_view line) { keeper.FeedLine(line); };
  uint64_t bytes = 0;
  RETURN_IF_ERROR(ReadPieces(process, "maps", [&](std::string_view piece) {
    splitter.Feed(piece, feed);
    bytes += piece.size();
    return !keeper.is_full() && bytes < kMaxMapsReadBytes;
  }));
  splitter.Finish(feed);
  return keeper.Take();
}

}  // namespace pprofd
