#include "base/completion.h"

#include <algorithm>
#include <vector>

#include "base/command.h"

namespace sluice {
namespace {

// The words that may follow the words in `group`: [word, summary], each once.
std::vector<std::pair<std::string_view, std::string_view>> next_words(std::string_view group) {
  std::vector<std::pair<std::string_view, std::string_view>> words;
  for (const Command& command : commands()) {
    std::string_view rest = command.path;
    if (command.hidden) continue;
    if (!group.empty()) {
      if (!rest.starts_with(group) || !rest.substr(group.size()).starts_with(' ')) continue;
      rest.remove_prefix(group.size() + 1);
    }
    const std::string_view word = rest.substr(0, rest.find(' '));
    const std::string_view path = command.path.substr(
        0, static_cast<std::size_t>(word.data() - command.path.data()) + word.size());
    if (std::ranges::find(words, word, &std::pair<std::string_view, std::string_view>::first) !=
        words.end()) {
      continue;
    }
    const CommandGroup* as_group = find_command_group(path);
    words.emplace_back(word, as_group != nullptr ? as_group->summary : command.summary);
  }
  return words;
}

// Every group and visible command, the empty path first.
std::vector<std::string_view> all_paths() {
  std::vector<std::string_view> paths{""};
  for (const CommandGroup& group : command_groups()) paths.push_back(group.path);
  for (const Command& command : commands()) {
    if (!command.hidden) paths.push_back(command.path);
  }
  return paths;
}

std::vector<const Flag*> flags_of(const Command& command) {
  std::vector<const Flag*> flags;
  for_each_group(command, [&](const FlagGroup& group) {
    for (const Flag& flag : group.flags) flags.push_back(&flag);
  });
  return flags;
}

// "--output|-o", the ways to write a flag.
std::string forms(const Flag& flag, std::string_view separator) {
  std::string out = fmt::format("--{}", flag.name);
  if (!flag.alias.empty()) out += fmt::format("{}--{}", separator, flag.alias);
  if (flag.letter != '\0') out += fmt::format("{}-{}", separator, flag.letter);
  return out;
}

std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  while (true) {
    const std::size_t at = text.find(from);
    out += text.substr(0, at);
    if (at == std::string_view::npos) return out;
    out += to;
    text.remove_prefix(at + from.size());
  }
}

// `text` in single quotes, for a POSIX shell and zsh.
std::string quoted(std::string_view text) {
  return "'" + replaced(text, "'", "'\\''") + "'";
}

void append_bash_command(std::string& out, const Command& command) {
  std::string words;
  std::string files;
  std::string free_values;
  std::string choices;
  for (const Flag* flag : flags_of(command)) {
    if (!words.empty()) words += ' ';
    words += forms(*flag, " ");
    if (flag->kind == ValueKind::none) continue;
    if (flag->kind == ValueKind::choice) {
      choices += fmt::format("        {}) _sluice_words '{}'; return ;;\n", forms(*flag, "|"),
                             fmt::join(flag->choices, " "));
    } else {
      std::string& list = flag->kind == ValueKind::file ? files : free_values;
      if (!list.empty()) list += '|';
      list += forms(*flag, "|");
    }
  }
  out += fmt::format("    {})\n      case $prev in\n{}", quoted(command.path), choices);
  if (!files.empty()) out += fmt::format("        {}) _sluice_files; return ;;\n", files);
  if (!free_values.empty()) out += fmt::format("        {}) return ;;\n", free_values);
  out += "      esac\n";
  out += fmt::format("      case $cur in -*) _sluice_words '{}'; return ;; esac\n", words);
  if (!command.arguments.empty()) {
    const Argument& last = command.arguments.back();
    if (last.kind == ValueKind::file) out += "      _sluice_files\n";
    if (last.kind == ValueKind::choice) {
      out += fmt::format("      _sluice_words '{}'\n", fmt::join(last.choices, " "));
    }
  }
  out += "      ;;\n";
}

std::string bash_script() {
  std::string out =
      "# bash completion for sluice; made by `sluice completion bash`.\n"
      "_sluice_words() { mapfile -t COMPREPLY < <(compgen -W \"$1\" -- \"$cur\"); }\n"
      "_sluice_files() {\n"
      "  compopt -o filenames 2>/dev/null\n"
      "  mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
      "}\n"
      "_sluice() {\n"
      "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} found= word\n"
      "  COMPREPLY=()\n"
      "  # bash makes words of their own of the = in --flag=value.\n"
      "  if [[ $cur == '=' ]]; then\n"
      "    cur=\n"
      "  elif [[ $prev == '=' && $COMP_CWORD -gt 1 ]]; then\n"
      "    prev=${COMP_WORDS[COMP_CWORD-2]}\n"
      "  fi\n"
      "  for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
      "    case \"${found:+$found }$word\" in\n      ";
  bool first = true;
  for (const std::string_view path : all_paths()) {
    if (path.empty()) continue;
    if (!first) out += '|';
    first = false;
    out += quoted(path);
  }
  out += ") found=\"${found:+$found }$word\" ;;\n    esac\n  done\n  case $found in\n";
  for (const std::string_view path : all_paths()) {
    if (const Command* command = find_command(path)) {
      append_bash_command(out, *command);
      continue;
    }
    std::string words;
    for (const auto& [word, summary] : next_words(path)) {
      if (!words.empty()) words += ' ';
      words += word;
    }
    out += fmt::format("    {}) _sluice_words '{}' ;;\n", quoted(path), words);
  }
  out += "  esac\n}\ncomplete -F _sluice sluice\n";
  return out;
}

// The text of a description in a specification of _arguments.
std::string zsh_text(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

std::string zsh_action(ValueKind kind, std::span<const std::string_view> choices) {
  if (kind == ValueKind::file) return "_files";
  if (kind == ValueKind::choice) return fmt::format("({})", fmt::join(choices, " "));
  return " ";
}

void append_zsh_flag(std::string& out, const Flag& flag) {
  std::string value;
  if (flag.kind != ValueKind::none) {
    value = fmt::format(":{}:{}", zsh_text(flag.value), zsh_action(flag.kind, flag.choices));
  }
  const auto add = [&](const std::string& form, std::string_view assignment) {
    const std::string_view equals = flag.kind == ValueKind::none ? "" : assignment;
    out += fmt::format(" \\\n        {}",
                       quoted(fmt::format("{}{}[{}]{}", form, equals, zsh_text(flag.help), value)));
  };
  add(fmt::format("--{}", flag.name), "=");
  if (!flag.alias.empty()) add(fmt::format("--{}", flag.alias), "=");
  if (flag.letter != '\0') add(fmt::format("-{}", flag.letter), "+");
}

std::string zsh_script() {
  std::string out =
      "#compdef sluice\n"
      "# zsh completion for sluice; made by `sluice completion zsh`.\n"
      "_sluice() {\n"
      "  local found= next= i last=1\n"
      "  local -a list\n"
      "  for (( i = 2; i < CURRENT; ++i )); do\n"
      "    next=\"${found:+$found }${words[i]}\"\n"
      "    case $next in\n      ";
  bool first = true;
  for (const std::string_view path : all_paths()) {
    if (path.empty()) continue;
    if (!first) out += '|';
    first = false;
    out += quoted(path);
  }
  out +=
      ") found=$next; last=$i ;;\n"
      "    esac\n"
      "  done\n"
      "  # _arguments counts from the command's last word.\n"
      "  words=(sluice \"${(@)words[last+1,-1]}\")\n"
      "  (( CURRENT -= last - 1 ))\n"
      "  case $found in\n";
  for (const std::string_view path : all_paths()) {
    out += fmt::format("    {})\n", quoted(path));
    if (const Command* command = find_command(path)) {
      out += "      _arguments -s";
      for (const Flag* flag : flags_of(*command)) append_zsh_flag(out, *flag);
      for (std::size_t i = 0; i < command->arguments.size(); ++i) {
        const Argument& argument = command->arguments[i];
        out +=
            fmt::format(" \\\n        {}",
                        quoted(fmt::format(
                            "{}{}:{}:{}", argument.repeatable ? "*" : fmt::format("{}", i + 1),
                            argument.required || argument.repeatable ? "" : ":",
                            zsh_text(argument.name), zsh_action(argument.kind, argument.choices))));
      }
      out += "\n";
    } else {
      out += "      list=(";
      for (const auto& [word, summary] : next_words(path)) {
        out += " " + quoted(fmt::format("{}:{}", word, replaced(summary, ":", "\\:")));
      }
      out += ")\n      _describe -t commands command list\n";
    }
    out += "      ;;\n";
  }
  out +=
      "  esac\n}\nif [[ $funcstack[1] == _sluice ]]; then _sluice \"$@\"; else compdef _sluice "
      "sluice; fi\n";
  return out;
}

// `text` in single quotes, for fish, where a backslash escapes inside them.
std::string fish_quoted(std::string_view text) {
  return "'" + replaced(replaced(text, "\\", "\\\\"), "'", "\\'") + "'";
}

void append_fish_flag(std::string& out, const std::string& condition, const Flag& flag) {
  out += fmt::format("complete -c sluice{} -l {}", condition, flag.name);
  if (!flag.alias.empty()) out += fmt::format(" -l {}", flag.alias);
  if (flag.letter != '\0') out += fmt::format(" -s {}", flag.letter);
  if (flag.kind == ValueKind::file) {
    out += " -r -F";
  } else if (flag.kind == ValueKind::choice) {
    out += fmt::format(" -x -a {}", fish_quoted(fmt::format("{}", fmt::join(flag.choices, " "))));
  } else if (flag.kind != ValueKind::none) {
    out += " -x";
  }
  out += fmt::format(" -d {}\n", fish_quoted(flag.help));
}

std::string fish_script() {
  std::string out =
      "# fish completion for sluice; made by `sluice completion fish`.\n"
      "function __sluice_at --description 'whether the words so far are this command'\n"
      "    set -l found\n"
      "    for word in (commandline -opc)[2..-1]\n"
      "        set -l next (string join ' ' -- $found $word)\n"
      "        contains -- \"$next\"";
  for (const std::string_view path : all_paths()) {
    if (!path.empty()) out += " " + fish_quoted(path);
  }
  out +=
      "; and set found $next\n"
      "    end\n"
      "    test \"$found\" = \"$argv[1]\"\n"
      "end\n"
      "complete -c sluice -f\n";
  for (const Flag& flag : global_flags().flags) append_fish_flag(out, "", flag);
  for (const std::string_view path : all_paths()) {
    const std::string condition =
        fmt::format(" -n {}", fish_quoted(fmt::format("__sluice_at \"{}\"", path)));
    const Command* command = find_command(path);
    if (command == nullptr) {
      for (const auto& [word, summary] : next_words(path)) {
        out += fmt::format("complete -c sluice{} -a {} -d {}\n", condition, word,
                           fish_quoted(summary));
      }
      continue;
    }
    for (const FlagGroup& group : command->groups) {
      for (const Flag& flag : group.flags) append_fish_flag(out, condition, flag);
    }
    for (const Argument& argument : command->arguments) {
      if (argument.kind == ValueKind::file) {
        out += fmt::format("complete -c sluice{} -F\n", condition);
      } else if (argument.kind == ValueKind::choice) {
        out += fmt::format("complete -c sluice{} -a {}\n", condition,
                           fish_quoted(fmt::format("{}", fmt::join(argument.choices, " "))));
      }
    }
  }
  return out;
}

}  // namespace

Result<std::string> completion_script(std::string_view shell) {
  if (shell == "bash") return bash_script();
  if (shell == "zsh") return zsh_script();
  if (shell == "fish") return fish_script();
  return fail(ErrorCode::invalid_argument,
              "There is no completion for \"{}\"; there is one for bash, zsh and fish.", shell);
}

}  // namespace sluice
