// The rules by which one of several answers for an address is chosen.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <string>

#include "symbolizer/symbolizer.h"
#include "symbolizer/testdata/known_code.h"

namespace pprofd {
namespace {

using testing::EndsWith;
using testing::SizeIs;

const std::string kRuleCode = PPROFD_RULE_CODE;
const std::string kWithoutDwarf = kRuleCode + ".nodebug";

SymbolChain Lookup(const std::string& path, ModuleAddr address,
                   DemangleStyle style = DemangleStyle::kShort) {
  UniqueFd fd = OpenFile(path);
  EXPECT_TRUE(fd) << path;
  Symbolizer symbolizer{Symbolizer::Options()};
  ModuleSymbols symbols = symbolizer.SymbolizeModule(
      fd.get(), path, path, "", std::array{address}, style, NoDeadline());
  auto chain = symbols.Chain(0);
  return SymbolChain(chain.begin(), chain.end());
}

ModuleAddr Of(const std::string& symbol) {
  return AddressOf(symbol, kRuleCode);
}

// The linker makes the copy it drops point to the one it keeps.
TEST(NameRules, TheFirstOfUnitsThatTellOfTheSameCodeIsRight) {
  SymbolChain chain = Lookup(kRuleCode, Of("_ZN4rule4TwinEi"));
  ASSERT_THAT(chain, SizeIs(1));
  EXPECT_THAT(chain[0].file, EndsWith("rule_code.cc"));
  EXPECT_EQ(chain[0].start_line, 6);
}

TEST(NameRules, AFunctionWithoutMangledNameKeepsItsNamespaceButNotAsASymbol) {
  SymbolChain chain = Lookup(kRuleCode, Of("rule_plain"));
  ASSERT_THAT(chain, SizeIs(1));
  EXPECT_EQ(chain[0].name, "rule::rule_plain");
  EXPECT_EQ(chain[0].system_name, "rule_plain");
}

TEST(NameRules, AFunctionWhoseNameCannotBeReadHasItsSourceName) {
  const char* unreadable =
      "_ZN4rule4SameIiEENS_2IfIXsrNS_7IsPlainIT_EE5valueEbE4typeERKNS_4PairIS3_"
      "EESA_";
  ModuleAddr same = Of(unreadable);
  EXPECT_EQ(Lookup(kRuleCode, same).at(0).name, "rule::Same");
  EXPECT_EQ(Lookup(kRuleCode, same, DemangleStyle::kTemplates).at(0).name,
            "rule::Same<int>");
  EXPECT_EQ(Lookup(kRuleCode, same).at(0).system_name, unreadable);
}

TEST(NameRules, APartOfAFunctionHasTheNameOfTheWhole) {
  ModuleAddr cold = Of("_ZN4rule9CountDownEi.cold");
  SymbolChain chain = Lookup(kRuleCode, cold);
  ASSERT_THAT(chain, SizeIs(1));
  EXPECT_EQ(chain[0].name, "rule::CountDown");
  EXPECT_EQ(chain[0].system_name, "_ZN4rule9CountDownEi");
  SymbolChain undebugged = Lookup(kWithoutDwarf, cold);
  ASSERT_THAT(undebugged, SizeIs(1));
  EXPECT_EQ(undebugged[0].name, "rule::CountDown");
  EXPECT_EQ(undebugged[0].system_name, "_ZN4rule9CountDownEi.cold");
}

// DWARF names the code that is there. The symbols say what it is for.
TEST(NameRules, AnIndirectFunctionsCodeIsWhatChooses) {
  ModuleAddr chooser = Of("rule_choose");
  EXPECT_EQ(Of("rule_chosen"), chooser);
  EXPECT_EQ(Lookup(kRuleCode, chooser).at(0).name, "rule_choose");
}

TEST(NameRules, CodeOfNoFunctionHasItsLineAlone) {
  ModuleAddr function = Of("rule_lines");
  SymbolChain inside = Lookup(kRuleCode, function);
  ASSERT_THAT(inside, SizeIs(1));
  EXPECT_EQ(inside[0].name, "rule_lines");
  EXPECT_EQ(inside[0].line, 6);
  constexpr uint64_t kFunctionBytes = 4;
  SymbolChain after = Lookup(kRuleCode, {function.value + kFunctionBytes});
  ASSERT_THAT(after, SizeIs(1));
  EXPECT_EQ(after[0].name, "");
  EXPECT_EQ(after[0].system_name, "");
  EXPECT_THAT(after[0].file, EndsWith("rule_lines.S"));
  EXPECT_EQ(after[0].line, 9);
  EXPECT_THAT(Lookup(kWithoutDwarf, {function.value + kFunctionBytes}),
              SizeIs(0));
}

}  // namespace
}  // namespace pprofd
