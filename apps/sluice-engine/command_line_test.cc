#include "command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace sluice::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Result<Invocation> parse(const std::vector<std::string>& words,
                         const std::map<std::string, std::string>& variables = {}) {
  return parse_command_line(words, [&](std::string_view name) -> std::optional<std::string> {
    const auto found = variables.find(std::string(name));
    if (found == variables.end()) return std::nullopt;
    return found->second;
  });
}

// The sentence that refuses a command line.
std::string refusal(const std::vector<std::string>& words,
                    const std::map<std::string, std::string>& variables = {}) {
  const Result<Invocation> parsed = parse(words, variables);
  if (parsed) return "accepted";
  EXPECT_EQ(parsed.error().code, ErrorCode::invalid_argument);
  return parsed.error().message;
}

TEST(CommandLine, FindsTheCommandAndItsFlags) {
  const auto parsed = parse({"kv", "list", "--namespace", "My Namespace", "--metadata"});
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->path(), "kv list");
  EXPECT_EQ(parsed->value("namespace"), "My Namespace");
  EXPECT_TRUE(parsed->on("metadata"));
  EXPECT_FALSE(parsed->on("all"));
  EXPECT_THAT(parsed->arguments(), IsEmpty());
}

// The words of the call of sluice in a line for a shell, up to what the shell does with it.
std::vector<std::string> words_of_example(std::string_view line) {
  constexpr std::string_view name = "sluice ";
  line.remove_prefix(line.find(name) + name.size());
  std::vector<std::string> words(1);
  bool quoted = false;
  for (const char c : line) {
    if (c == '\'') {
      quoted = !quoted;
    } else if (!quoted && (c == '|' || c == '<' || c == '>' || c == ')')) {
      break;
    } else if (!quoted && c == ' ') {
      if (!words.back().empty()) words.emplace_back();
    } else {
      words.back() += c;
    }
  }
  if (words.back().empty()) words.pop_back();
  return words;
}

TEST(CommandLine, TakesEveryExampleOfTheHelp) {
  const auto check = [](std::string_view path, const Example& example) {
    if (!example.line.contains("sluice ")) return;  // of another tool, against what we serve
    const auto parsed = parse(words_of_example(example.line));
    ASSERT_TRUE(parsed) << example.line << ": " << parsed.error().message;
    EXPECT_TRUE(parsed->path() == path || parsed->path().starts_with(fmt::format("{} ", path)))
        << example.line;
  };
  for (const Command& command : commands()) {
    for (const Example& example : command.examples) check(command.path, example);
  }
  for (const CommandGroup& group : command_groups()) {
    for (const Example& example : group.examples) check(group.path, example);
  }
}

TEST(CommandLine, TakesTheCommandsOfTheContract) {
  EXPECT_TRUE(parse({"kv", "list", "--namespace", "X", "--all"}));
  const auto removal = parse({"kv", "delete", "--namespace", "X", "--search", "old-data", "--bulk",
                              "--concurrency", "50"});
  ASSERT_TRUE(removal);
  EXPECT_EQ(removal->count("concurrency"), 50u);
  EXPECT_TRUE(removal->on("bulk"));
  EXPECT_TRUE(parse({"kv", "export", "--namespace", "X", "--batch-size", "1000"}));
  EXPECT_TRUE(parse({"kv", "delete", "--all-keys"})->on("all"));
  EXPECT_TRUE(parse({"kv", "delete", "--force", "k"})->on("yes"));
}

TEST(CommandLine, GlobalFlagsMayStandAnywhere) {
  for (const auto& words : std::vector<std::vector<std::string>>{
           {"--json", "-P", "plain", "kv", "--timeout", "5s", "list"},
           {"kv", "list", "--json", "-Pplain", "--timeout=5s"},
           {"kv", "--json", "--progress=plain", "--timeout", "5s", "list"}}) {
    const auto parsed = parse(words);
    ASSERT_TRUE(parsed) << parsed.error().message;
    EXPECT_EQ(parsed->path(), "kv list");
    EXPECT_TRUE(parsed->on("json"));
    EXPECT_EQ(parsed->value("progress"), "plain");
    EXPECT_EQ(parsed->duration("timeout"), std::chrono::seconds(5));
  }
}

TEST(CommandLine, ShortFlags) {
  const auto parsed = parse({"kv", "delete", "-ny0", "--keys-file", "-"});
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_TRUE(parsed->on("dry-run"));
  EXPECT_TRUE(parsed->on("yes"));
  EXPECT_TRUE(parsed->on("null"));
  EXPECT_EQ(parsed->value("keys-file"), "-");
  EXPECT_EQ(parse({"kv", "list", "-0o", "keys"})->value("output"), "keys");
  EXPECT_EQ(parse({"kv", "list", "-okeys"})->value("output"), "keys");
}

TEST(CommandLine, ValuesAreTakenAsTheyAre) {
  for (const std::string value : {"", "-x", "--all", "[a,b]", "[]", "{}", "a=b", "%%", "++", "a b",
                                  "\"quoted\"", "'", "-", "1", "true", "ключ", "\n", "--"}) {
    const auto apart = parse({"kv", "list", "--prefix", value});
    ASSERT_TRUE(apart) << value << ": " << apart.error().message;
    EXPECT_EQ(apart->value("prefix"), value);
    EXPECT_FALSE(apart->on("all"));
    const auto together = parse({"kv", "list", "--prefix=" + value, "--json"});
    ASSERT_TRUE(together) << value << ": " << together.error().message;
    EXPECT_EQ(together->value("prefix"), value);
    EXPECT_TRUE(together->on("json"));
  }
}

TEST(CommandLine, ArgumentsAreTakenAsTheyAre) {
  for (const std::string key : {"", "[a,b]", "[]", "{}", "a=b", "%%", "++", "list", "kv", "-",
                                "a b", "tree", "\"q\"", "--x", "-n", "--help"}) {
    const auto parsed = parse({"kv", "get", "--", "first", key, "last"});
    ASSERT_TRUE(parsed) << key << ": " << parsed.error().message;
    EXPECT_EQ(parsed->path(), "kv get");
    EXPECT_THAT(parsed->arguments(), ElementsAre("first", key, "last"));
    if (key.starts_with('-') && key != "-") continue;
    const auto without = parse({"kv", "get", key, "--json"});
    ASSERT_TRUE(without) << key << ": " << without.error().message;
    EXPECT_THAT(without->arguments(), ElementsAre(key));
  }
  EXPECT_THAT(parse({"kv", "get", "a", "--prefix", "p", "b", "-v", "c"})->arguments(),
              ElementsAre("a", "b", "c"));
}

TEST(CommandLine, SwitchesMayBeAssigned) {
  EXPECT_FALSE(parse({"kv", "list", "--json=false"})->on("json"));
  EXPECT_TRUE(parse({"kv", "list", "--json=true"})->on("json"));
  EXPECT_TRUE(parse({"kv", "list", "-v", "-v"})->on("verbose"));
  EXPECT_NE(refusal({"kv", "list", "--json=maybe"}), "accepted");
}

TEST(CommandLine, HelpIsACommand) {
  EXPECT_EQ(parse({})->path(), "help");
  EXPECT_THAT(parse({})->arguments(), IsEmpty());
  EXPECT_THAT(parse({"--help"})->arguments(), IsEmpty());
  EXPECT_THAT(parse({"kv", "--help"})->arguments(), ElementsAre("kv"));
  EXPECT_THAT(parse({"kv", "namespace", "-h"})->arguments(), ElementsAre("kv namespace"));
  EXPECT_THAT(parse({"kv", "put", "--help"})->arguments(), ElementsAre("kv put"));
  EXPECT_THAT(parse({"help", "kv", "list"})->arguments(), ElementsAre("kv", "list"));
  EXPECT_EQ(parse({"--version"})->path(), "version");
}

TEST(CommandLine, RefusesUnknownCommandsWithTheNearest) {
  EXPECT_THAT(refusal({"kv", "lst"}), HasSubstr("Did you mean `sluice kv list`?"));
  EXPECT_THAT(refusal({"job", "list"}), HasSubstr("Did you mean `sluice jobs`?"));
  EXPECT_THAT(refusal({"kv", "namespace", "remove", "x"}),
              HasSubstr("`sluice kv namespace remove`"));
  EXPECT_THAT(refusal({"kv"}), HasSubstr("needs one more word: namespace, list, get"));
  EXPECT_THAT(refusal({"frobnicate"}), HasSubstr("See `sluice help`"));
}

TEST(CommandLine, RefusesUnknownFlagsWithTheNearest) {
  EXPECT_THAT(refusal({"kv", "list", "--nmaespace", "x"}), HasSubstr("Did you mean --namespace?"));
  EXPECT_THAT(refusal({"kv", "list", "--nmaespace=secret"}),
              testing::AllOf(HasSubstr("--nmaespace."), testing::Not(HasSubstr("secret"))));
  EXPECT_THAT(refusal({"kv", "list", "-z"}), HasSubstr("has no flag -z"));
  EXPECT_THAT(refusal({"kv", "list", "--jsno"}), HasSubstr("Did you mean --json?"));
  EXPECT_THAT(refusal({"--bogus"}), HasSubstr("--bogus"));
  // A flag of another command.
  EXPECT_THAT(refusal({"kv", "list", "--max-delete", "5"}), HasSubstr("has no flag --max-delete"));
}

TEST(CommandLine, RefusesMissingAndWrongValues) {
  EXPECT_THAT(refusal({"kv", "list", "--prefix"}), HasSubstr("--prefix needs a value"));
  EXPECT_THAT(refusal({"kv", "list", "-o"}), HasSubstr("-o needs a value: FILE"));
  EXPECT_THAT(refusal({"kv", "list", "--limit", "many"}), HasSubstr("--limit"));
  EXPECT_THAT(refusal({"kv", "list", "--timeout", "5"}), HasSubstr("has no unit"));
  EXPECT_THAT(refusal({"kv", "list", "--format", "ndjon"}), HasSubstr("Did you mean \"ndjson\"?"));
  EXPECT_THAT(refusal({"kv", "list", "--prefix", "a", "--prefix", "b"}), HasSubstr("given twice"));
  EXPECT_THAT(refusal({"kv", "list", "key"}), HasSubstr("takes no arguments"));
  EXPECT_THAT(refusal({"kv", "put"}), HasSubstr("needs KEY"));
  EXPECT_THAT(refusal({"kv", "put", "a", "b", "c"}), HasSubstr("\"c\" is too much"));
  EXPECT_THAT(refusal({"completion", "tcsh"}), HasSubstr("bash, zsh or fish"));
  EXPECT_THAT(refusal({"kv", "list"}, {{"SLUICE_LIMIT", "x"}}), HasSubstr("SLUICE_LIMIT"));
}

}  // namespace
}  // namespace sluice::cli
