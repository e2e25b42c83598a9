#include "daemon/server/why_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/server/json_writer.h"

namespace pprofd {
namespace {

using testing::HasSubstr;
using testing::Not;

ProcessRow Hostile() {
  ProcessRow row;
  row.pid = 9;
  row.comm = "<b>&'\"";
  return row;
}

std::string PageOf(const ProcessExplanation& explanation) {
  return WhyPage(Hostile(), explanation, false, "host=<x>");
}

// An explanation each of whose texts would break out of HTML or JSON.
ProcessExplanation Poisoned() {
  const std::string bad = "<img src=x>\"\\'&\n\xff";
  Advice advice{bad, bad};
  ProcessExplanation all;
  all.system = all.system_problem = all.package_problem = bad;
  all.modules_problem = bad;
  all.stacks.cuts = {{bad, bad, 1}};
  ModuleFacts module;
  module.path = module.build_id = module.problem = module.package = bad;
  module.unwind.problem = bad;
  module.unwind.shared_with = module.symbols.attempts = module.missing = {bad};
  module.symbols.problem = bad;
  module.advice = {advice};
  for (auto state :
       {UnwindFacts::State::kUnknown, UnwindFacts::State::kBuilt,
        UnwindFacts::State::kNotBuilt, UnwindFacts::State::kRefused}) {
    module.unwind.state = state;
    module.unwind.rows = 1;
    all.modules.push_back(module);
  }
  all.jit.map_path = all.jit.problem = bad;
  all.jit.dump_path = all.jit.dump_problem = bad;
  all.jit.attempts = {bad};
  all.jit.advice = {advice};
  all.kernel.attempts = {bad};
  all.kernel.kptr_restrict = bad;
  all.kernel.advice = {advice};
  return all;
}

TEST(WhyPage, EscapesEveryText) {
  ProcessExplanation poisoned = Poisoned();
  EXPECT_THAT(PageOf(poisoned), Not(HasSubstr("<img")));
  EXPECT_THAT(PageOf(poisoned), Not(HasSubstr("<b>")));
  EXPECT_THAT(PageOf(poisoned), Not(HasSubstr("<x>")));
  poisoned.system = "";
  poisoned.jit.has_map = true;
  poisoned.jit.has_dump = true;
  EXPECT_THAT(PageOf(poisoned), Not(HasSubstr("<img")));
}

TEST(WhyPage, SaysWhereRowsComeFrom) {
  ProcessExplanation explanation;
  ModuleFacts module;
  module.unwind.state = UnwindFacts::State::kBuilt;
  module.unwind.rows = 321;
  module.unwind.eh_frame_functions = 20;
  module.unwind.covered_bytes = 99;
  module.unwind.code_bytes = 100;
  module.unwind.shared_with = {"/other"};
  explanation.modules = {module};
  EXPECT_THAT(PageOf(explanation),
              HasSubstr("321 rows from 20 functions in .eh_frame; they cover "
                        "99.0 % of its executable segments; shared with "
                        "/other"));
  explanation.modules[0].unwind = {};
  explanation.modules[0].unwind.state = UnwindFacts::State::kNotBuilt;
  EXPECT_THAT(PageOf(explanation), HasSubstr("no sample has asked for them"));
  explanation.modules[0].unwind.state = UnwindFacts::State::kRefused;
  explanation.modules[0].unwind.problem = "not an x86_64 ELF file";
  EXPECT_THAT(PageOf(explanation),
              HasSubstr("refused: not an x86_64 ELF file"));
}

TEST(WhyPage, SaysWhatWasLeftOut) {
  ProcessExplanation explanation;
  explanation.modules_left_out = 17;
  explanation.stacks.cuts_left_out = 3;
  EXPECT_THAT(PageOf(explanation), HasSubstr("17 are left out"));
  EXPECT_THAT(PageOf(explanation), HasSubstr("3 further rows are left out"));
}

TEST(WhyPage, LinksCarryThePidInTheQueryFormOnly) {
  EXPECT_THAT(PageOf({}), HasSubstr("href='why?format=json&pid=9'"));
  EXPECT_THAT(PageOf({}), HasSubstr("href='./?pid=9'"));
  std::string by_path = WhyPage(Hostile(), {}, true, "");
  EXPECT_THAT(by_path, HasSubstr("href='why?format=json'"));
  EXPECT_THAT(by_path, HasSubstr("href='./'"));
}

TEST(WhyPage, ShowsOfAKernelThreadNoFiles) {
  ProcessExplanation explanation;
  explanation.is_kernel_thread = true;
  EXPECT_THAT(PageOf(explanation), HasSubstr("A kernel thread"));
  EXPECT_THAT(PageOf(explanation), Not(HasSubstr("Executable files")));
}

TEST(WhyJson, QuotesEveryText) {
  std::string json = WhyJson(Hostile(), Poisoned());
  EXPECT_THAT(json, HasSubstr("\"comm\":\"<b>&'\\\"\""));
  EXPECT_THAT(json, HasSubstr("<img src=x>\\\"\\\\'& \xef\xbf\xbd"));
  EXPECT_EQ(json.find('\n'), json.size() - 1);
  EXPECT_THAT(json, Not(HasSubstr("\xff")));
}

TEST(JsonWriter, SeparatesMembersAndElements) {
  JsonWriter json;
  json.Open("", '{');
  json.Number("n", uint64_t{1});
  json.Open("empty", '[');
  json.Close();
  json.Texts("list", {"a", "b"});
  json.Open("inner", '{');
  json.Bool("yes", true);
  json.Close();
  json.Number("x", 0.5);
  json.Close();
  EXPECT_EQ(std::move(json).Take(),
            "{\"n\":1,\"empty\":[],\"list\":[\"a\",\"b\"],"
            "\"inner\":{\"yes\":true},\"x\":0.500}\n");
}

}  // namespace
}  // namespace pprofd
