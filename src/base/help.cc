#include "base/help.h"

#include <algorithm>
#include <vector>

#include "base/config.h"
#include "base/json_text.h"
#include "base/text_distance.h"
#include "base/utf8.h"

namespace sluice {
namespace {

constexpr std::size_t columns = 92;

// Appends `text`, broken into lines at spaces. The cursor stands at column `at`; further lines
// begin at column `indent`.
void append_wrapped(std::string& out, std::string_view text, std::size_t at, std::size_t indent) {
  bool line_is_empty = true;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::size_t width = display_width(word);
    if (!line_is_empty && at + 1 + width > columns) {
      out += '\n';
      out.append(indent, ' ');
      at = indent;
      line_is_empty = true;
    }
    if (!line_is_empty) {
      out += ' ';
      ++at;
    }
    out += word;
    at += width;
    line_is_empty = false;
  }
  out += '\n';
}

// A row of a two-column list. A long first column puts the second on its own line.
void append_row(std::string& out, std::string_view left, std::string_view right,
                std::size_t right_column) {
  out += "  ";
  out += left;
  const std::size_t at = 2 + display_width(left);
  if (right.empty()) {
    out += '\n';
    return;
  }
  if (at + 2 > right_column) {
    out += '\n';
    out.append(right_column, ' ');
  } else {
    out.append(right_column - at, ' ');
  }
  append_wrapped(out, right, right_column, right_column);
}

std::string flag_forms(const Flag& flag) {
  std::string forms = flag.letter == '\0' ? "    " : fmt::format("-{}, ", flag.letter);
  forms += fmt::format("--{}", flag.name);
  if (!flag.value.empty()) forms += fmt::format(" {}", flag.value);
  return forms;
}

std::string choice_list(std::span<const std::string_view> choices) {
  return fmt::format("{}", fmt::join(choices, ", "));
}

// Help with what the table knows beside it: choices, the default, the other name.
std::string flag_help(const Flag& flag) {
  std::string help(flag.help);
  const bool names_choices = std::ranges::all_of(flag.choices, [&](std::string_view choice) {
    return flag.help.find(choice) != std::string_view::npos;
  });
  if (!flag.choices.empty() && !names_choices) help += ": " + choice_list(flag.choices);
  if (!flag.standard.empty()) help += fmt::format(" (default: {})", flag.standard);
  if (!flag.alias.empty()) help += fmt::format(" (also: --{})", flag.alias);
  return help;
}

std::string argument_form(const Argument& argument) {
  std::string form(argument.name);
  if (argument.repeatable) form += "…";
  return argument.required ? form : "[" + form + "]";
}

std::string usage_line(const Command& command) {
  std::string line = "sluice " + std::string(command.path);
  for (const Argument& argument : command.arguments) line += " " + argument_form(argument);
  return line + " [flags]";
}

// Whether `path` is directly below `group`: "kv list" below "kv".
bool is_child(std::string_view path, std::string_view group) {
  if (!group.empty()) {
    if (!path.starts_with(group) || path.size() <= group.size() || path[group.size()] != ' ') {
      return false;
    }
    path.remove_prefix(group.size() + 1);
  }
  return path.find(' ') == std::string_view::npos;
}

std::string_view last_word(std::string_view path) {
  return path.substr(path.rfind(' ') + 1);
}

struct Node {
  std::string_view path;
  std::string_view summary;
  const Command* command;  // nullptr: a group
};

// What stands directly below a group, in the table's order; a group stands where its first command
// does.
std::vector<Node> children(std::string_view group) {
  std::vector<Node> nodes;
  for (const Command& command : commands()) {
    if (command.hidden) continue;
    if (is_child(command.path, group)) {
      nodes.push_back({command.path, command.summary, &command});
      continue;
    }
    for (const CommandGroup& inner : command_groups()) {
      const bool below = command.path.starts_with(inner.path) &&
                         command.path.substr(inner.path.size()).starts_with(' ');
      if (below && is_child(inner.path, group) &&
          std::ranges::find(nodes, inner.path, &Node::path) == nodes.end()) {
        nodes.push_back({inner.path, inner.summary, nullptr});
      }
    }
  }
  return nodes;
}

void append_examples(std::string& out, std::span<const Example> examples) {
  if (examples.empty()) return;
  out += "\nExamples:\n";
  for (const Example& example : examples) {
    out += fmt::format("  {}\n", example.line);
    if (!example.says.empty()) {
      out += "      ";
      append_wrapped(out, example.says, 6, 6);
    }
  }
}

std::string command_help(const Command& command) {
  std::string out = fmt::format("{} - {}\n\n", command.path, command.summary);
  out += "Usage: ";
  append_wrapped(out, usage_line(command), 7, 9);
  if (!command.description.empty()) {
    out += '\n';
    append_wrapped(out, command.description, 0, 0);
  }
  constexpr std::size_t column = 30;
  if (!command.arguments.empty()) {
    out += "\nArguments:\n";
    for (const Argument& argument : command.arguments) {
      append_row(out, argument_form(argument), argument.help, column);
    }
  }
  for_each_group(command, [&](const FlagGroup& group) {
    out += fmt::format("\n{}:\n", group.title);
    for (const Flag& flag : group.flags) append_row(out, flag_forms(flag), flag_help(flag), column);
  });
  append_examples(out, command.examples);
  out += '\n';
  append_wrapped(
      out,
      "Every flag can also be set in the environment: --max-delete is SLUICE_MAX_DELETE. "
      "Times are written 500ms, 2s, 5m, 1h30m; sizes 64kB, 32MB, 1GiB.",
      0, 0);
  return out;
}

std::string group_help(const CommandGroup& group) {
  std::string out = fmt::format("{} - {}\n\nUsage: sluice {} COMMAND [flags]\n\nCommands:\n",
                                group.path, group.summary, group.path);
  constexpr std::size_t column = 22;
  for (const Node& node : children(group.path)) {
    if (node.command != nullptr) {
      append_row(out, last_word(node.path), node.summary, column);
      continue;
    }
    for (const Node& inner : children(node.path)) {
      append_row(out, inner.path.substr(group.path.size() + 1), inner.summary, column);
    }
  }
  append_examples(out, group.examples);
  out += fmt::format("\nSee `sluice help {} COMMAND` for the flags and examples of one.\n",
                     group.path);
  return out;
}

void append_tree(std::string& out, std::string_view group, const std::string& indent, bool flags) {
  const std::vector<Node> nodes = children(group);
  std::size_t widest = 0;
  for (const Node& node : nodes) {
    std::size_t width = last_word(node.path).size();
    if (node.command != nullptr) {
      for (const Argument& argument : node.command->arguments) {
        width += 1 + display_width(argument_form(argument));
      }
    }
    widest = std::max(widest, width);
  }
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const Node& node = nodes[i];
    const bool last = i + 1 == nodes.size();
    std::string label(last_word(node.path));
    if (node.command != nullptr) {
      for (const Argument& argument : node.command->arguments) {
        label += " " + argument_form(argument);
      }
    }
    out += fmt::format("{}{}{}", indent, last ? "└── " : "├── ", label);
    out.append(widest - display_width(label) + 2, ' ');
    out += node.summary;
    out += '\n';
    const std::string deeper = indent + (last ? "    " : "│   ");
    if (node.command == nullptr) {
      append_tree(out, node.path, deeper, flags);
    } else if (flags) {
      for (const FlagGroup& flag_group : node.command->groups) {
        for (const Flag& flag : flag_group.flags) {
          out += fmt::format("{}  {}\n", deeper, flag_forms(flag));
        }
      }
    }
  }
}

void append_json_field(std::string& out, std::string_view name, std::string_view value) {
  if (out.back() != '{') out += ',';
  append_json_string(out, name);
  out += ':';
  append_json_string(out, value);
}

void append_json_flags(std::string& out, std::span<const Flag> flags) {
  for (const Flag& flag : flags) {
    if (out.back() != '[') out += ',';
    out += '{';
    append_json_field(out, "name", flag.name);
    if (flag.letter != '\0') append_json_field(out, "letter", {&flag.letter, 1});
    if (!flag.value.empty()) append_json_field(out, "value", flag.value);
    if (!flag.alias.empty()) append_json_field(out, "alias", flag.alias);
    if (!flag.standard.empty()) append_json_field(out, "default", flag.standard);
    if (!flag.choices.empty()) {
      out += ",\"choices\":[";
      for (const std::string_view choice : flag.choices) {
        if (out.back() != '[') out += ',';
        append_json_string(out, choice);
      }
      out += ']';
    }
    append_json_field(out, "environment", environment_name(flag.name));
    append_json_field(out, "help", flag.help);
    out += '}';
  }
}

// Text for roff: a backslash, and a dot or quote at the start of a line, would be read as its own;
// a hyphen-minus is escaped so that it can be copied from the page.
std::string roff(std::string_view text) {
  std::string out;
  if (text.starts_with('.') || text.starts_with('\'')) out += "\\&";
  // Older roffs read bytes, not UTF-8; this is the only other character in the table's texts.
  constexpr std::string_view ellipsis = "…";
  while (!text.empty()) {
    if (text.starts_with(ellipsis)) {
      out += "\\[u2026]";
      text.remove_prefix(ellipsis.size());
      continue;
    }
    const char c = text[0];
    text.remove_prefix(1);
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
  }
  return out;
}

void append_roff_flags(std::string& out, std::span<const Flag> flags) {
  for (const Flag& flag : flags) {
    out += ".TP\n";
    if (flag.letter != '\0') out += fmt::format("\\fB\\-{}\\fR, ", flag.letter);
    out += fmt::format("\\fB\\-\\-{}\\fR", roff(flag.name));
    if (!flag.value.empty()) out += fmt::format(" \\fI{}\\fR", roff(flag.value));
    out += '\n' + roff(flag_help(flag)) + '\n';
  }
}

}  // namespace

std::string overview() {
  std::string out =
      "sluice - moves data in bulk to, from and between slow or rate-limited key-value stores\n\n"
      "Usage: sluice COMMAND [flags]\n\nCommands:\n";
  for (const Node& node : children("")) {
    append_row(out, node.path, node.summary, 16);
    if (node.command != nullptr) continue;
    std::string names;
    for (const Node& inner : children(node.path)) {
      if (!names.empty()) names += ", ";
      names += last_word(inner.path);
    }
    out.append(16, ' ');
    append_wrapped(out, names, 16, 16);
  }
  out +=
      "\nStart with `sluice demo`, or `sluice config init`. `sluice help COMMAND` shows the flags "
      "and\n"
      "examples of a command, `sluice tree` all commands, `sluice doctor` whether all is in "
      "order.\n";
  return out;
}

Result<std::string> help_text(std::string_view path) {
  if (path.empty()) return overview();
  if (const Command* command = find_command(path)) return command_help(*command);
  if (const CommandGroup* group = find_command_group(path)) return group_help(*group);
  return std::unexpected(unknown_command(path));
}

Error unknown_command(std::string_view path) {
  const auto usage = [](std::string message) {
    return Error{ErrorCode::invalid_argument, Retry::never, std::nullopt, std::move(message)};
  };
  // The longest group that the words begin with, and the first word that it does not hold.
  std::string_view group;
  for (const CommandGroup& known : command_groups()) {
    const bool begins = path == known.path || (path.starts_with(known.path) &&
                                               path.substr(known.path.size()).starts_with(' '));
    if (begins && known.path.size() > group.size()) group = known.path;
  }
  std::vector<std::string_view> names;
  for (const Node& node : children(group)) names.push_back(last_word(node.path));
  const std::string in_group = group.empty() ? "" : " " + std::string(group);
  if (path == group) {
    return usage(fmt::format("`sluice{}` needs one more word: {}. See `sluice help{}`.", in_group,
                             choice_list(names), in_group));
  }
  std::string_view rest = path.substr(group.empty() ? 0 : group.size() + 1);
  rest = rest.substr(0, rest.find(' '));
  std::string guess;
  if (const auto found = nearest(rest, names)) {
    guess = fmt::format(" Did you mean `sluice{} {}`?", in_group, *found);
  }
  return usage(fmt::format("There is no command `sluice{} {}`.{} See `sluice help{}`.", in_group,
                           printable(rest), guess, in_group));
}

std::string command_tree(bool flags) {
  std::string out = "sluice\n";
  append_tree(out, "", "", flags);
  return out;
}

std::string command_tree_json() {
  std::string out = "{\"commands\":[";
  for (const Command& command : commands()) {
    if (command.hidden) continue;
    if (out.back() != '[') out += ',';
    out += '{';
    append_json_field(out, "path", command.path);
    append_json_field(out, "summary", command.summary);
    out +=
        command.changes_something ? ",\"changes_something\":true" : ",\"changes_something\":false";
    out += ",\"arguments\":[";
    for (const Argument& argument : command.arguments) {
      if (out.back() != '[') out += ',';
      out += '{';
      append_json_field(out, "name", argument.name);
      append_json_field(out, "help", argument.help);
      out += fmt::format(",\"required\":{},\"repeatable\":{}}}", argument.required,
                         argument.repeatable);
    }
    out += "],\"flags\":[";
    for (const FlagGroup& group : command.groups) append_json_flags(out, group.flags);
    out += "]}";
  }
  out += "],\"global_flags\":[";
  append_json_flags(out, global_flags().flags);
  out += "]}\n";
  return out;
}

std::string manual_page(std::string_view version) {
  std::string out = fmt::format(".TH SLUICE 1 \"\" \"sluice {}\" \"User Commands\"\n", version);
  out +=
      ".SH NAME\nsluice \\- bulk work on slow or rate\\-limited key\\-value stores\n"
      ".SH SYNOPSIS\n\\fBsluice\\fR \\fICOMMAND\\fR [\\fIflags\\fR]\n"
      ".SH DESCRIPTION\nSluice lists, exports, imports, copies and deletes the entries of "
      "key\\-value "
      "stores by the million, with few requests, in constant memory, and so that what was "
      "interrupted can be resumed.\n.SH COMMANDS\n";
  for (const Command& command : commands()) {
    if (command.hidden) continue;
    out += fmt::format(".SS {}\n{}.\n", roff(usage_line(command)), roff(command.summary));
    if (!command.description.empty()) out += ".PP\n" + roff(command.description) + '\n';
    for (const Argument& argument : command.arguments) {
      out += fmt::format(".TP\n\\fI{}\\fR\n{}\n", roff(argument.name), roff(argument.help));
    }
    for (const FlagGroup& group : command.groups) append_roff_flags(out, group.flags);
    for (const Example& example : command.examples) {
      out += fmt::format(".PP\nExample: {}\n.PP\n.nf\n    {}\n.fi\n", roff(example.says),
                         roff(example.line));
    }
  }
  out += ".SH FLAGS OF EVERY COMMAND\n";
  append_roff_flags(out, global_flags().flags);
  out +=
      ".SH ENVIRONMENT\nEvery flag can be set as \\fBSLUICE_\\fR and its name: "
      "\\fBSLUICE_MAX_DELETE\\fR is \\-\\-max\\-delete.\n";
  for (const ConfigKey& key : config_keys()) {
    if (key.environment.empty()) continue;
    out += fmt::format(".TP\n\\fB{}\\fR\n{}\n", roff(key.environment), roff(key.help));
  }
  out +=
      ".SH EXIT STATUS\n0 done, 1 failed, 2 wrong use, 3 some keys failed, 4 not found, 5 not "
      "authorized, 6 throttled or past the deadline, 130 interrupted (can be resumed).\n"
      ".SH FILES\n.TP\n\\fI$XDG_CONFIG_HOME/sluice/config.toml\\fR\nsettings\n.TP\n"
      "\\fI$XDG_DATA_HOME/sluice/\\fR\nthe embedded store\n.TP\n"
      "\\fI$XDG_STATE_HOME/sluice/jobs/\\fR\nthe journals of jobs\n";
  return out;
}

}  // namespace sluice
