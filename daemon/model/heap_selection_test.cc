#include "daemon/model/heap_selection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pprofd {
namespace {

const std::string kId =
    "3f4c1b8a9d2e5f607182930a4b5c6d7e8f90123456789abcdef0123456789abc";

HeapSelection Select(const std::vector<std::string>& rules) {
  Result<HeapSelection> selection = HeapSelection::Parse(rules);
  EXPECT_TRUE(selection.ok()) << selection.status().message();
  return selection.ok() ? *selection : HeapSelection();
}

TEST(HeapSelection, NothingIsSelectedByDefault) {
  EXPECT_TRUE(HeapSelection().empty());
  EXPECT_FALSE(HeapSelection().Matches("/bin/a", "0::/a.service\n"));
}

TEST(HeapSelection, AnExecutableIsItsWholePath) {
  HeapSelection selection = Select({"exe:/usr/bin/app"});
  EXPECT_TRUE(selection.Matches("/usr/bin/app", ""));
  EXPECT_FALSE(selection.Matches("/usr/bin/app2", ""));
  EXPECT_FALSE(selection.Matches("/opt/usr/bin/app", ""));
  EXPECT_FALSE(selection.Matches("", ""));
}

TEST(HeapSelection, AUnitIsAControlGroupOfItsName) {
  HeapSelection selection = Select({"unit:web.service"});
  EXPECT_TRUE(selection.Matches("", "0::/system.slice/web.service\n"));
  EXPECT_TRUE(selection.Matches("", "0::/system.slice/web.service/worker"));
  EXPECT_TRUE(selection.Matches(
      "", "12:pids:/x\n1:name=systemd:/system.slice/web.service\n0::/\n"));
  EXPECT_FALSE(selection.Matches("", "0::/system.slice/my-web.service\n"));
  EXPECT_FALSE(selection.Matches("", "0::/system.slice/web.service.d\n"));
  // Controllers are not part of the path.
  EXPECT_FALSE(selection.Matches("", "1:web.service:/other\n"));
}

TEST(HeapSelection, AContainerIsKnownInTheWaysOfAllRuntimes) {
  HeapSelection selection = Select({"container:" + kId.substr(0, 12)});
  for (const std::string& path :
       {"/docker/" + kId, "/machine.slice/libpod-" + kId + ".scope/container",
        "/kubepods.slice/kubepods-pod1.slice/cri-containerd-" + kId + ".scope",
        "/kubepods/burstable/pod1/" + kId}) {
    EXPECT_TRUE(selection.Matches("", "0::" + path + "\n")) << path;
  }
}

TEST(HeapSelection, OfAContainersIdTheBeginningCounts) {
  HeapSelection selection = Select({"container:" + kId.substr(4, 12)});
  EXPECT_FALSE(selection.Matches("", "0::/docker/" + kId + "\n"));
  selection = Select({"container:" + kId.substr(0, 12)});
  // Not an ID: too short, too long.
  EXPECT_FALSE(selection.Matches("", "0::/docker/" + kId.substr(0, 32)));
  EXPECT_FALSE(selection.Matches("", "0::/docker/" + kId + "0"));
}

TEST(HeapSelection, RefusesWhatItDoesNotKnowByName) {
  for (const char* rule :
       {"", "nginx", "exe:nginx", "exe:", "unit:nginx", "unit:a/b.service",
        "unit:", "container:3f4c1b8a", "container:3F4C1B8A9D2E", "pod:a",
        "container:zzzzzzzzzzzz"}) {
    std::vector<std::string> rules = {rule};
    Result<HeapSelection> selection = HeapSelection::Parse(rules);
    ASSERT_FALSE(selection.ok()) << rule;
    EXPECT_THAT(selection.status().message(),
                testing::HasSubstr("\"" + std::string(rule) + "\""));
  }
  std::vector<std::string> many(HeapSelection::kMaxRules + 1, "exe:/a");
  EXPECT_FALSE(HeapSelection::Parse(many).ok());
}

}  // namespace
}  // namespace pprofd
