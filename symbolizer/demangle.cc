#include "symbolizer/demangle.h"

#include <llvm/Demangle/Demangle.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <optional>
#include <vector>

#include "symbolizer/demangle_budget.h"
#include "symbolizer/dlang.h"
#include "symbolizer/rust_legacy.h"

namespace pprofd {
namespace {

// Takes a malloc'ed text; "" for null.
std::string TakeText(char* text) {
  std::unique_ptr<char, void (*)(void*)> owned(text, std::free);
  return owned ? std::string(owned.get()) : std::string();
}

bool IsIdentifier(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
         (c >= 'A' && c <= 'Z') || c == '_' || c == '$' ||
         static_cast<unsigned char>(c) >= 0x80;
}

// Length of "operator" and its symbol at the start of `text`, 0 if there is
// none. What follows tells `operator<` with arguments from `operator<<`.
size_t OperatorLength(std::string_view text) {
  constexpr std::string_view kWord = "operator";
  static constexpr std::array<std::string_view, 14> kSymbols{
      "()", "[]", "<=>", "<<=", ">>=", "->*", "->",
      "<=", ">=", "<<",  ">>",  "<",   ">",   "\"\""};
  if (!text.starts_with(kWord)) return 0;
  std::string_view rest = text.substr(kWord.size());
  if (!rest.empty() && IsIdentifier(rest[0])) return 0;
  for (std::string_view symbol : kSymbols) {
    if (!rest.starts_with(symbol)) continue;
    char next = rest.size() > symbol.size() ? rest[symbol.size()] : '(';
    bool is_less_with_arguments = symbol == "<<" && next != '(' && next != '<';
    if (is_less_with_arguments) continue;
    return kWord.size() + symbol.size();
  }
  return kWord.size();
}

// Offset behind the bracket that closes the one at `open`; the end of the text
// if there is none.
size_t SkipBrackets(std::string_view text, size_t open) {
  std::vector<char> closers;
  for (size_t i = open; i < text.size(); ++i) {
    if (size_t length = OperatorLength(text.substr(i));
        length > 0 && (i == 0 || !IsIdentifier(text[i - 1]))) {
      i += length - 1;
      continue;
    }
    switch (text[i]) {
      case '(':
        closers.push_back(')');
        break;
      case '{':
        closers.push_back('}');
        break;
      case '<':
        // Comparisons are printed in parentheses, with blanks around.
        if (i != open && text[i - 1] == ' ' && closers.back() == ')') break;
        closers.push_back('>');
        break;
      case '>':
        if (text[i - 1] == '-') break;  // arrow
        [[fallthrough]];
      case ')':
      case '}':
        if (closers.back() == text[i]) closers.pop_back();
        break;
    }
    if (closers.empty()) return i + 1;
  }
  return text.size();
}

size_t SkipQualifiers(std::string_view text, size_t offset) {
  static constexpr std::array<std::string_view, 5> kQualifiers{
      " const", " volatile", " restrict", " &&", " &"};
  bool found = true;
  while (found) {
    found = false;
    for (std::string_view qualifier : kQualifiers) {
      if (text.substr(offset).starts_with(qualifier)) {
        offset += qualifier.size();
        found = true;
      }
    }
  }
  return offset;
}

// 'lambda0'(int) → {lambda(int)#2}, 'unnamed' → {unnamed type#1}: the form
// that other tools print. Deeper inside of one another than kMaxClosures they
// stay as they are.
std::string RenameClosures(std::string_view text, int depth = 0) {
  constexpr int kMaxClosures = 16;
  if (depth > kMaxClosures) return std::string(text);
  std::string out;
  size_t i = 0;
  while (i < text.size()) {
    bool is_lambda = text.substr(i).starts_with("'lambda");
    if (!is_lambda && !text.substr(i).starts_with("'unnamed")) {
      out += text[i++];
      continue;
    }
    size_t digits = i + (is_lambda ? 7 : 8);
    size_t quote = text.find('\'', digits);
    if (quote == std::string_view::npos || quote - digits > 9) {
      out += text[i++];
      continue;
    }
    std::string number(text.substr(digits, quote - digits));
    uint64_t ordinal =
        number.empty() ? 1 : std::strtoul(number.c_str(), nullptr, 10) + 2;
    i = quote + 1;
    std::string parameters;
    if (is_lambda && i < text.size() && text[i] == '(') {
      size_t end = SkipBrackets(text, i);
      parameters = RenameClosures(text.substr(i, end - i), depth + 1);
      i = end;
    }
    out += is_lambda ? "{lambda" + parameters : std::string("{unnamed type");
    out += "#" + std::to_string(ordinal) + "}";
  }
  return out;
}

std::string StripTemplates(std::string_view name) {
  std::string out;
  for (size_t i = 0; i < name.size();) {
    size_t length = OperatorLength(name.substr(i));
    if (length > 0 && (i == 0 || !IsIdentifier(name[i - 1]))) {
      out += name.substr(i, length);
      i += length;
    } else if (name[i] == '<') {
      i = SkipBrackets(name, i);
    } else {
      out += name[i++];
    }
  }
  return out;
}

// "void ns::f<int>(int)::{lambda()#1}" without the return type of f.
std::string DropReturnType(const std::string& name) {
  size_t start = 0;
  for (size_t i = 0; i < name.size();) {
    if (name[i] == '(' || name[i] == '<' || name[i] == '{') {
      i = SkipBrackets(name, i);
      i = SkipQualifiers(name, i);
      continue;
    }
    if (OperatorLength(std::string_view(name).substr(i)) > 0 &&
        (i == 0 || !IsIdentifier(name[i - 1]))) {
      break;
    }
    if (name[i] == ' ') start = i + 1;
    ++i;
  }
  return name.substr(start);
}

// `name` up to its n-th dot: _ZN…E.isra.0 without the suffix of a copy. GCC
// puts dots into the names of coroutine frames too, so that more than one cut
// may have to be tried.
std::string CutAtDot(const std::string& name, int n) {
  size_t dot = 0;
  for (int i = 0; i < n && dot != std::string::npos; ++i) {
    dot = name.find('.', dot + 1);
  }
  return dot == std::string::npos ? name : name.substr(0, dot);
}

// The part of a name that parses, without the suffixes of copies; "" for none.
std::string FindItanium(const std::string& linkage_name) {
  constexpr int kMaxCuts = 6;
  for (int n = 1; n <= kMaxCuts; ++n) {
    std::string mangled = CutAtDot(linkage_name, n);
    if (IsWithinDemangleBudget(mangled)) return mangled;
    if (mangled.size() == linkage_name.size()) break;
  }
  return "";
}

std::optional<std::string> DemangleItanium(const std::string& linkage_name,
                                           DemangleStyle style) {
  std::string mangled = FindItanium(linkage_name);  // the tree points into it
  llvm::ItaniumPartialDemangler demangler;
  if (mangled.empty() || demangler.partialDemangle(mangled.c_str())) {
    return std::nullopt;
  }
  if (style == DemangleStyle::kFull || !demangler.isFunction()) {
    std::string full =
        RenameClosures(TakeText(demangler.finishDemangle(nullptr, nullptr)));
    if (full.empty()) return std::nullopt;
    if (style == DemangleStyle::kFull) return full;
    return StripParameters(full, style == DemangleStyle::kTemplates);
  }
  bool keep_templates = style == DemangleStyle::kTemplates;
  std::string context =
      TakeText(demangler.getFunctionDeclContextName(nullptr, nullptr));
  std::string base = TakeText(demangler.getFunctionBaseName(nullptr, nullptr));
  std::string name = TakeText(demangler.getFunctionName(nullptr, nullptr));
  if (name.empty()) return std::nullopt;
  // Constructors and destructors of closures have no name to repeat.
  if (name.ends_with("::") || name.ends_with("::~")) name += "{lambda}";
  std::string prefix = context.empty() ? base : context + "::" + base;
  if (base.empty() || base == "~" || !name.starts_with(prefix)) {
    return StripParameters(DropReturnType(RenameClosures(name)),
                           keep_templates);
  }
  std::string out =
      StripParameters(DropReturnType(RenameClosures(context)), keep_templates);
  if (!out.empty()) out += "::";
  if (!keep_templates) return out + StripTemplates(RenameClosures(base));
  return out + RenameClosures(base + name.substr(prefix.size()));
}

// Drops `::<…>`, but neither `<T as Trait>::` nor `Vec<T>`.
std::string StripTurbofish(std::string_view name) {
  std::string out;
  for (size_t i = 0; i < name.size();) {
    if (name.substr(i).starts_with("::<")) {
      i = SkipBrackets(name, i + 2);
    } else {
      out += name[i++];
    }
  }
  return out;
}

// Rust v0 names are ASCII words; a suffix of the linker starts with a dot.
std::optional<std::string> DemangleRustV0(const std::string& linkage_name,
                                          DemangleStyle style) {
  std::string mangled = CutAtDot(linkage_name, 1);
  if (!IsWithinRustDemangleBudget(mangled)) return std::nullopt;
  std::string text = TakeText(llvm::rustDemangle(mangled));
  if (text.empty()) return std::nullopt;
  return style == DemangleStyle::kShort ? StripTurbofish(text) : text;
}

}  // namespace

std::string StripParameters(std::string_view name, bool keep_templates) {
  constexpr std::string_view kAnonymous = "(anonymous namespace)";
  std::string out;
  for (size_t i = 0; i < name.size();) {
    std::string_view rest = name.substr(i);
    size_t length = OperatorLength(rest);
    if (length > 0 && (i == 0 || !IsIdentifier(name[i - 1]))) {
      out += rest.substr(0, length);
      i += length;
    } else if (rest.starts_with(kAnonymous)) {
      out += kAnonymous;
      i += kAnonymous.size();
    } else if (name[i] == '(') {
      i = SkipQualifiers(name, SkipBrackets(name, i));
    } else if (name[i] == '<' || name[i] == '{') {
      size_t end = SkipBrackets(name, i);
      std::string_view group = name.substr(i, end - i);
      if (keep_templates) {
        out += group;
      } else if (name[i] == '{') {
        out += StripTemplates(group);
      }
      i = end;
    } else {
      out += name[i++];
    }
  }
  return out;
}

std::string PresentSourceName(const std::string& name, DemangleStyle style) {
  constexpr std::string_view kLambda = "<lambda";
  bool is_cplusplus = name.find('<') != std::string::npos ||
                      name.find("::") != std::string::npos;
  if (style == DemangleStyle::kNone || !is_cplusplus ||
      name.size() > kMaxMangledBytes) {
    return name;
  }
  std::string renamed;
  for (size_t i = 0; i < name.size();) {
    std::string_view rest = std::string_view(name).substr(i);
    size_t end = rest.starts_with(kLambda) ? SkipBrackets(name, i) : i;
    if (end > i + 1) {
      renamed += "{" + name.substr(i + 1, end - i - 2) + "}";
      i = end;
    } else {
      renamed += name[i++];
    }
  }
  return style == DemangleStyle::kShort ? StripParameters(renamed, false)
                                        : renamed;
}

bool LooksMangled(std::string_view name) {
  return name.starts_with("_Z") || name.starts_with("_R") ||
         name.starts_with("_D");
}

bool ResistsDemangling(const std::string& linkage_name) {
  static constexpr std::array<std::string_view, 3> kForms{"srN", "srSt", "CI4"};
  if (linkage_name.size() > kMaxMangledBytes) return true;
  bool may_resist =
      std::any_of(kForms.begin(), kForms.end(), [&](std::string_view form) {
        return linkage_name.find(form) != std::string::npos;
      });
  return may_resist &&
         Demangle(linkage_name, DemangleStyle::kShort) == linkage_name;
}

std::string Demangle(const std::string& linkage_name, DemangleStyle style) {
  if (style == DemangleStyle::kNone || linkage_name.size() > kMaxMangledBytes) {
    return linkage_name;
  }
  constexpr std::string_view kStub = "@plt";
  if (linkage_name.ends_with(kStub)) {
    return Demangle(linkage_name.substr(0, linkage_name.size() - kStub.size()),
                    style) +
           std::string(kStub);
  }
  std::optional<std::string> name;
  if (linkage_name.starts_with("_Z")) {
    name = DemangleRustLegacy(linkage_name);
    if (!name) name = DemangleItanium(linkage_name, style);
  } else if (linkage_name.starts_with("_R")) {
    name = DemangleRustV0(linkage_name, style);
  } else if (linkage_name.starts_with("_D")) {
    name = DemangleDlang(CutAtDot(linkage_name, 1));
  }
  return name ? *name : linkage_name;
}

}  // namespace pprofd
