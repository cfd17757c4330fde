#include "fast_path.h"

#include <gtest/gtest.h>

#include <map>

#include "command_line.h"

namespace sluice::front {
namespace {

using Words = std::vector<std::string>;

Getenv environment_of(std::map<std::string, std::string, std::less<>> variables) {
  return [variables = std::move(variables)](std::string_view name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  };
}
const Getenv kNothing = environment_of({});

// What a command line means: the command, and its flags and arguments in full.
std::optional<Words> meaning(const Invocation& invocation) {
  Words words = invocation.words();
  words.insert(words.begin(), std::string(invocation.path()));
  return words;
}

std::optional<Words> by_the_front(const Words& words, const Getenv& environment = kNothing) {
  const auto invocation = understand(words, environment);
  return invocation ? meaning(*invocation) : std::nullopt;
}

std::optional<Words> by_the_engine(const Words& words, const Getenv& environment = kNothing) {
  const auto invocation = cli::parse_command_line(words, environment);
  return invocation ? meaning(*invocation) : std::nullopt;
}

// These are understood by both, and mean the same.
TEST(FastPath, UnderstandsWhatTheEngineUnderstands) {
  const std::vector<Words> lines = {
      {"cache", "get", "k"},
      {"cache", "get", "--", "-k"},
      {"cache", "get", "-"},
      {"cache", "get", ""},
      {"cache", "get", "k", "--json", "-qv"},
      {"cache", "get", "--max-age", "5m", "k", "--stale-ok"},
      {"cache", "get", "--max-age=5m", "--ns=a=b", "k"},
      {"cache", "get", "--ns", "--json", "k"},
      {"cache", "get", "--ns=", "k"},
      {"cache", "get", "k", "--ns", "-", "--dir=/tmp/x"},
      {"cache", "set", "k", "v", "--ttl", "300", "--tag", "a", "--tag=b", "--cost", "1,000"},
      {"cache", "set", "k", "v", "--ttl", "1h30m"},
      {"cache", "set", "k", "--file", "-"},
      {"cache", "set", "--tag", "[a,b]", "k", "{v}"},
      {"cache", "set", "k", "--tag=", "v"},
      {"cache", "set", "k", "-"},
      {"cache", "set", "--", "--k", "--v"},
      {"cache", "set", "k", "v", "-n", "--force"},
      {"cache", "delete", "a", "b", "--", "--c"},
      {"cache", "delete", "--prefix", "a", "--tag", "x", "--max-delete", "3"},
      {"cache", "exec", "--", "echo", "--json", "--", "-x"},
      {"cache", "exec", "--ttl=1m", "--stale", "10m", "--key-env", "A", "--key-env", "B",
       "--key-file", "f", "--discard-failures", "--max-output=1MB", "--", "ls", "-l"},
      {"cache", "exec", "ls"},
      {"cache", "lock", "name", "--timeout", "30s", "--shared", "--", "make", "-j"},
      {"cache", "lock", "name", "--hold-for", "42", "--release"},
      {"cache", "size", "--json", "--color=never", "--log-level", "debug", "-P", "off"},
      {"cache", "size", "-q"},
      {"cache", "batch", "-0", "--ttl", "5m", "--tag", "t"},
      {"cache", "batch", "--null", "--dry-run"},
  };
  for (const Words& line : lines) {
    const auto engine = by_the_engine(line);
    ASSERT_TRUE(engine) << testing::PrintToString(line);
    if (line.size() > 6 && line[6] == "-P") {
      EXPECT_EQ(by_the_front(line), std::nullopt);  // letters with values are the engine's
    } else {
      EXPECT_EQ(by_the_front(line), engine) << testing::PrintToString(line);
    }
  }
}

// What the front does not understand is the engine's, be it right or wrong.
TEST(FastPath, LeavesTheRestToTheEngine) {
  const std::vector<Words> lines = {
      {},
      {"cache"},
      {"--json", "cache", "get", "k"},
      {"cache", "--json", "get", "k"},
      {"kv", "get", "k"},
      {"cache", "list"},
      {"cache", "clear", "--yes"},
      {"cache", "get"},
      {"cache", "get", "a", "b"},
      {"cache", "get", "k", "--help"},
      {"cache", "get", "k", "-h"},
      {"cache", "get", "k", "--config", "f"},
      {"cache", "get", "k", "--config=f"},
      {"cache", "get", "k", "--rate", "1/s"},
      {"cache", "get", "k", "--frob"},
      {"cache", "get", "k", "-x"},
      {"cache", "get", "k", "--json=true"},
      {"cache", "get", "k", "--ns"},
      {"cache", "get", "k", "--max-age", "soon"},
      {"cache", "get", "k", "--max-age", "1s", "--max-age", "2s"},
      {"cache", "set", "k", "v", "--cost", "-1"},
      {"cache", "delete", "--pattern", "x"},
      {"cache", "delete", "k", "-i"},
      {"cache", "exec"},
      {"cache", "batch"},
      {"cache", "batch", "--ttl", "1m"},
  };
  for (const Words& line : lines) {
    EXPECT_EQ(by_the_front(line), std::nullopt) << testing::PrintToString(line);
  }
}

TEST(FastPath, ReadsTheSameVariables) {
  const Words get = {"cache", "get", "k"};
  const auto variables = environment_of({{"SLUICE_NS", "n"},
                                         {"SLUICE_MAX_AGE", "5m"},
                                         {"SLUICE_STALE_OK", "yes"},
                                         {"SLUICE_JSON", "0"},
                                         {"SLUICE_DIR", ""}});
  ASSERT_TRUE(by_the_front(get, variables));
  EXPECT_EQ(by_the_front(get, variables), by_the_engine(get, variables));
  for (const auto& [name, value] : std::map<std::string, std::string, std::less<>>{
           {"SLUICE_CONFIG", "f"}, {"SLUICE_RATE", "1/s"}, {"SLUICE_MAX_AGE", "soon"}}) {
    EXPECT_EQ(by_the_front(get, environment_of({{name, value}})), std::nullopt) << name;
  }
  // Where the front takes a letter or a switch, a variable may say the same.
  EXPECT_TRUE(by_the_front({"cache", "batch"}, environment_of({{"SLUICE_NULL", "1"}})));
  EXPECT_FALSE(
      by_the_front({"cache", "delete", "k"}, environment_of({{"SLUICE_INTERACTIVE", "1"}})));
}

}  // namespace
}  // namespace sluice::front
