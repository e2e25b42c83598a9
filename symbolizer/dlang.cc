#include "symbolizer/dlang.h"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace pprofd {
namespace {

constexpr std::string_view kPrefix = "_D";

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsUpper(char c) { return c >= 'A' && c <= 'Z'; }
bool IsLower(char c) { return c >= 'a' && c <= 'z'; }
bool IsHexDigit(char c) { return IsDigit(c) || (c >= 'A' && c <= 'F'); }

// As they are written in the source.
std::string_view SourceName(std::string_view name) {
  if (name == "__ctor") return "this";
  if (name == "__dtor") return "~this";
  if (name == "__postblit") return "this(this)";
  return name;
}

// Blocks that only tell apart two declarations of one name: __S1.
bool IsNumberedBlock(std::string_view name) {
  return name.size() > 3 && name.starts_with("__S") &&
         std::all_of(name.begin() + 3, name.end(), IsDigit);
}

// Reads the grammar of D's ABI from left to right. Every function returns false
// where the text does not fit.
class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  std::optional<std::string> Run() {
    std::string name;
    if (!Take(kPrefix) || !Qualified(&name)) return std::nullopt;
    if (name.empty() || !TypeOfSymbol() || !AtEnd()) return std::nullopt;
    return name;
  }

 private:
  static constexpr int kMaxDepth = 64;
  // A function that may be around what follows is read twice if it is not, and
  // so is what is in it.
  static constexpr int kMaxSteps = 20'000;

  // Counts nesting for as long as it lives.
  class Nesting {
   public:
    explicit Nesting(Parser* parser) : parser_(parser) {
      ++parser_->depth_;
      ++parser_->steps_;
    }
    ~Nesting() { --parser_->depth_; }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;
    bool is_too_much() const {
      return parser_->depth_ > kMaxDepth || parser_->steps_ > kMaxSteps;
    }

   private:
    Parser* parser_;
  };

  bool AtEnd() const { return at_ >= text_.size(); }
  char Next() const { return AtEnd() ? '\0' : text_[at_]; }
  char After() const { return at_ + 1 < text_.size() ? text_[at_ + 1] : '\0'; }
  bool Take(std::string_view word) {
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }
  bool TakeOneOf(std::string_view letters) {
    if (AtEnd() || letters.find(Next()) == std::string_view::npos) return false;
    ++at_;
    return true;
  }
  bool Digits() {
    if (!IsDigit(Next())) return false;
    while (IsDigit(Next())) ++at_;
    return true;
  }
  bool Number(uint64_t* value) {
    if (!IsDigit(Next())) return false;
    *value = 0;
    for (; IsDigit(Next()); ++at_) {
      if (*value > UINT32_MAX) return false;
      *value = *value * 10 + static_cast<uint64_t>(Next() - '0');
    }
    return true;
  }
  // What follows a Q: how far back, in base 26, the last digit in lower case.
  bool BackReference(size_t* target) {
    size_t from = at_;
    if (!Take("Q")) return false;
    uint64_t distance = 0;
    for (; IsUpper(Next()); ++at_) {
      if (distance > UINT32_MAX) return false;
      distance = distance * 26 + static_cast<uint64_t>(Next() - 'A');
    }
    if (!IsLower(Next())) return false;
    distance = distance * 26 + static_cast<uint64_t>(Next() - 'a');
    ++at_;
    if (distance == 0 || distance > from) return false;
    *target = from - distance;
    return true;
  }
  // Does a symbol's name begin here? A Q may also stand for a type.
  bool IsAtSymbol() {
    if (IsDigit(Next()) || text_.substr(at_).starts_with("__T") ||
        text_.substr(at_).starts_with("__U")) {
      return true;
    }
    size_t start = at_;
    size_t target = 0;
    bool is_symbol = BackReference(&target) && IsDigit(text_[target]);
    at_ = start;
    return is_symbol;
  }

  // A symbol that only compilers know has none; M: it is called with `this`.
  bool TypeOfSymbol() {
    if (Take("Z")) return true;
    Take("M");
    return Type();
  }
  // `name` may be nullptr: it is only read past, then.
  bool Qualified(std::string* name) {
    Nesting nesting(this);
    if (nesting.is_too_much() || !IsAtSymbol()) return false;
    while (IsAtSymbol()) {
      if (!Symbol(name)) return false;
      if (!IsAtSymbol()) SkipFunctionAround();
    }
    return true;
  }
  // The parameters of a function that the next symbol is declared in.
  void SkipFunctionAround() {
    size_t start = at_;
    if (Take("M")) TypeModifiers();
    if (!FunctionWithoutReturn() || !IsAtSymbol()) at_ = start;
  }
  bool Symbol(std::string* name) {
    if (Next() == 'Q') {
      size_t target = 0;
      if (!BackReference(&target)) return false;
      size_t end = std::exchange(at_, target);
      bool is_good = Identifier(name);
      at_ = end;
      return is_good;
    }
    if (Next() == '_') return Template(name);
    return Identifier(name);
  }
  bool Identifier(std::string* name) {
    if (Take("0")) return true;  // of no name
    uint64_t length = 0;
    if (!Number(&length) || length > text_.size() - at_) return false;
    std::string_view identifier = text_.substr(at_, length);
    // In older compilers' names a template has a length as well.
    size_t end = at_ + length;
    if (identifier.starts_with("__T") || identifier.starts_with("__U")) {
      size_t before = name != nullptr ? name->size() : 0;
      if (Template(name) && at_ == end) return true;
      if (name != nullptr) name->resize(before);
    }
    at_ = end;
    return IsNumberedBlock(identifier) || Append(identifier, name);
  }
  // The member of a template that has its name is what is meant by it.
  bool Append(std::string_view identifier, std::string* name) {
    if (name == nullptr) return true;
    bool is_same = name->size() == template_end_ &&
                   name->substr(name->rfind('.') + 1) == identifier;
    template_end_ = 0;
    if (is_same) return true;
    if (name->size() + identifier.size() >= kMaxDlangBytes) return false;
    if (!name->empty()) *name += '.';
    *name += SourceName(identifier);
    return true;
  }
  bool Template(std::string* name) {
    Nesting nesting(this);
    if (nesting.is_too_much()) return false;
    if (!Take("__T") && !Take("__U")) return false;
    if (!IsAtSymbol() || Next() == '_' || !Symbol(name)) return false;
    while (!Take("Z")) {
      if (!TemplateArgument()) return false;
    }
    if (name != nullptr) template_end_ = name->size();
    return true;
  }
  bool TemplateArgument() {
    Take("H");
    if (Take("T")) return Type();
    if (Take("V")) {
      bool is_map = IsMapType();
      return Type() && Value(is_map);
    }
    if (Take("X")) {
      uint64_t length = 0;
      if (!Number(&length) || length > text_.size() - at_) return false;
      at_ += length;
      return true;
    }
    if (!Take("S")) return false;
    if (Take(kPrefix)) return Qualified(nullptr) && TypeOfSymbol();
    return Qualified(nullptr);
  }
  bool IsMapType() {
    if (Next() != 'Q') return Next() == 'H';
    size_t start = at_;
    size_t target = 0;
    bool is_map = BackReference(&target) && text_[target] == 'H';
    at_ = start;
    return is_map;
  }

  bool Value(bool is_map) {
    Nesting nesting(this);
    if (nesting.is_too_much()) return false;
    if (Take("n")) return true;
    if (TakeOneOf("iN") || IsDigit(Next())) return Digits();
    if (Take("e")) return Float();
    if (Take("c")) return Float() && Take("c") && Float();
    if (Take("f")) return Take(kPrefix) && Qualified(nullptr) && TypeOfSymbol();
    if (TakeOneOf("awd")) return Characters();
    bool is_array = Next() == 'A';
    uint64_t count = 0;
    if (!TakeOneOf("AS") || !Number(&count)) return false;
    if (is_array && is_map) count *= 2;
    for (; count > 0; --count) {
      if (AtEnd() || !Value(false)) return false;
    }
    return true;
  }
  bool Characters() {
    uint64_t count = 0;
    if (!Number(&count) || !Take("_")) return false;
    if (count > text_.size() || text_.size() - at_ < 2 * count) return false;
    at_ += 2 * count;
    return true;
  }
  bool Float() {
    if (Take("NAN") || Take("INF") || Take("NINF")) return true;
    Take("N");
    if (!IsHexDigit(Next())) return false;
    while (IsHexDigit(Next())) ++at_;
    if (!Take("P")) return false;
    Take("N");
    return Digits();
  }

  void TypeModifiers() {
    while (TakeOneOf("xyO") || Take("Ng")) {
    }
  }
  bool Type() {
    Nesting nesting(this);
    if (nesting.is_too_much()) return false;
    TypeModifiers();
    size_t target = 0;
    switch (Next()) {
      case 'Q':
        return BackReference(&target);
      case 'A':
      case 'P':
        ++at_;
        return Type();
      case 'G':
        ++at_;
        return Digits() && Type();
      case 'H':
        ++at_;
        return Type() && Type();
      case 'C':
      case 'E':
      case 'I':
      case 'S':
      case 'T':
        ++at_;
        return Qualified(nullptr);
      case 'D':
        ++at_;
        TypeModifiers();
        return Next() == 'Q' ? BackReference(&target) : Function();
      case 'B':
        ++at_;
        return Parameters() && Take("Z");
      case 'N':
        if (Take("Nh")) return Type();
        return Take("Nn");
      case 'z':
        return Take("zi") || Take("zk");
      case 'F':
      case 'R':
      case 'U':
      case 'V':
      case 'W':
      case 'Y':
        return Function();
    }
    return TakeOneOf("vghstiklmfdeopjqrcbauwn");
  }
  bool Function() { return FunctionWithoutReturn() && Type(); }
  bool FunctionWithoutReturn() {
    if (!TakeOneOf("FUWVRY")) return false;
    while (Next() == 'N' && std::string_view("abcdefijlm").find(After()) !=
                                std::string_view::npos) {
      at_ += 2;
    }
    return Parameters() && TakeOneOf("XYZ");
  }
  // Up to the letter that closes them.
  bool Parameters() {
    while (!AtEnd() && Next() != 'X' && Next() != 'Y' && Next() != 'Z') {
      while (Take("M") || Take("Nk")) {
      }
      bool is_in = Next() == 'I' && !IsDigit(After());  // or a type's letter
      if (is_in) ++at_;
      TakeOneOf("JKL");
      if (!Type()) return false;
    }
    return !AtEnd();
  }

  const std::string_view text_;
  size_t at_ = 0;
  size_t template_end_ = 0;  // of the name's last part, if that is one
  int depth_ = 0;
  int steps_ = 0;
};

}  // namespace

std::optional<std::string> DemangleDlang(std::string_view linkage_name) {
  if (linkage_name == "_Dmain") return "D main";
  if (linkage_name.size() > kMaxDlangBytes) return std::nullopt;
  return Parser(linkage_name).Run();
}

}  // namespace pprofd
