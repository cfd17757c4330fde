#include "fast_path.h"

#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "batch.h"
#include "shared_commands.h"

namespace sluice::front {

namespace {

// What changes where settings come from or what a command is, and what only the engine can check.
bool is_for_the_engine(const Flag& flag) {
  return flag.name == "config" || flag.name == "help" || flag.name == "rate";
}

const Flag* find_letter(const Command& command, char letter) {
  const Flag* found = nullptr;
  for_each_group(command, [&](const FlagGroup& group) {
    const auto flag = std::ranges::find(group.flags, letter, &Flag::letter);
    if (flag != group.flags.end()) found = &*flag;
  });
  return found;
}

// The words behind the command, as flags and arguments.
class Words {
 public:
  Words(const Command& command, std::span<const std::string> words)
      : command_(command), words_(words) {}

  // False: the engine has to look at them.
  bool read() {
    while (at_ < words_.size()) {
      const std::string& word = words_[at_++];
      if (word == "--") {
        arguments.insert(arguments.end(), words_.begin() + static_cast<std::ptrdiff_t>(at_),
                         words_.end());
        return true;
      }
      const bool understood = word.size() < 2 || word[0] != '-' ? argument(word)
                              : word[1] == '-'                  ? long_flag(word)
                                                                : letters(word);
      if (!understood) return false;
    }
    return true;
  }

  std::vector<Invocation::Given> flags;
  std::vector<std::string> arguments;

 private:
  bool argument(const std::string& word) {
    arguments.push_back(word);
    return true;
  }

  bool long_flag(const std::string& word) {
    const std::size_t equals = word.find('=');
    const Flag* flag = find_flag(command_, std::string_view(word).substr(2, equals - 2));
    if (flag == nullptr || is_for_the_engine(*flag)) return false;
    if (equals == std::string::npos) return add(*flag);
    if (flag->kind == ValueKind::none) return false;  // --json=false
    flags.push_back({std::string(flag->name), word.substr(equals + 1)});
    return true;
  }

  // -q, -qv. Flags with values have no letters here.
  bool letters(std::string_view word) {
    for (const char letter : word.substr(1)) {
      const Flag* flag = find_letter(command_, letter);
      if (flag == nullptr || flag->kind != ValueKind::none || is_for_the_engine(*flag)) {
        return false;
      }
      add(*flag);
    }
    return true;
  }

  // A flag whose value, if it takes one, is the next word.
  bool add(const Flag& flag) {
    std::string value = "true";
    if (flag.kind != ValueKind::none) {
      if (at_ == words_.size()) return false;
      value = words_[at_++];
    }
    flags.push_back({std::string(flag.name), std::move(value)});
    return true;
  }

  const Command& command_;
  std::span<const std::string> words_;
  std::size_t at_ = 0;
};

using Run = int (*)(cache_cli::Session&);
struct Fast {
  std::string_view word;
  Run run;
};
int run_nul_batch(cache_cli::Session& session) {
  cache_cli::NulFormat format(STDIN_FILENO);
  return cache_cli::run_batch(session, format);
}
constexpr std::array kFast{
    Fast{"get", cache_cli::run_get},   Fast{"set", cache_cli::run_set},
    Fast{"size", cache_cli::run_size}, Fast{"exec", cache_cli::run_exec},
    Fast{"lock", cache_cli::run_lock}, Fast{"delete", cache_cli::run_delete},
    Fast{"batch", run_nul_batch},
};

const Fast* find_fast(std::span<const std::string> words) {
  if (words.size() < 2 || words[0] != "cache") return nullptr;
  const auto found = std::ranges::find(kFast, words[1], &Fast::word);
  return found == kFast.end() ? nullptr : found;
}

// Regular expressions and questions are the engine's, and so are JSON lines.
bool needs_the_engine(const Invocation& invocation, std::string_view word) {
  if (word == "delete" && invocation.value("pattern")) return true;
  if (word == "batch" && !invocation.on("null")) return true;
  const bool changes = word == "set" || word == "delete" || word == "batch";
  return changes && invocation.on("interactive");
}

// SQLite as a process that looks up one entry wants it: no locks between threads, no memory set
// aside and put into lists before any of it is needed (half of the pages that such a process
// touches).
void trim_sqlite(std::string_view word) {
  ::sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
  ::sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  if (word == "batch") return;
  ::sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0);
  ::sqlite3_config(SQLITE_CONFIG_PAGECACHE, nullptr, 0, 0);
}

}  // namespace

std::optional<Invocation> understand(std::span<const std::string> words,
                                     const Getenv& environment) {
  const Fast* fast = find_fast(words);
  if (fast == nullptr) return std::nullopt;
  for (const char* variable : {"SLUICE_CONFIG", "SLUICE_RATE"}) {
    if (!environment(variable).value_or("").empty()) return std::nullopt;
  }
  const Command* command = find_command(fmt::format("cache {}", fast->word));
  if (command == nullptr) return std::nullopt;
  Words read(*command, words.subspan(2));
  if (!read.read()) return std::nullopt;
  auto invocation = Invocation::make(*command, read.flags, std::move(read.arguments), environment);
  if (!invocation || needs_the_engine(*invocation, fast->word)) return std::nullopt;
  return std::move(*invocation);
}

std::optional<int> run_fast(std::span<const std::string> words, const Getenv& environment) {
  // Only the engine can look up the folder of a user without HOME.
  if (!environment("HOME").value_or("").starts_with('/')) return std::nullopt;
  const auto invocation = understand(words, environment);
  if (!invocation) return std::nullopt;
  trim_sqlite(words[1]);
  const mode_t umask = ::umask(077);
  auto session = cache_cli::Session::begin(*invocation, environment, umask);
  if (!session) {
    ::umask(umask);
    return std::nullopt;
  }
  const int code = find_fast(words)->run(*session);
  session->finish();
  ::_exit(code);
}

}  // namespace sluice::front
