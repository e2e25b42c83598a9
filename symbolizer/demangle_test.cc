#include "symbolizer/demangle.h"

#include <gtest/gtest.h>

#include <string>

namespace pprofd {
namespace {

struct Case {
  const char* mangled;
  const char* shortened;
  const char* templates;
  const char* full;
};

const Case kCases[] = {
    {"_ZN2ns3fooEi", "ns::foo", "ns::foo", "ns::foo(int)"},
    {"_ZN2ns3fooEi@plt", "ns::foo@plt", "ns::foo@plt", "ns::foo(int)@plt"},
    {"main", "main", "main", "main"},
    {"main.(*T).Run", "main.(*T).Run", "main.(*T).Run", "main.(*T).Run"},
    {"_ZNSt6vectorIiSaIiEE9push_backEOi", "std::vector::push_back",
     "std::vector<int, std::allocator<int>>::push_back",
     "std::vector<int, std::allocator<int>>::push_back(int&&)"},
    {"_ZN12_GLOBAL__N_13fooIiEEvT_", "(anonymous namespace)::foo",
     "(anonymous namespace)::foo<int>",
     "void (anonymous namespace)::foo<int>(int)"},
    {"_ZN2nsltERKNS_1AES2_", "ns::operator<", "ns::operator<",
     "ns::operator<(ns::A const&, ns::A const&)"},
    {"_ZN1AltIiEEbT_", "A::operator<", "A::operator<<int>",
     "bool A::operator<<int>(int)"},
    {"_ZN1AlsIiEEbT_", "A::operator<<", "A::operator<<<int>",
     "bool A::operator<<<int>(int)"},
    {"_ZN1ArsIiEEbT_", "A::operator>>", "A::operator>><int>",
     "bool A::operator>><int>(int)"},
    {"_ZN1AclEi", "A::operator()", "A::operator()", "A::operator()(int)"},
    {"_ZN1AptEv", "A::operator->", "A::operator->", "A::operator->()"},
    {"_ZN1AssERKS_", "A::operator<=>", "A::operator<=>",
     "A::operator<=>(A const&)"},
    {"_ZN1AnaEm", "A::operator new[]", "A::operator new[]",
     "A::operator new[](unsigned long)"},
    {"_ZN1AcvPKcEv", "A::operator char const*", "A::operator char const*",
     "A::operator char const*()"},
    {"_ZZ4mainENKUliE_clEi", "main::{lambda(int)#1}::operator()",
     "main::{lambda(int)#1}::operator()",
     "main::{lambda(int)#1}::operator()(int) const"},
    {"_ZZN1A1bEvENUlvE0_4_FUNEv", "A::b::{lambda()#2}::_FUN",
     "A::b::{lambda()#2}::_FUN", "A::b()::{lambda()#2}::_FUN()"},
    {"_ZNSt8functionIFviEEC2IZ4mainEUliE_vEEOT_", "std::function::function",
     "std::function<void (int)>::function<main::{lambda(int)#1}, void>",
     "std::function<void (int)>::function<main::{lambda(int)#1}, void>"
     "(main::{lambda(int)#1}&&)"},
    {"_ZN1aUt_3fooEv", "a::{unnamed type#1}::foo", "a::{unnamed type#1}::foo",
     "a::{unnamed type#1}::foo()"},
    {"_ZN3FooC4Ev", "Foo::Foo", "Foo::Foo", "Foo::Foo()"},
    {"_ZN3FooD0Ev", "Foo::~Foo", "Foo::~Foo", "Foo::~Foo()"},
    {"_ZThn16_NK3Foo3barEv", "non-virtual thunk to Foo::bar",
     "non-virtual thunk to Foo::bar", "non-virtual thunk to Foo::bar() const"},
    {"_ZN3fooEv.isra.0", "foo", "foo", "foo()"},
    {"_ZN3fooEv.constprop.1.cold", "foo", "foo", "foo()"},
    {"_Znot_mangled", "_Znot_mangled", "_Znot_mangled", "_Znot_mangled"},
    {"_RINvNtC3std3mem8align_ofdE", "std::mem::align_of",
     "std::mem::align_of::<f64>", "std::mem::align_of::<f64>"},
    {"_ZN4core3fmt5write17h0123456789abcdefE", "core::fmt::write",
     "core::fmt::write", "core::fmt::write"},
    {"_ZN4core3fmt5write17h0123456789abcdefE.llvm.77", "core::fmt::write",
     "core::fmt::write", "core::fmt::write"},
    {"_ZN71_$LT$Test$u20$$u2b$$u20$$u27$static$u20$as$u20$foo..Bar$LT$Test$GT$"
     "$GT$3bar17h930b740aa94f1d3aE",
     "<Test + 'static as foo::Bar<Test>>::bar",
     "<Test + 'static as foo::Bar<Test>>::bar",
     "<Test + 'static as foo::Bar<Test>>::bar"},
    {"_ZN3foo28_$u7b$$u7b$closure$u7d$$u7d$17h0123456789abcdefE",
     "foo::{{closure}}", "foo::{{closure}}", "foo::{{closure}}"},
    {"_RNvMs_NtCs1234_7mycrate3fooNtB4_3Bar3baz", "<mycrate::foo::Bar>::baz",
     "<mycrate::foo::Bar>::baz", "<mycrate::foo::Bar>::baz"},
    {"_RNCNvC7mycrate4main0B3_", "mycrate::main::{closure#0}",
     "mycrate::main::{closure#0}", "mycrate::main::{closure#0}"},
    {"_Dmain", "D main", "D main", "D main"},
    {"_D3std5array__T8appenderTAAyaZQpFNaNbNfZSQBnQBm__T8AppenderTQBjZQo",
     "std.array.appender", "std.array.appender", "std.array.appender"},
    {"_D3app7Counter__T3addTiZQhMFiZv", "app.Counter.add", "app.Counter.add",
     "app.Counter.add"},
    {"_D3app3Foo6__ctorMFiZCQuQs.isra.0", "app.Foo.this", "app.Foo.this",
     "app.Foo.this"},
};

// Names of other languages, and of C, that a demangler must not touch.
const char* const kForeign[] = {
    "$s4main5greet4nameySS_tF",          // Swift 5
    "_$s4main5greet4nameySS_tF",         // Swift 5, with an underscore before
    "$S4main3fooyyF",                    // Swift 4.2
    "_T04main3fooyyF",                   // Swift 4.0
    "_TF4main3fooFT_T_",                 // Swift 3
    "main.(*Stack[go.shape.int]).Push",  // Go
    "_DYNAMIC",
    "_Dabs",
    "_D",
    "_D3app",
    "_Raise",
    "_Z",
    "caml_main",
};

TEST(Demangle, GivesEachStyleOfATable) {
  for (const Case& c : kCases) {
    EXPECT_EQ(Demangle(c.mangled, DemangleStyle::kNone), c.mangled);
    EXPECT_EQ(Demangle(c.mangled, DemangleStyle::kShort), c.shortened);
    EXPECT_EQ(Demangle(c.mangled, DemangleStyle::kTemplates), c.templates);
    EXPECT_EQ(Demangle(c.mangled, DemangleStyle::kFull), c.full);
  }
}

TEST(Demangle, LeavesNamesOfOtherLanguagesReadable) {
  for (const char* name : kForeign) {
    for (DemangleStyle style :
         {DemangleStyle::kNone, DemangleStyle::kShort,
          DemangleStyle::kTemplates, DemangleStyle::kFull}) {
      EXPECT_EQ(Demangle(name, style), name);
    }
  }
}

TEST(Demangle, TellsNamesThatItCannotRead) {
  EXPECT_TRUE(ResistsDemangling(
      "_ZSteqIcEN9__gnu_cxx11__enable_ifIXsrSt9__is_charIT_E7__valueEbE6__"
      "typeERKNSt7__cxx1112basic_stringIS3_St11char_traitsIS3_ESaIS3_EEESE_"));
  EXPECT_TRUE(ResistsDemangling(
      "_ZNSt17_Optional_payloadI3BoxLb0ELb0ELb0EECI4St22_Optional_payload_"
      "baseIS0_EEbOS3_"));
  EXPECT_FALSE(ResistsDemangling("_ZN1AIiECI21BEi"));
  EXPECT_FALSE(ResistsDemangling("_ZN5srNot3fooEi"));
  EXPECT_FALSE(ResistsDemangling("main"));
  EXPECT_TRUE(ResistsDemangling("_Z5000" + std::string(5000, 'a') + "v"));
}

TEST(Demangle, LeavesSwiftSourceNamesWhole) {
  EXPECT_EQ(PresentSourceName("greet(name:)", DemangleStyle::kShort),
            "greet(name:)");
}

// Each level mentions the one before twice.
TEST(Demangle, RefusesCppNamesThatWouldExplode) {
  std::string name = "_Z1fSt4pairIiiE";
  for (int i = 0; i < 200; ++i) {
    std::string level = "S";
    int number = i;
    std::string digits;
    do {
      digits.insert(digits.begin(),
                    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[number % 36]);
      number /= 36;
    } while (number > 0);
    level += digits + "_";
    name += "S_I" + level + level + "E";
  }
  EXPECT_EQ(Demangle(name, DemangleStyle::kFull), name);
}

TEST(Demangle, RefusesRustNamesThatWouldExplode) {
  // Tuples of two back references each to the tuple before.
  std::string name = "_RINvC1a1b";
  size_t previous = name.size() - 2;
  name += "TmmE";
  auto reference = [](size_t target) {
    std::string digits;
    for (size_t n = target - 1;; n /= 62) {
      digits.insert(digits.begin(),
                    "0123456789abcdefghijklmnopqrstuvwxyz"
                    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[n % 62]);
      if (n < 62) break;
    }
    return "B" + digits + "_";
  };
  for (int i = 0; i < 60; ++i) {
    size_t start = name.size() - 2;
    name += "T" + reference(previous) + reference(previous) + "E";
    previous = start;
  }
  name += "E";
  EXPECT_EQ(Demangle(name, DemangleStyle::kFull), name);
}

TEST(Demangle, LeavesHugeNamesAlone) {
  std::string name = "_Z1f" + std::string(10000, 'P') + "i";
  EXPECT_EQ(Demangle(name, DemangleStyle::kFull), name);
}

TEST(Demangle, SurvivesUnbalancedText) {
  for (const char* text : {"a<b", "a(b", "operator", "(", "<", ">", "a>b)c}",
                           "operator<", "{", "'lambda", "::<"}) {
    StripParameters(text, false);
    StripParameters(text, true);
  }
}

// Each text reads as the start of a closure inside of the one before.
TEST(Demangle, NamesThatLookLikeEndlessClosuresComeBack) {
  std::string part;
  for (int i = 0; i < 100; ++i) part += "'lambda'(";
  std::string mangled = "_Z1f" + std::to_string(part.size()) + part;
  for (int i = 0; i < 250; ++i) mangled += "S_";
  for (DemangleStyle style : {DemangleStyle::kShort, DemangleStyle::kTemplates,
                              DemangleStyle::kFull}) {
    std::string name = Demangle(mangled, style);
    EXPECT_LE(name.size(), 1u << 20);
    if (style == DemangleStyle::kFull) {
      EXPECT_GT(name.size(), 200u << 10);
    }
  }
}

TEST(Demangle, LongSourceNamesComeBackUnchanged) {
  const std::string name = "f<" + std::string(64 << 10, '<');
  EXPECT_TRUE(PresentSourceName(name, DemangleStyle::kShort) == name);
}

}  // namespace
}  // namespace pprofd
