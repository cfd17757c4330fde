#include "command_line.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include "base/help.h"
#include "base/text_distance.h"
#include "base/utf8.h"

namespace sluice::cli {
namespace {

bool is_flag_word(std::string_view word) {
  return word.size() > 1 && word.starts_with('-');
}

// The flag of this name in whichever command has it: before the command is known, only whether a
// flag takes a value matters.
const Flag* find_anywhere(std::string_view name) {
  for (const Command& command : commands()) {
    if (const Flag* flag = find_flag(command, name)) return flag;
  }
  return nullptr;
}

// Only the letters of global flags can come before the command.
const Flag* global_letter(char letter) {
  const auto found = std::ranges::find(global_flags().flags, letter, &Flag::letter);
  return found == global_flags().flags.end() ? nullptr : &*found;
}

// Whether `word`, which begins with a dash, takes the next word as its value. `by_name` and
// `by_letter` find flags.
template <class ByName, class ByLetter>
bool takes_next(std::string_view word, const ByName& by_name, const ByLetter& by_letter) {
  const auto has_value = [](const Flag* flag) {
    return flag != nullptr && flag->kind != ValueKind::none;
  };
  if (word.starts_with("--")) {
    return word.find('=') == std::string_view::npos && has_value(by_name(word.substr(2)));
  }
  // "-qP" takes one, "-Pbar" has it.
  for (std::size_t i = 1; i < word.size(); ++i) {
    if (has_value(by_letter(word[i]))) return i + 1 == word.size();
  }
  return false;
}

// The words of a command line, parted into the command's path and all the others, in order.
struct Parted {
  std::string path;
  std::vector<std::string> rest;
};

Parted part(std::span<const std::string> words) {
  Parted parted;
  bool searching = true;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (searching && word == "--") searching = false;
    if (!searching) {
      parted.rest.push_back(word);
    } else if (is_flag_word(word)) {
      parted.rest.push_back(word);
      if (takes_next(word, find_anywhere, global_letter) && i + 1 < words.size()) {
        parted.rest.push_back(words[++i]);
      }
    } else {
      parted.path += (parted.path.empty() ? "" : " ") + word;
      // A group needs one more word; a command's path is complete.
      searching = find_command_group(parted.path) != nullptr;
    }
  }
  return parted;
}

// The parser for one command, built from the table. CLI11 knows the flags' names and which of them
// take a value; what the values may be is the table's business (base/invocation.h).
class Parser {
 public:
  explicit Parser(const Command& command) : command_(command) {
    // CLI11's own help flag would end the parsing with an exception; ours is in the table.
    app_.set_help_flag();
    app_.allow_extras();
    for_each_group(command, [&](const FlagGroup& group) {
      for (const Flag& flag : group.flags) add(flag);
    });
  }

  Result<Invocation> parse(std::span<const std::string> words, const Getenv& environment) {
    Split split = split_words(words);
    try {
      // CLI11 takes the words from the last to the first.
      app_.parse(std::vector<std::string>(split.flags.rbegin(), split.flags.rend()));
    } catch (const CLI::ArgumentMismatch&) {
      return fail(ErrorCode::invalid_argument, "{} See `sluice help {}`.", missing_value(words),
                  command_.path);
    } catch (const CLI::ParseError& error) {
      return fail(ErrorCode::invalid_argument, "{}. See `sluice help {}`.", error.what(),
                  command_.path);
    }
    std::vector<std::string> arguments;
    for (std::string& extra : app_.remaining()) {
      if (is_flag_word(extra)) return unknown_flag(extra);
      arguments.push_back(std::move(extra));
    }
    std::ranges::move(split.arguments, std::back_inserter(arguments));
    std::vector<Invocation::Given> given;
    for (const auto& [flag, option] : options_) {
      for (const std::string& value : option->results()) {
        given.push_back({std::string(flag->name), value});
      }
    }
    if (std::ranges::any_of(
            given, [](const auto& flag) { return flag.flag == "help" && flag.value == "true"; })) {
      return Invocation::make(*find_command("help"), {}, {std::string(command_.path)}, environment);
    }
    Result<Invocation> invocation =
        Invocation::make(command_, given, std::move(arguments), environment);
    if (!invocation) {
      invocation.error().message += fmt::format(" See `sluice help {}`.", command_.path);
    }
    return invocation;
  }

 private:
  void add(const Flag& flag) {
    std::string names = fmt::format("--{}", flag.name);
    if (!flag.alias.empty()) names += fmt::format(",--{}", flag.alias);
    if (flag.letter != '\0') names += fmt::format(",-{}", flag.letter);
    CLI::Option* option = nullptr;
    if (flag.kind == ValueKind::none) {
      option = app_.add_flag(names);
      option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    } else {
      // Without allow_extra_args(false), CLI11 takes "[a,b]" apart and goes on to swallow
      // arguments.
      option = app_.add_option(names);
      option->type_size(1)
          ->expected(1)
          ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
          ->allow_extra_args(false);
    }
    options_.emplace_back(&flag, option);
  }

  const Flag* by_name(std::string_view name) const { return find_flag(command_, name); }
  const Flag* by_letter(char letter) const {
    const Flag* found = nullptr;
    for_each_group(command_, [&](const FlagGroup& group) {
      const auto flag = std::ranges::find(group.flags, letter, &Flag::letter);
      if (flag != group.flags.end()) found = &*flag;
    });
    return found;
  }

  struct Split {
    std::vector<std::string> flags;      // with arguments among them
    std::vector<std::string> arguments;  // what follows "--"
  };

  // Parts the words at "--", so that CLI11 need not, and turns "--prefix=x" into "--prefix" "x",
  // since CLI11 cannot tell "--prefix=" from "--prefix".
  Split split_words(std::span<const std::string> words) const {
    Split split;
    for (std::size_t i = 0; i < words.size(); ++i) {
      const std::string& word = words[i];
      if (word == "--") {
        const auto rest = words.subspan(i + 1);
        split.arguments.assign(rest.begin(), rest.end());
        break;
      }
      const std::size_t equals = word.starts_with("--") ? word.find('=') : std::string::npos;
      if (equals != std::string::npos) {
        const Flag* flag = by_name(std::string_view(word).substr(2, equals - 2));
        if (flag != nullptr && flag->kind != ValueKind::none) {
          split.flags.push_back(word.substr(0, equals));
          split.flags.push_back(word.substr(equals + 1));
          continue;
        }
      }
      split.flags.push_back(word);
      // A value is not looked at, whatever it looks like.
      const bool has_value =
          is_flag_word(word) && takes_next(
                                    word, [&](std::string_view name) { return by_name(name); },
                                    [&](char letter) { return by_letter(letter); });
      if (has_value && i + 1 < words.size()) split.flags.push_back(words[++i]);
    }
    return split;
  }

  std::string missing_value(std::span<const std::string> words) const {
    const std::string last = words.empty() ? std::string{} : words.back();
    const Flag* flag = nullptr;
    if (last.starts_with("--")) {
      flag = by_name(std::string_view(last).substr(2));
    } else if (!last.empty()) {
      flag = by_letter(last.back());
    }
    if (flag == nullptr)
      return fmt::format("A flag of `sluice {}` lacks its value.", command_.path);
    return fmt::format("{} needs a value: {}.", last, flag->value);
  }

  std::unexpected<Error> unknown_flag(std::string_view word) const {
    const std::string_view shown = word.substr(0, word.find('='));
    std::string guess;
    if (word.starts_with("--")) {
      std::vector<std::string_view> names;
      for_each_group(command_, [&](const FlagGroup& group) {
        for (const Flag& flag : group.flags) {
          names.push_back(flag.name);
          if (!flag.alias.empty()) names.push_back(flag.alias);
        }
      });
      if (const auto found = nearest(shown.substr(2), names)) {
        guess = fmt::format(" Did you mean --{}?", *found);
      }
    }
    // It may be a flag of the command that is to be run.
    if (guess.empty() && (command_.path == "cache exec" || command_.path == "cache lock")) {
      guess = " The command to run, with its flags, comes after --.";
    }
    return fail(ErrorCode::invalid_argument, "`sluice {}` has no flag {}.{} See `sluice help {}`.",
                command_.path, printable(shown), guess, command_.path);
  }

  const Command& command_;
  CLI::App app_;
  std::vector<std::pair<const Flag*, CLI::Option*>> options_;
};

bool asks_for_help(const Parted& parted) {
  for (const std::string& word : parted.rest) {
    if (word == "--") return false;
    if (word == "--help" || word == "-h") return true;
  }
  return false;
}

}  // namespace

Result<Invocation> parse_command_line(std::span<const std::string> words,
                                      const Getenv& environment) {
  const Parted parted = part(words);
  if (const Command* command = find_command(parted.path)) {
    return Parser(*command).parse(parted.rest, environment);
  }
  const bool known = parted.path.empty() || find_command_group(parted.path) != nullptr;
  const Command& help = *find_command("help");
  if (known && asks_for_help(parted)) {
    std::vector<std::string> arguments;
    if (!parted.path.empty()) arguments.push_back(parted.path);
    return Invocation::make(help, {}, std::move(arguments), environment);
  }
  if (!parted.path.empty()) return std::unexpected(unknown_command(parted.path));
  if (std::ranges::find(parted.rest, "--version") != parted.rest.end()) {
    return Parser(*find_command("version")).parse({}, environment);
  }
  // No command: the overview. Flags alone still have to be right.
  return Parser(help).parse(parted.rest, environment);
}

}  // namespace sluice::cli
