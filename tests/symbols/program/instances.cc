// Whole classes of the standard library, so that there is much code in all.
#include <deque>
#include <functional>
#include <list>
#include <regex>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "ledger.h"

namespace ledger {

struct Tag {
  std::string text;
  int weight = 0;
  auto operator<=>(const Tag&) const = default;
};
struct TagHash {
  size_t operator()(const Tag& tag) const {
    return std::hash<std::string>()(tag.text) * 31 + tag.weight;
  }
};

}  // namespace ledger

template class std::vector<ledger::Tag>;
template class std::vector<std::vector<ledger::Tag>>;
template class std::deque<ledger::Tag>;
template class std::list<ledger::Tag>;
template class std::map<std::string, ledger::Tag>;
template class std::map<int, std::deque<ledger::Tag>>;
template class std::set<ledger::Tag>;
template class std::multimap<double, ledger::Tag>;
template class std::unordered_map<ledger::Tag, std::string, ledger::TagHash>;
template class std::unordered_multimap<int, ledger::Tag>;
template class std::unordered_set<ledger::Tag, ledger::TagHash>;
template class std::basic_string<char16_t>;
template class std::basic_regex<wchar_t>;
template class std::function<ledger::Tag(const ledger::Tag&, int)>;
template class std::optional<std::vector<ledger::Tag>>;
template class std::variant<int, ledger::Tag, std::vector<ledger::Tag>>;
