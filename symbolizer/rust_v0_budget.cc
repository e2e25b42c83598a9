#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "symbolizer/demangle_budget.h"

namespace pprofd {
namespace {

constexpr uint64_t kMaxPrintedBytes = 256 << 10;
constexpr uint64_t kPunctuationBytes = 16;
constexpr int kMaxDepth = 300;

// Walks the grammar of Rust's v0 mangling once. The printed size of each
// production is kept by its start, so that a back reference costs a look-up.
class RustSizer {
 public:
  explicit RustSizer(std::string_view text) : text_(text) {}

  std::optional<uint64_t> Size() {
    uint64_t size = Path();
    if (failed_) return std::nullopt;
    return size;
  }

 private:
  char Peek() const {
    return position_ < text_.size() ? text_[position_] : '\0';
  }
  char Next() {
    if (position_ >= text_.size()) failed_ = true;
    return failed_ ? '\0' : text_[position_++];
  }
  bool Take(char c) {
    if (failed_ || Peek() != c) return false;
    ++position_;
    return true;
  }
  uint64_t Base62() {
    if (Take('_')) return 0;
    uint64_t value = 0;
    while (!failed_) {
      char c = Next();
      if (c == '_') return value + 1;
      value = value * 62;
      if (c >= '0' && c <= '9') {
        value += c - '0';
      } else if (c >= 'a' && c <= 'z') {
        value += 10 + (c - 'a');
      } else if (c >= 'A' && c <= 'Z') {
        value += 36 + (c - 'A');
      } else {
        failed_ = true;
      }
    }
    return 0;
  }
  void Disambiguator() {
    if (Take('s')) Base62();
  }
  uint64_t Identifier() {
    Disambiguator();
    bool is_punycode = Take('u');
    uint64_t length = 0;
    while (Peek() >= '0' && Peek() <= '9' && length <= text_.size()) {
      length = length * 10 + (Next() - '0');
    }
    Take('_');
    if (length > text_.size() - position_) {
      failed_ = true;
      return 0;
    }
    position_ += length;
    return (is_punycode ? 4 * length : length) + kPunctuationBytes;
  }
  uint64_t BackReference() {
    auto known = sizes_.find(Base62());
    if (known != sizes_.end()) return known->second;
    failed_ = true;
    return 0;
  }

  // Runs one production, remembering its size; bounds depth and total.
  template <typename Production>
  uint64_t Sized(Production production) {
    uint64_t start = position_;
    if (++depth_ > kMaxDepth) failed_ = true;
    uint64_t size = failed_ ? 0 : production() + kPunctuationBytes;
    --depth_;
    if (size > kMaxPrintedBytes) failed_ = true;
    sizes_[start] = size;
    return size;
  }
  template <typename Item>
  uint64_t UntilEnd(Item item) {
    uint64_t size = 0;
    while (!failed_ && !Take('E')) size += item();
    return size;
  }

  uint64_t Path() {
    return Sized([this] { return PathBody(); });
  }
  uint64_t PathBody() {
    switch (Next()) {
      case 'C':
        return Identifier();
      case 'N': {
        Next();
        uint64_t size = Path();
        return size + Identifier();
      }
      case 'M':
        Disambiguator();
        Path();
        return Type();
      case 'X': {
        Disambiguator();
        Path();
        uint64_t size = Type();
        return size + Path();
      }
      case 'Y': {
        uint64_t size = Type();
        return size + Path();
      }
      case 'I': {
        uint64_t size = Path();
        return size + UntilEnd([this] { return GenericArgument(); });
      }
      case 'B':
        return BackReference();
    }
    failed_ = true;
    return 0;
  }

  uint64_t GenericArgument() {
    if (Take('L')) return Lifetime();
    if (Take('K')) return Const();
    return Type();
  }
  uint64_t Lifetime() {
    Base62();
    return kPunctuationBytes;
  }

  uint64_t Type() {
    return Sized([this] { return TypeBody(); });
  }
  uint64_t TypeBody() {
    constexpr std::string_view kBasic = "abcdefhijlmnopstuvxyz";
    char c = Peek();
    if (kBasic.find(c) != std::string_view::npos && c != 0) {
      Next();
      return kPunctuationBytes;
    }
    if (std::string_view("CNMXYI").find(c) != std::string_view::npos &&
        c != 0) {
      return PathBody();
    }
    switch (Next()) {
      case 'A': {
        uint64_t size = Type();
        return size + Const();
      }
      case 'R':
      case 'Q':
        if (Take('L')) Lifetime();
        return Type();
      case 'S':
      case 'P':
      case 'O':
        return Type();
      case 'T':
        return UntilEnd([this] { return Type(); });
      case 'F':
        return Signature();
      case 'D':
        return DynBounds();
      case 'B':
        return BackReference();
    }
    failed_ = true;
    return 0;
  }
  // `for<'a, 'b>` prints every lifetime.
  uint64_t Binder() {
    if (!Take('G')) return 0;
    uint64_t count = Base62();
    if (count > text_.size()) failed_ = true;
    return count * kPunctuationBytes;
  }
  uint64_t Signature() {
    uint64_t size = Binder();
    Take('U');
    if (Take('K') && !Take('C')) size += Identifier();
    size += UntilEnd([this] { return Type(); });
    return size + Type();
  }
  uint64_t DynBounds() {
    uint64_t size = Binder();
    size += UntilEnd([this] {
      uint64_t trait = Path();
      while (Take('p')) {
        trait += Identifier();
        trait += Type();
      }
      return trait;
    });
    if (!Take('L')) failed_ = true;
    return size + Lifetime();
  }
  uint64_t Const() {
    return Sized([this]() -> uint64_t {
      if (Take('p')) return 1;
      if (Take('B')) return BackReference();
      Next();  // the type's letter
      uint64_t start = position_;
      while (!failed_ && Next() != '_') {
      }
      return position_ - start;
    });
  }

  std::string_view text_;
  uint64_t position_ = 0;
  bool failed_ = false;
  int depth_ = 0;
  absl::flat_hash_map<uint64_t, uint64_t> sizes_;
};

}  // namespace

bool IsWithinRustDemangleBudget(std::string_view mangled) {
  if (!mangled.starts_with("_R")) return false;
  return RustSizer(mangled.substr(2)).Size().has_value();
}

}  // namespace pprofd
