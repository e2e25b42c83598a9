// SymbolStore: where names outlive the process that found them.
//
// A key stands for the content of the files that names were made from, so that
// whoever has the same files shares them. The symbolizer can open nothing:
// whoever starts it gives it a store. What a store returns is checked like any
// other bytes from outside.
// Thread: as the implementation says; the symbolizer calls from any.
#ifndef SYMBOLIZER_SYMBOL_STORE_H_
#define SYMBOLIZER_SYMBOL_STORE_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "daemon/base/status.h"
#include "daemon/base/unique_handle.h"

namespace pprofd {

// 64 lower-case hexadecimal digits, and nothing that a path could be made of.
inline constexpr size_t kSymbolKeyDigits = 64;
inline bool IsSymbolKey(std::string_view key) {
  return key.size() == kSymbolKeyDigits &&
         key.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

class SymbolStore {
 public:
  enum class Purpose {
    kLookUp,  // counts as a hit or a miss
    kMerge,   // what is there is about to be replaced by more
  };

  virtual ~SymbolStore() = default;
  // A regular file for reading, whose content never changes. NotFound.
  virtual Result<UniqueFd> Load(const std::string& key, Purpose purpose) = 0;
  // Replaces what is there, whole or not at all.
  virtual Status Save(const std::string& key,
                      std::span<const uint8_t> bytes) = 0;
  // For what made no sense.
  virtual void Discard(const std::string& key) = 0;
};

}  // namespace pprofd

#endif  // SYMBOLIZER_SYMBOL_STORE_H_
