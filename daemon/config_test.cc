#include "daemon/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>
#include <yaml-cpp/yaml.h>

#include <fstream>
#include <set>

namespace pprofd {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string ErrorOf(std::string_view text) {
  Result<Config> config = ParseConfig(text, "f.yaml");
  if (config.ok()) return "parses";
  EXPECT_EQ(config.status().code(), StatusCode::kInvalid);
  return config.status().message();
}

TEST(Config, ShippedFileHoldsTheDefaults) {
  Result<Config> config = LoadConfig(PPROFD_CONFIG_FILE);
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  EXPECT_EQ(*config, Config());
}

TEST(Config, ShippedFileNamesEverySetting) {
  YAML::Node root = YAML::LoadFile(PPROFD_CONFIG_FILE);
  std::set<std::string> named;
  for (const auto& section : root) {
    for (const auto& setting : section.second) {
      named.insert(section.first.Scalar() + "." + setting.first.Scalar());
    }
  }
  std::set<std::string> known;
  for (const SettingInfo& setting : Settings()) known.insert(setting.key);
  EXPECT_EQ(named, known);
}

TEST(Config, DefaultTextsParseToTheDefaults) {
  for (const SettingInfo& setting : Settings()) {
    Config config;
    Status status = ApplyFlag(config, setting.key, setting.default_text);
    EXPECT_TRUE(status.ok()) << status.ToString();
    EXPECT_EQ(config, Config()) << setting.key;
    EXPECT_FALSE(setting.help.empty()) << setting.key;
  }
}

TEST(Config, ReadsEveryType) {
  Result<Config> config = ParseConfig(R"(
http: {listen: "[::1]:0", max_connections: 7, max_seconds: 1}
sampling: {hz: 1, capture_hz: 999}
history: {max_age: 1h30m, max_bytes: 1GiB}
rss: {enabled: false, faults_per_sample: 1}
unwind: {max_table_bytes: 8192KiB}
symbols:
  max_cache_bytes: 2MiB
  debug_roots: [/a, /b]
  cache_folder: /c
  cache_bytes: 0KiB
log: {level: error}
)",
                                      "f.yaml");
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  EXPECT_EQ(config->http.listen, "[::1]:0");
  EXPECT_EQ(config->http.max_connections, 7);
  EXPECT_EQ(config->http.max_seconds, 1);
  EXPECT_EQ(config->sampling.hz, 1);
  EXPECT_EQ(config->sampling.capture_hz, 999);
  EXPECT_EQ(config->history.max_age, std::chrono::minutes(90));
  EXPECT_EQ(config->history.max_bytes, uint64_t{1} << 30);
  EXPECT_FALSE(config->rss.enabled);
  EXPECT_EQ(config->rss.faults_per_sample, 1);
  EXPECT_EQ(config->unwind.max_table_bytes, uint64_t{8} << 20);
  EXPECT_EQ(config->symbols.max_cache_bytes, uint64_t{2} << 20);
  EXPECT_EQ(config->symbols.debug_roots,
            (std::vector<std::string>{"/a", "/b"}));
  EXPECT_EQ(config->symbols.cache_folder, "/c");
  EXPECT_EQ(config->symbols.cache_bytes, 0u);
  EXPECT_EQ(config->log.level, "error");
}

TEST(Config, NothingWrittenMeansDefaults) {
  for (std::string_view text : {"", "# only a comment\n", "---\n", "http:\n"}) {
    Result<Config> config = ParseConfig(text, "f.yaml");
    ASSERT_TRUE(config.ok()) << text << config.status().ToString();
    EXPECT_EQ(*config, Config());
  }
}

TEST(Config, ErrorsSayWhereWhatAndWhatIsAllowed) {
  EXPECT_EQ(ErrorOf("sampling:\n  hz: 5000\n"),
            "f.yaml:2:7: sampling.hz: \"5000\" is not an integer from 1 to "
            "999");
  EXPECT_EQ(ErrorOf("sampling:\n  hertz: 5\n"),
            "f.yaml:2:3: unknown setting \"sampling.hertz\"; \"sampling\" has "
            "hz, capture_hz");
  EXPECT_EQ(ErrorOf("log:\n  level: loud\n"),
            "f.yaml:2:10: log.level: \"loud\" is not one of debug, info, warn, "
            "error");
}

TEST(Config, RefusesUnknownSections) {
  EXPECT_EQ(ErrorOf("samplin:\n  hz: 5\n"),
            "f.yaml:1:1: unknown section \"samplin\"");
  EXPECT_THAT(ErrorOf("sampling.hz: 5\n"), HasSubstr("unknown section"));
}

TEST(Config, RefusesWrongShapes) {
  EXPECT_THAT(ErrorOf("just text"), StartsWith("f.yaml:1:1: "));
  EXPECT_THAT(ErrorOf("- 1\n- 2\n"), HasSubstr("must be in sections"));
  EXPECT_THAT(ErrorOf("http: 7\n"), HasSubstr("\"http\" must hold listen"));
  EXPECT_THAT(ErrorOf("sampling: {hz: [1, 2]}"), HasSubstr("sampling.hz"));
  EXPECT_THAT(ErrorOf("sampling: {hz: }"), HasSubstr("sampling.hz: must be"));
  EXPECT_THAT(ErrorOf("symbols: {debug_roots: /a}"), HasSubstr("a list of"));
  EXPECT_THAT(ErrorOf("symbols: {debug_roots: [[/a]]}"), HasSubstr("item"));
  EXPECT_THAT(ErrorOf("? [a]\n: b\n"), HasSubstr("must be text"));
  EXPECT_THAT(ErrorOf("http: {[a]: b}\n"), HasSubstr("must be text"));
  EXPECT_THAT(ErrorOf("---\nlog: {}\n---\nlog: {}\n"),
              HasSubstr("only one document"));
}

TEST(Config, RefusesASettingGivenTwice) {
  EXPECT_THAT(ErrorOf("sampling:\n  hz: 5\n  hz: 6\n"),
              HasSubstr("sampling.hz is set twice"));
}

TEST(Config, RefusesMalformedYamlWithItsPlace) {
  EXPECT_THAT(ErrorOf("http:\n  listen: \"unclosed\n"), StartsWith("f.yaml:"));
  EXPECT_THAT(ErrorOf("a: *nowhere\n"), StartsWith("f.yaml:1:"));
}

TEST(Config, RefusesDeepNesting) {
  EXPECT_NE(ErrorOf(std::string(100'000, '[')), "parses");
}

TEST(Config, RefusesOversizedText) {
  EXPECT_THAT(ErrorOf(std::string(kMaxConfigBytes + 1, '#')),
              HasSubstr("larger than"));
}

TEST(Config, RefusesBadDurations) {
  for (std::string_view text :
       {"", "10", "m", "10 m", "-10m", "1.5h", "10d", "9s", "25h",
        "9223372036854775807h", "99999999999999999999s",
        "9223372036854775807s1s"}) {
    Config config;
    EXPECT_FALSE(ApplyFlag(config, "history.max_age", text).ok()) << text;
    EXPECT_EQ(config, Config());
  }
}

TEST(Config, RefusesBadSizes) {
  for (std::string_view text : {"", "64", "64MB", "64mib", "1KiB", "17GiB",
                                "-1MiB", "9223372036854775807GiB"}) {
    Config config;
    EXPECT_FALSE(ApplyFlag(config, "history.max_bytes", text).ok()) << text;
    EXPECT_EQ(config, Config());
  }
}

TEST(Config, RefusesBadAddresses) {
  for (std::string_view text :
       {"", "127.0.0.1", "127.0.0.1:65536", "127.0.0.1:http", "[::1]"}) {
    Config config;
    EXPECT_FALSE(ApplyFlag(config, "http.listen", text).ok()) << text;
    EXPECT_EQ(config, Config());
  }
}

TEST(Config, DebuginfodServersAreHttpUrlsOrThoseOfTheEnvironment) {
  Config config;
  EXPECT_TRUE(config.debuginfod.urls.empty());
  for (const char* good :
       {"env", "https://a.example/x", "http://a:1,https://b", ""}) {
    EXPECT_TRUE(ApplyFlag(config, "debuginfod.urls", good).ok()) << good;
  }
  for (const char* bad : {"env,https://a", "file:///etc", "a.example",
                          "http://", "https:///x", "http://a b", "ftp://a"}) {
    Status status = ApplyFlag(config, "debuginfod.urls", bad);
    EXPECT_THAT(status.message(), HasSubstr("URLs (http or https), or env"))
        << bad;
  }
  EXPECT_FALSE(ApplyFlag(config, "debuginfod.timeout", "0s").ok());
  EXPECT_TRUE(ApplyFlag(config, "debuginfod.max_file_bytes", "1GiB").ok());
  EXPECT_EQ(config.debuginfod.max_file_bytes, uint64_t{1} << 30);
}

TEST(Config, FlagsSetTheSameSettings) {
  Config config;
  EXPECT_TRUE(ApplyFlag(config, "http.listen", "0.0.0.0:80").ok());
  EXPECT_TRUE(ApplyFlag(config, "symbols.debug_roots", "/a,/b").ok());
  EXPECT_EQ(config.http.listen, "0.0.0.0:80");
  EXPECT_EQ(config.symbols.debug_roots, (std::vector<std::string>{"/a", "/b"}));
  EXPECT_TRUE(ApplyFlag(config, "symbols.debug_roots", "").ok());
  EXPECT_TRUE(config.symbols.debug_roots.empty());
}

TEST(Config, FlagsSayWhatIsAllowed) {
  Config config;
  EXPECT_EQ(ApplyFlag(config, "sampling.hz", "0").message(),
            "sampling.hz: \"0\" is not an integer from 1 to 999");
  EXPECT_EQ(ApplyFlag(config, "sampling", "0").message(),
            "unknown setting \"sampling\"");
  EXPECT_FALSE(ApplyFlag(config, "symbols.debug_roots", "a").ok());
}

TEST(Config, MissingFileIsNotFound) {
  Result<Config> config = LoadConfig("/nonexistent/pprofd.yaml");
  ASSERT_FALSE(config.ok());
  EXPECT_EQ(config.status().code(), StatusCode::kNotFound);
  EXPECT_THAT(config.status().message(), HasSubstr("/nonexistent/pprofd.yaml"));
}

TEST(Config, OversizedFileIsRefused) {
  std::string path =
      ::testing::TempDir() + "/pprofd_config." + std::to_string(::getpid());
  std::ofstream(path) << std::string(kMaxConfigBytes + 1, '#');
  Result<Config> config = LoadConfig(path);
  ::unlink(path.c_str());
  ASSERT_FALSE(config.ok());
  EXPECT_THAT(config.status().message(), HasSubstr("larger than"));
}

}  // namespace
}  // namespace pprofd
