#include <algorithm>
#include <iomanip>
#include <list>
#include <set>
#include <sstream>
#include <unordered_map>

#include "ledger.h"

namespace ledger {
namespace {

int Helper(const Account& account) {
  return account.serial % 7 + static_cast<int>(account.size());
}

inline namespace v2 {
class Table {
 public:
  Table& operator<<(const std::string& cell) {
    widths_[cells_.size() % kColumns] =
        std::max(widths_[cells_.size() % kColumns], cell.size());
    cells_.push_back(cell);
    return *this;
  }
  template <typename T>
    requires std::is_arithmetic_v<T>
  Table& operator<<(T number) {
    std::ostringstream out;
    out << std::setprecision(3) << number;
    return *this << out.str();
  }
  std::string operator()() const {
    std::ostringstream out;
    for (size_t i = 0; i < cells_.size(); ++i) {
      out << std::setw(static_cast<int>(widths_[i % kColumns])) << cells_[i]
          << (i % kColumns == kColumns - 1 ? '\n' : '|');
    }
    return out.str();
  }

 private:
  static constexpr size_t kColumns = 4;
  size_t widths_[kColumns] = {};
  std::vector<std::string> cells_;
};
}  // namespace v2

template <typename Container>
std::string Join(const Container& parts, std::string_view between) {
  std::string out;
  for (const auto& part : parts) {
    if (!out.empty()) out += between;
    out += part;
  }
  return out;
}

}  // namespace

std::string FormatReport(
    const std::vector<std::unique_ptr<Account>>& accounts) {
  Table table;
  std::unordered_map<std::string, std::list<std::string>> senders;
  std::set<std::string> words;
  for (const auto& account : accounts) {
    table << account->Name() << account->Balance().value
          << account->Score(Helper(*account)) << account->size();
    account->ForEach([&](const Entry& entry) {
      if (auto* deposit = std::get_if<Deposit>(&entry)) {
        senders[deposit->from].push_back(account->Name());
      } else if (auto* note = std::get_if<Note>(&entry)) {
        words.insert(note->words.begin(), note->words.end());
      }
    });
  }
  std::vector<std::string> lines;
  std::transform(senders.begin(), senders.end(), std::back_inserter(lines),
                 [](auto& pair) {
                   pair.second.sort(std::greater<>());
                   pair.second.unique();
                   return pair.first + ": " + Join(pair.second, ", ");
                 });
  std::stable_sort(lines.begin(), lines.end());
  return table() + Join(lines, "\n") + "\n" + Join(words, " ") + "\n";
}

}  // namespace ledger
