#include "daemon/profile/string_table.h"

#include <utility>

#include "daemon/profile/utf8.h"

namespace pprofd {

StringIndex StringTable::Add(std::string_view text) {
  auto known = index_.find(text);
  if (known != index_.end()) return known->second;
  std::string_view cut = text.substr(0, kMaxTextBytes);
  std::string clean;
  if (!IsValidUtf8(cut)) {
    // Replacing makes a text longer, cutting may split a character.
    clean = ReplaceBadUtf8(cut.substr(0, kMaxTextBytes / 3));
    cut = clean;
  }
  known = index_.find(cut);
  if (known != index_.end()) return known->second;
  auto index = static_cast<StringIndex>(texts_.size());
  texts_.emplace_back(cut);
  index_.emplace(texts_.back(), index);
  return index;
}

std::vector<std::string> StringTable::Take() && {
  index_.clear();
  return {std::make_move_iterator(texts_.begin()),
          std::make_move_iterator(texts_.end())};
}

}  // namespace pprofd
