#include "symbolizer/dlang.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

namespace pprofd {
namespace {

struct Case {
  const char* mangled;
  const char* name;
};

TEST(DemangleDlang, ReadsQualifiedNames) {
  const Case cases[] = {
      {"_Dmain", "D main"},
      {"_D2rt4util7utility11__moduleRefZ", "rt.util.utility.__moduleRef"},
      {"_D3app3runFAyaiZb", "app.run"},
      // A method that is const and shared, of a class.
      {"_D3app3Foo3barMOxFNaNbNiNfmZAv", "app.Foo.bar"},
      {"_D3app3Foo6__dtorMFZv", "app.Foo.~this"},
      {"_D3app3Foo10__postblitMFNaNbNiNfZv", "app.Foo.this(this)"},
      // Parameters: in ref, scope, lazy, a function, a delegate, variadic.
      {"_D3app3runFIKS3app3FooMAxhLiPFiZvDFZiYv", "app.run"},
      // Back references to types and to identifiers.
      {"_D3std4conv__T8textImplTAyaTQeTaZQtFNaNbNfQsaZQw", "std.conv.textImpl"},
      // Values as arguments: numbers, a text, a float, an array.
      {"_D3app__T1fVii7ViN3VAyaa3_616263Vee8P1VAiA2i1i2Z1gFZv", "app.f.g"},
      {"_D3app__T1fVHiiA1i1i2Z1gFZv", "app.f.g"},
      // As older compilers wrote templates: with their length.
      {"_D3std5stdio16__T7writelnTAyaZ7writelnFNfAyaZv", "std.stdio.writeln"},
      // A member of a template that is not the template itself.
      {"_D3app__T4FoldTiZ3oldFZv", "app.Fold.old"},
      // A function in a function, in a block of its own.
      {"_D3app3runFiZ4__S15innerMFZv", "app.run.inner"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(DemangleDlang(c.mangled).value_or("nothing"), c.name)
        << c.mangled;
  }
}

TEST(DemangleDlang, RefusesWhatIsNotWhole) {
  for (const char* name :
       {"", "_", "_D", "_DYNAMIC", "_D3ap", "_D3app", "_D3appFZ", "_D3appFZvv",
        "_D3appQ", "_D3appQa", "_D3appQzFZv", "_D99999999999999999999aFZv",
        "_D3app__T1fVAya", "_D3app__T1fVAyaa9_61Z1gFZv", "_D3appG", "_D0Z",
        "_D3appVAiA9Z"}) {
    EXPECT_FALSE(DemangleDlang(name).has_value()) << name;
  }
}

// Each function could be around the next: to find that none is takes twice the
// steps for each level.
TEST(DemangleDlang, GivesUpOnNamesThatTakeTooLong) {
  std::string name = "_D1a";
  for (int i = 0; i < 60; ++i) name += "FS1a";
  auto start = std::chrono::steady_clock::now();
  EXPECT_FALSE(DemangleDlang(name).has_value());
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(2));
}

TEST(DemangleDlang, RefusesNamesThatWouldExplode) {
  std::string name = "_D999" + std::string(999, 'a');
  for (int i = 0; i < 100; ++i) {
    size_t distance = name.size() - 2;
    std::string digits(1, static_cast<char>('a' + distance % 26));
    for (distance /= 26; distance > 0; distance /= 26) {
      digits.insert(digits.begin(), static_cast<char>('A' + distance % 26));
    }
    name += "Q" + digits;
  }
  EXPECT_FALSE(DemangleDlang(name + "Z").has_value());
}

}  // namespace
}  // namespace pprofd
