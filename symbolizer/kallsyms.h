// Kallsyms: functions of the kernel, its modules and BPF programs.
//
// /proc/kallsyms has about 200,000 lines and costs the kernel a tenth of a
// second to print, so it is read only when something changed. Functions have no
// sizes there: one ends where the next symbol begins, of whatever kind. Owns:
// the table: 12 bytes a function and the text of the names. Thread: one owner.
// Bound: kMaxSymbols.
// Fails: Denied when the kernel hides addresses (kptr_restrict).
#ifndef SYMBOLIZER_KALLSYMS_H_
#define SYMBOLIZER_KALLSYMS_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/base/status.h"

namespace pprofd {

class KallsymsTable {
 public:
  static constexpr size_t kMaxSymbols = 4 << 20;

  struct Symbol {
    std::string_view name;  // lives as long as the table
    bool is_bpf = false;
  };

  // Takes the text piece by piece, at any cut.
  void Append(std::string_view text);
  // Sorts; REQUIRES: all text was appended. Find() works from here on.
  void Finish();

  std::optional<Symbol> Find(uint64_t address) const;
  size_t symbol_count() const { return addresses_.size(); }
  // All addresses read as zero.
  bool is_hidden() const { return has_lines_ && !has_address_; }
  size_t bytes() const {
    return addresses_.capacity() * sizeof(uint64_t) +
           names_.capacity() * sizeof(uint32_t) + text_.capacity();
  }

 private:
  static constexpr uint32_t kBpfBit = uint32_t{1} << 31;
  static constexpr uint32_t kNotCode = kBpfBit - 1;

  struct Entry {
    uint64_t address = 0;
    uint32_t name = kNotCode;  // offset in text_, and kBpfBit
    uint32_t rank = 0;         // global before weak before local before data
  };

  void AddLine(std::string_view line);
  std::string_view NameAt(uint32_t name) const;

  std::string rest_;            // of a line that was cut
  std::vector<Entry> entries_;  // until Finish()
  bool has_lines_ = false;
  bool has_address_ = false;
  std::vector<uint64_t> addresses_;
  std::vector<uint32_t> names_;  // as in Entry
  std::string text_;             // names, each with a NUL
};

// Keeps a table up to date with the files of /proc.
class Kallsyms {
 public:
  using Clock = std::chrono::steady_clock;
  using NowFunction = std::function<Clock::time_point()>;
  explicit Kallsyms(std::string proc = "/proc", NowFunction now = Clock::now)
      : proc_(std::move(proc)), now_(std::move(now)) {}

  // Reads the first time, and again if modules came or went.
  Status Refresh();
  // The view is good until the next call. Reads again when the address is
  // unknown or in a BPF program: those come and go without a trace, and where
  // one ends is not known, so that a new one passes for the one before it. Not
  // sooner than kMinInterval and kLoadFactor times what reading took last.
  std::optional<std::string_view> Find(uint64_t address);
  size_t bytes() const { return table_.bytes(); }
  size_t symbol_count() const { return table_.symbol_count(); }

  static constexpr std::chrono::seconds kMinInterval{2};
  static constexpr int kLoadFactor = 50;  // 2 % of one CPU at most

 private:
  Status Load();

  std::string proc_;
  NowFunction now_;
  KallsymsTable table_;
  std::string modules_;  // names, sizes, addresses of /proc/modules
  Clock::time_point loaded_;
  Clock::duration load_time_{};
  bool is_loaded_ = false;
};

}  // namespace pprofd

#endif  // SYMBOLIZER_KALLSYMS_H_
