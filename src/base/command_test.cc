// Tests of the table of commands and of what is made from it: invocation, help, completion.
#include "base/command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <simdjson.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <set>
#include <stdexcept>

#include "base/completion.h"
#include "base/config.h"
#include "base/help.h"
#include "base/invocation.h"
#include "base/shell.h"
#include "base/utf8.h"

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

const Getenv no_environment = [](std::string_view) { return std::nullopt; };

TEST(Commands, AreWellFormed) {
  std::set<std::string_view> paths;
  for (const Command& command : commands()) {
    SCOPED_TRACE(command.path);
    EXPECT_TRUE(paths.insert(command.path).second);
    EXPECT_FALSE(command.summary.empty());
    EXPECT_FALSE(command.summary.ends_with('.'));
    if (!command.hidden) {
      EXPECT_FALSE(command.examples.empty());
    }
    // Every group on the way has its own summary, and is no command.
    for (std::size_t at = command.path.find(' '); at != std::string_view::npos;
         at = command.path.find(' ', at + 1)) {
      EXPECT_NE(find_command_group(command.path.substr(0, at)), nullptr);
      EXPECT_EQ(find_command(command.path.substr(0, at)), nullptr);
    }
    bool optional = false;
    for (const Argument& argument : command.arguments) {
      EXPECT_FALSE(optional && argument.required) << argument.name;
      optional = optional || !argument.required;
      EXPECT_TRUE(!argument.repeatable || &argument == &command.arguments.back());
    }
  }
}

TEST(Commands, FlagsAreUniqueAndConsistent) {
  for (const Command& command : commands()) {
    SCOPED_TRACE(command.path);
    std::set<std::string_view> names;
    std::set<char> letters;
    for_each_group(command, [&](const FlagGroup& group) {
      EXPECT_FALSE(group.title.empty());
      for (const Flag& flag : group.flags) {
        SCOPED_TRACE(flag.name);
        EXPECT_TRUE(names.insert(flag.name).second);
        if (!flag.alias.empty()) {
          EXPECT_TRUE(names.insert(flag.alias).second);
        }
        if (flag.letter != '\0') {
          EXPECT_TRUE(letters.insert(flag.letter).second);
        }
        EXPECT_EQ(flag.value.empty(), flag.kind == ValueKind::none);
        EXPECT_EQ(flag.choices.empty(), flag.kind != ValueKind::choice);
        EXPECT_FALSE(flag.help.empty());
        EXPECT_FALSE(flag.help.ends_with('.'));
        if (!flag.standard.empty()) {
          EXPECT_TRUE(check_value(flag, flag.standard, "default"));
        }
        // Whether a flag takes a value must not depend on the command: flags may stand before it.
        for (const Command& other : commands()) {
          const Flag* same = find_flag(other, flag.name);
          const bool metadata = flag.name == "metadata";  // of `kv put` takes JSON
          if (same != nullptr && !metadata) {
            EXPECT_EQ(same->value.empty(), flag.value.empty());
          }
        }
      }
    });
  }
}

TEST(Commands, HoldTheFlagsOfTheContract) {
  for (const char* name : {"config", "json", "quiet", "verbose", "log-level", "progress", "color",
                           "timeout", "deadline", "rate", "help"}) {
    for (const Command& command : commands()) EXPECT_NE(find_flag(command, name), nullptr) << name;
  }
  for (const char* path : {"kv list", "kv get", "kv delete", "kv export", "kv copy"}) {
    for (const char* name : {"store", "namespace", "namespace-id", "prefix", "pattern", "search",
                             "tag-field", "tag-value", "keys-file", "all", "all-keys", "limit",
                             "batch-size", "concurrency", "bulk", "resume", "in-flight"}) {
      EXPECT_NE(find_flag(*find_command(path), name), nullptr) << path << " --" << name;
    }
  }
  for (const char* path : {"kv put", "kv delete", "kv import", "kv copy", "kv namespace delete"}) {
    for (const char* name : {"dry-run", "yes", "force", "interactive"}) {
      EXPECT_NE(find_flag(*find_command(path), name), nullptr) << path << " --" << name;
    }
    EXPECT_TRUE(find_command(path)->changes_something);
  }
  EXPECT_NE(find_flag(*find_command("kv delete"), "max-delete"), nullptr);
  EXPECT_EQ(find_flag(*find_command("kv list"), "max-delete"), nullptr);
  EXPECT_EQ(environment_name("max-delete"), "SLUICE_MAX_DELETE");
}

TEST(Invocation, FlagThenEnvironmentThenConfigThenDefault) {
  const Command& list = *find_command("kv list");
  const Config config = Config::parse("concurrency = 30\nstore = 'memory:'", "c").value();
  const Getenv environment = [](std::string_view name) -> std::optional<std::string> {
    if (name == "SLUICE_CONCURRENCY") return "20";
    if (name == "SLUICE_JSON") return "1";
    if (name == "SLUICE_ALL") return "0";
    if (name == "SLUICE_PREFIX") return "";
    return std::nullopt;
  };

  Invocation invocation = Invocation::make(list, {}, {}, no_environment).value();
  EXPECT_EQ(invocation.count("concurrency"), 10u);
  EXPECT_EQ(invocation.origin("concurrency"), Origin::standard);
  EXPECT_EQ(invocation.origin("store"), std::nullopt);
  invocation.use(config);
  EXPECT_EQ(invocation.count("concurrency"), 30u);
  EXPECT_EQ(invocation.origin("concurrency"), Origin::config);
  EXPECT_EQ(invocation.value("store"), "memory:");

  invocation = Invocation::make(list, {}, {}, environment).value();
  invocation.use(config);
  EXPECT_EQ(invocation.count("concurrency"), 20u);
  EXPECT_EQ(invocation.origin("concurrency"), Origin::environment);
  EXPECT_TRUE(invocation.on("json"));
  EXPECT_FALSE(invocation.on("all"));
  EXPECT_EQ(invocation.value("prefix"), std::nullopt);

  invocation =
      Invocation::make(list, {{"concurrency", "5"}, {"json", "false"}}, {}, environment).value();
  invocation.use(config);
  EXPECT_EQ(invocation.count("concurrency"), 5u);
  EXPECT_EQ(invocation.origin("concurrency"), Origin::flag);
  EXPECT_FALSE(invocation.on("json"));
}

TEST(Invocation, TypedLookUps) {
  const Invocation put =
      Invocation::make(*find_command("kv put"), {{"ttl", "3600"}}, {"k", "v"}, no_environment)
          .value();
  EXPECT_EQ(put.duration("ttl"), std::chrono::hours(1));
  EXPECT_THAT(put.arguments(), ElementsAre("k", "v"));
  const Invocation list =
      Invocation::make(*find_command("kv list"), {}, {}, no_environment).value();
  EXPECT_EQ(list.size("in-flight"), 32'000'000u);
  EXPECT_EQ(list.duration("deadline"), std::nullopt);
  // A flag of other commands is off; one of none is a mistake in the program.
  EXPECT_FALSE(list.on("dry-run"));
  EXPECT_EQ(list.value("max-delete"), std::nullopt);
  EXPECT_THROW((void)list.on("dry_run"), std::logic_error);
  EXPECT_THROW((void)list.value("prefx"), std::logic_error);
}

TEST(Invocation, WritesItselfAsACommandLine) {
  const Invocation invocation =
      Invocation::make(*find_command("kv delete"),
                       {{"search", "it's old"}, {"yes", "true"}, {"store", "redis://:hunter2@h"}},
                       {"-key"}, no_environment)
          .value();
  EXPECT_EQ(invocation.command_line(),
            "sluice kv delete --store='redis://:***@h' --search='it'\\''s old' --yes -- -key");
  constexpr std::string_view except[] = {"yes", "store"};
  EXPECT_EQ(invocation.command_line(except), "sluice kv delete --search='it'\\''s old' -- -key");
}

TEST(Help, OfAGroupNamesItsCommandsAndShowsExamples) {
  for (const CommandGroup& group : command_groups()) {
    SCOPED_TRACE(group.path);
    const std::string help = help_text(group.path).value();
    EXPECT_FALSE(group.examples.empty());
    for (const Example& example : group.examples) EXPECT_THAT(help, HasSubstr(example.line));
    for (const Command& command : commands()) {
      if (command.hidden || !command.path.starts_with(fmt::format("{} ", group.path))) continue;
      EXPECT_THAT(help, HasSubstr(command.summary));
    }
  }
}

TEST(Help, CoversEverythingWithinTheWidth) {
  for (const Command& command : commands()) {
    const std::string help = help_text(command.path).value();
    for_each_group(command, [&](const FlagGroup& group) {
      for (const Flag& flag : group.flags) {
        EXPECT_THAT(help, HasSubstr(fmt::format("--{}", flag.name))) << command.path;
      }
    });
    for (const Argument& argument : command.arguments) EXPECT_THAT(help, HasSubstr(argument.name));
    for (const Example& example : command.examples) EXPECT_THAT(help, HasSubstr(example.line));
    std::string_view rest = help;
    while (!rest.empty()) {
      const std::string_view line = rest.substr(0, rest.find('\n'));
      EXPECT_LE(display_width(line), 100u) << line;
      EXPECT_FALSE(line.ends_with(' ')) << command.path << ": " << line;
      rest.remove_prefix(line.size() + 1);
    }
  }
  EXPECT_THAT(help_text("kv").value(), HasSubstr("namespace create"));
  EXPECT_THAT(help_text("").value(), HasSubstr("doctor"));
  EXPECT_THAT(help_text("").value(), Not(HasSubstr("\n  man ")));
  EXPECT_FALSE(help_text("kv lst"));
}

TEST(Help, TreeHoldsEveryCommand) {
  const std::string tree = command_tree(true);
  EXPECT_THAT(tree, HasSubstr("│   ├── namespace"));
  EXPECT_THAT(tree, HasSubstr("├── list"));
  EXPECT_THAT(tree, HasSubstr("--max-delete N"));
  EXPECT_THAT(command_tree(false), Not(HasSubstr("--")));

  simdjson::dom::parser parser;
  simdjson::dom::element document;
  ASSERT_EQ(parser.parse(command_tree_json()).get(document), simdjson::SUCCESS);
  std::size_t listed = 0;
  for (const auto command : document["commands"].get_array()) {
    const std::string_view path = command["path"];
    EXPECT_NE(find_command(path), nullptr);
    ++listed;
  }
  std::size_t visible = 0;
  for (const Command& command : commands()) visible += command.hidden ? 0 : 1;
  EXPECT_EQ(listed, visible);
}

TEST(Help, ManualPageIsRoff) {
  const std::string page = manual_page("1.2.3");
  EXPECT_TRUE(page.starts_with(".TH SLUICE 1"));
  for (const char* part :
       {".SH NAME", ".SH COMMANDS", ".SH EXIT STATUS", "sluice kv namespace list",
        "\\fB\\-\\-max\\-delete\\fR", "CLOUDFLARE_API_TOKEN"}) {
    EXPECT_THAT(page, HasSubstr(part));
  }
  // No line may begin with a dot or a quote that is not a macro of ours.
  for (std::size_t at = page.find("\n."); at != std::string::npos; at = page.find("\n.", at + 1)) {
    const std::string macro = page.substr(at + 1, 3);
    EXPECT_THAT(macro, testing::AnyOf(testing::StartsWith(".SH"), testing::StartsWith(".SS"),
                                      testing::StartsWith(".TP"), testing::StartsWith(".PP"),
                                      testing::StartsWith(".nf"), testing::StartsWith(".fi")));
  }
  EXPECT_EQ(page.find("\n'"), std::string::npos);
  EXPECT_TRUE(
      std::ranges::all_of(page, [](char c) { return c == '\n' || (c >= ' ' && c <= '~'); }));
}

// What bash offers after `words`, of which the last is being typed.
std::string bash_completions(const std::vector<std::string>& words) {
  char path[] = "/tmp/sluice-completion-XXXXXX";
  const int descriptor = mkstemp(path);
  EXPECT_GE(descriptor, 0);
  std::string script = completion_script("bash").value() + "COMP_WORDS=(";
  for (const std::string& word : words) script += " " + shell_quoted(word);
  script += fmt::format(")\nCOMP_CWORD={}\n_sluice\nprintf '%s ' \"${{COMPREPLY[@]}}\"\n",
                        words.size() - 1);
  EXPECT_EQ(write(descriptor, script.data(), script.size()), static_cast<ssize_t>(script.size()));
  close(descriptor);
  std::FILE* output = popen(fmt::format("bash {} 2>&1", path).c_str(), "r");
  std::string text;
  char buffer[4096];
  while (const std::size_t size = std::fread(buffer, 1, sizeof buffer, output)) {
    text.append(buffer, size);
  }
  EXPECT_EQ(pclose(output), 0);
  unlink(path);
  return text;
}

TEST(Completion, BashOffersWhatTheTableHolds) {
  EXPECT_EQ(bash_completions({"sluice", "k"}), "kv ");
  EXPECT_EQ(bash_completions({"sluice", "kv", "n"}), "namespace ");
  EXPECT_EQ(bash_completions({"sluice", "kv", "namespace", ""}), "list create rename delete ");
  EXPECT_EQ(bash_completions({"sluice", "--json", "kv", "delete", "--max"}), "--max-delete ");
  EXPECT_EQ(bash_completions({"sluice", "kv", "list", "--format", "nd"}), "ndjson ");
  EXPECT_EQ(bash_completions({"sluice", "kv", "list", "--format", "=", "nd"}), "ndjson ");
  EXPECT_EQ(bash_completions({"sluice", "completion", ""}), "bash zsh fish ");
  EXPECT_EQ(bash_completions({"sluice", "kv", "get", "list", "--tag-f"}), "--tag-field ");
}

TEST(Completion, EveryShellKnowsEveryFlag) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const std::string script = completion_script(shell).value();
    const std::string_view dashes = shell == std::string_view("fish") ? "-l " : "--";
    for (const Command& command : commands()) {
      if (command.hidden) continue;
      for_each_group(command, [&](const FlagGroup& group) {
        for (const Flag& flag : group.flags) {
          EXPECT_THAT(script, HasSubstr(fmt::format("{}{}", dashes, flag.name))) << shell;
        }
      });
    }
  }
  EXPECT_FALSE(completion_script("tcsh"));
}

}  // namespace
}  // namespace sluice
