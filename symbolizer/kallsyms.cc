#include "symbolizer/kallsyms.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <functional>
#include <tuple>

#include "daemon/base/unique_handle.h"

namespace pprofd {
namespace {

constexpr size_t kMaxLineBytes = 4096;
constexpr size_t kMaxModulesBytes = 4 << 20;

// Hands the content of a file to `sink` piece by piece.
Status ReadPieces(const std::string& path,
                  const std::function<void(std::string_view)>& sink) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return Status::FromErrno(errno, path);
  std::array<char, 65536> buffer;
  for (;;) {
    ssize_t n = read(fd.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Status::FromErrno(errno, path);
    if (n == 0) return Status::Ok();
    sink(std::string_view(buffer.data(), n));
  }
}

// The next blank-separated word of `line`.
std::string_view TakeWord(std::string_view& line) {
  size_t start = line.find_first_not_of(" \t");
  if (start == std::string_view::npos) {
    line = {};
    return {};
  }
  size_t end = std::min(line.find_first_of(" \t", start), line.size());
  std::string_view word = line.substr(start, end - start);
  line.remove_prefix(end);
  return word;
}

uint32_t RankOf(char type) {
  constexpr std::string_view kByRank = "TWwt";
  return static_cast<uint32_t>(std::min(kByRank.find(type), kByRank.size()));
}

size_t LeadingUnderscores(std::string_view name) {
  return std::min(name.find_first_not_of('_'), name.size());
}

// What tells that modules came or went: not their reference counts.
std::string SummarizeModules(std::string_view text) {
  std::string summary;
  while (!text.empty()) {
    size_t newline = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, newline);
    text.remove_prefix(std::min(newline + 1, text.size()));
    for (int field = 0; field < 6; ++field) {
      std::string_view word = TakeWord(line);
      if (field != 2 && field != 3) summary.append(word).append(" ");
    }
  }
  return summary;
}

}  // namespace

void KallsymsTable::Append(std::string_view text) {
  while (!text.empty()) {
    size_t newline = text.find('\n');
    if (newline == std::string_view::npos) {
      if (rest_.size() + text.size() <= kMaxLineBytes) rest_ += text;
      return;
    }
    if (rest_.empty()) {
      AddLine(text.substr(0, newline));
    } else {
      rest_ += text.substr(0, newline);
      AddLine(std::exchange(rest_, {}));
    }
    text.remove_prefix(newline + 1);
  }
}

void KallsymsTable::AddLine(std::string_view line) {
  std::string_view address_text = TakeWord(line);
  std::string_view type = TakeWord(line);
  std::string_view name = TakeWord(line);
  std::string_view module = TakeWord(line);
  uint64_t address = 0;
  auto [end, error] =
      std::from_chars(address_text.data(),
                      address_text.data() + address_text.size(), address, 16);
  if (error != std::errc() || type.size() != 1 || name.empty()) return;
  has_lines_ = true;
  if (address == 0 || entries_.size() >= kMaxSymbols ||
      text_.size() + name.size() + 1 >= kNotCode) {
    return;
  }
  has_address_ = true;
  Entry entry{.address = address, .rank = RankOf(type[0])};
  if (entry.rank < 4) {
    entry.name = static_cast<uint32_t>(text_.size());
    if (module == "[bpf]") entry.name |= kBpfBit;
    text_.append(name).push_back('\0');
  }
  entries_.push_back(entry);
}

std::string_view KallsymsTable::NameAt(uint32_t name) const {
  if (name == kNotCode) return {};
  return text_.c_str() + (name & ~kBpfBit);
}

void KallsymsTable::Finish() {
  if (!rest_.empty()) AddLine(std::exchange(rest_, {}));
  std::sort(
      entries_.begin(), entries_.end(), [this](const Entry& a, const Entry& b) {
        if (a.address != b.address) return a.address < b.address;
        if (a.rank != b.rank) return a.rank < b.rank;
        std::string_view a_name = NameAt(a.name);
        std::string_view b_name = NameAt(b.name);
        return std::tuple(LeadingUnderscores(a_name), a_name.size(), a_name) <
               std::tuple(LeadingUnderscores(b_name), b_name.size(), b_name);
      });
  std::string kept_text;
  for (size_t i = 0; i < entries_.size(); ++i) {
    const Entry& entry = entries_[i];
    if (i > 0 && entry.address == entries_[i - 1].address) continue;
    bool is_code = entry.name != kNotCode;
    if (!is_code && (names_.empty() || names_.back() == kNotCode)) continue;
    addresses_.push_back(entry.address);
    if (!is_code) {
      names_.push_back(kNotCode);
      continue;
    }
    names_.push_back(static_cast<uint32_t>(kept_text.size()) |
                     (entry.name & kBpfBit));
    kept_text.append(NameAt(entry.name)).push_back('\0');
  }
  entries_ = {};
  text_ = std::move(kept_text);
  text_.shrink_to_fit();
  addresses_.shrink_to_fit();
  names_.shrink_to_fit();
}

std::optional<KallsymsTable::Symbol> KallsymsTable::Find(
    uint64_t address) const {
  auto after = std::upper_bound(addresses_.begin(), addresses_.end(), address);
  if (after == addresses_.begin()) return std::nullopt;
  uint32_t name = names_[after - addresses_.begin() - 1];
  if (name == kNotCode) return std::nullopt;
  return Symbol{.name = NameAt(name), .is_bpf = (name & kBpfBit) != 0};
}

Status Kallsyms::Refresh() {
  std::string text;
  // Absent on kernels without modules.
  (void)ReadPieces(proc_ + "/modules", [&](std::string_view piece) {
    if (text.size() < kMaxModulesBytes) text += piece;
  });
  std::string modules = SummarizeModules(text);
  if (is_loaded_ && modules == modules_) return Status::Ok();
  modules_ = std::move(modules);
  return Load();
}

Status Kallsyms::Load() {
  is_loaded_ = true;
  auto started = now_();
  loaded_ = started;
  KallsymsTable table;
  RETURN_IF_ERROR(ReadPieces(proc_ + "/kallsyms", [&](std::string_view piece) {
    table.Append(piece);
  }));
  table.Finish();
  table_ = std::move(table);
  loaded_ = now_();
  load_time_ = loaded_ - started;
  if (table_.is_hidden()) {
    return Status(StatusCode::kDenied,
                  "/proc/kallsyms shows no addresses (kernel.kptr_restrict, "
                  "CAP_SYSLOG)");
  }
  return Status::Ok();
}

std::optional<std::string_view> Kallsyms::Find(uint64_t address) {
  auto symbol = table_.Find(address);
  if (!symbol || symbol->is_bpf) {
    auto interval =
        std::max<Clock::duration>(kMinInterval, kLoadFactor * load_time_);
    bool is_stale = now_() - loaded_ >= interval;
    if (is_stale && Load().ok()) symbol = table_.Find(address);
  }
  if (!symbol) return std::nullopt;
  return symbol->name;
}

}  // namespace pprofd
