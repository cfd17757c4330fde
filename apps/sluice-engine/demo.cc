// sluice demo: the main job on a million entries, by the real commands.
#include <fcntl.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <utility>

#include "base/shell.h"
#include "base/size.h"
#include "commands.h"
#include "demo_entries.h"
#include "table.h"

extern char** environ;

namespace sluice::cli {

namespace {

// What one command did, as the operating system and its own output tell.
struct Outcome {
  int exit_code = 0;
  std::uint64_t lines = 0;  // of stdout
  std::string last_line;
  double seconds = 0;
  std::uint64_t peak_memory = 0;  // bytes
};

struct Step {
  std::string what;
  std::uint64_t rows = 0;
  Outcome outcome;
};

// Nothing of the environment may lead the demo's commands to another store, or change how they
// work.
std::vector<std::string> clean_environment() {
  std::vector<std::string> kept;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    if (!text.starts_with("SLUICE_") && !text.starts_with("CLOUDFLARE_")) kept.emplace_back(text);
  }
  return kept;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  result.reserve(texts.size() + 1);
  for (std::string& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

// Runs this program with other words, its stderr where ours is, and reads its stdout.
Result<Outcome> run_engine(std::vector<std::string> words) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return std::unexpected(system_error(errno, "make a pipe"));
  words.insert(words.begin(), "sluice");
  std::vector<std::string> environment = clean_environment();
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  const auto begun = std::chrono::steady_clock::now();
  pid_t child = 0;
  const int failed = ::posix_spawn(&child, "/proc/self/exe", &actions, nullptr,
                                   pointers(words).data(), pointers(environment).data());
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  if (failed != 0) {
    ::close(ends[0]);
    return std::unexpected(system_error(failed, "start a command"));
  }
  Outcome outcome;
  std::string line;
  char piece[65536];
  for (;;) {
    const ssize_t got = ::read(ends[0], piece, sizeof piece);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    for (const char c : std::string_view(piece, static_cast<std::size_t>(got))) {
      if (c != '\n') {
        line += c;
        continue;
      }
      ++outcome.lines;
      outcome.last_line = std::exchange(line, {});
    }
  }
  ::close(ends[0]);
  int status = 0;
  struct rusage usage{};
  while (::wait4(child, &status, 0, &usage) < 0 && errno == EINTR) {
  }
  outcome.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  outcome.peak_memory = static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
  outcome.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return outcome;
}

// A number in the JSON object that a command has written last.
std::optional<std::uint64_t> number_in(const Outcome& outcome, std::string_view field) {
  boost::system::error_code error;
  const boost::json::value value = boost::json::parse(outcome.last_line, error);
  if (error || !value.is_object()) return std::nullopt;
  const boost::json::value* found = value.get_object().if_contains(field);
  if (found == nullptr || !found->is_int64()) return std::nullopt;
  return static_cast<std::uint64_t>(found->get_int64());
}

class Demo {
 public:
  Demo(Context& context, const Invocation& invocation)
      : context_(context),
        entries_(invocation.count("entries").value_or(1'000'000)),
        folder_(context.folders.cache),
        store_(folder_ + "/demo.db"),
        input_(folder_ + "/demo.ndjson"),
        output_(folder_ + "/demo-export.ndjson") {}

  Result<> run() {
    if (auto made = make_entries(); !made) return made;
    const std::string prefix(kDemoPrefix);
    const std::string search(kDemoSearch);
    const std::vector<std::string> tag{"--tag-field", "tags", "--tag-value", std::string(kDemoTag)};

    if (auto done = command("import", {"kv", "import"}, {"--create-namespace", "--json", input_},
                            counts_.entries, "done");
        !done) {
      return done;
    }
    if (auto holds = check_store(counts_.entries); !holds) return holds;
    if (auto done =
            command("list --search", {"kv", "list"},
                    {"--search", search, "--metadata", "--format", "ndjson"}, counts_.with_search);
        !done) {
      return done;
    }
    if (auto done =
            command("export --prefix", {"kv", "export"},
                    {"--prefix", prefix, "--json", "-o", output_}, counts_.with_prefix, "done");
        !done) {
      return done;
    }
    if (auto done = command("delete, dry run", {"kv", "delete"}, with(tag, {"--dry-run", "--json"}),
                            counts_.with_tag, "done");
        !done) {
      return done;
    }
    if (auto holds = check_store(counts_.entries); !holds) return holds;
    if (auto done = command("delete", {"kv", "delete"}, with(tag, {"--yes", "--json"}),
                            counts_.with_tag, "done");
        !done) {
      return done;
    }
    if (auto done = command("stats", {"kv", "stats"}, {"--json"},
                            counts_.entries - counts_.with_tag, "entries");
        !done) {
      return done;
    }
    // What is left bears no stale tag.
    auto left = run_engine(words({"kv", "list"}, with(tag, {"--format", "keys", "--quiet"})));
    if (!left) return std::unexpected(left.error());
    if (left->exit_code != 0) {
      return fail(ErrorCode::protocol, "the demo stops: its last listing ended with exit code {}",
                  left->exit_code);
    }
    return check("entries that still have the deleted tag", left->lines, 0);
  }

  // Every figure of the run.
  [[nodiscard]] std::string table() const {
    Table table({{"STEP"},
                 {"ROWS", Table::Align::right},
                 {"SECONDS", Table::Align::right},
                 {"ROWS/S", Table::Align::right},
                 {"PEAK MEMORY", Table::Align::right}});
    for (const Step& step : steps_) {
      const double rate = static_cast<double>(step.rows) / std::max(step.outcome.seconds, 1e-3);
      table.add({step.what, format_count(step.rows), fmt::format("{:.2f}", step.outcome.seconds),
                 format_count(static_cast<std::uint64_t>(rate)),
                 format_bytes(step.outcome.peak_memory)});
    }
    return table.text();
  }

  [[nodiscard]] std::string table_json() const {
    std::string lines;
    for (const Step& step : steps_) {
      lines += boost::json::serialize(boost::json::object{
                   {"step", step.what},
                   {"rows", step.rows},
                   {"milliseconds", static_cast<std::int64_t>(step.outcome.seconds * 1000)},
                   {"peak_memory_bytes", step.outcome.peak_memory}}) +
               "\n";
    }
    return lines;
  }

  [[nodiscard]] std::string farewell() const {
    const std::string where = place();
    return fmt::format(
        "The store is left for you to look around in:\n"
        "  sluice kv list {0} --prefix user:0001 --metadata\n"
        "  sluice kv get {0} user:0000001\n"
        "  sluice kv list {0} --search bergen --limit 5 --metadata\n"
        "  sluice kv delete {0} --pattern '7$' --dry-run\n"
        "To remove all of it: rm {1} {1}-wal {1}-shm {2} {3}",
        where, shell_quoted(store_), shell_quoted(input_), shell_quoted(output_));
  }

  // Removes the store of an earlier demo; refuses a file that is something else.
  Result<> clear() {
    std::error_code error;
    std::filesystem::create_directories(folder_, error);
    ::chmod(folder_.c_str(), 0700);
    struct stat status{};
    if (::lstat(store_.c_str(), &status) != 0) return {};
    const auto mine =
        run_engine({"kv", "namespace", "list", "--json", "--quiet", "--store", "sqlite:" + store_});
    if (!mine) return std::unexpected(mine.error());
    if (mine->exit_code != 0) {
      return fail(ErrorCode::conflict,
                  "{} is not a store of Sluice: move it away, the demo needs that name", store_);
    }
    for (const std::string_view ending : {"", "-wal", "-shm"}) {
      ::unlink((store_ + std::string(ending)).c_str());
    }
    return {};
  }
  [[nodiscard]] bool has_store() const {
    struct stat status{};
    return ::lstat(store_.c_str(), &status) == 0;
  }
  [[nodiscard]] const std::string& store() const { return store_; }

 private:
  [[nodiscard]] std::string place() const {
    return fmt::format("--store {} --namespace demo", shell_quoted("sqlite:" + store_));
  }

  static std::vector<std::string> with(std::vector<std::string> first,
                                       std::vector<std::string> second) {
    first.insert(first.end(), second.begin(), second.end());
    return first;
  }

  [[nodiscard]] std::vector<std::string> words(const std::vector<std::string>& command,
                                               const std::vector<std::string>& rest) const {
    return with(with(command, {"--store", "sqlite:" + store_, "--namespace", "demo"}), rest);
  }

  Result<> make_entries() {
    context_.console.say("Making {} entries in {}", format_count(entries_), input_);
    const auto begun = std::chrono::steady_clock::now();
    auto counts = write_demo_entries(input_, entries_);
    if (!counts) return std::unexpected(counts.error());
    counts_ = *counts;
    Step step{.what = "generate", .rows = counts_.entries, .outcome = {}};
    step.outcome.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
    struct rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    step.outcome.peak_memory = static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
    steps_.push_back(std::move(step));
    return {};
  }

  // Prints and runs a command; it has to succeed and to concern `expected` entries: the number in
  // `field` of its JSON result, or without one the lines that it writes.
  Result<> command(std::string what, const std::vector<std::string>& path,
                   const std::vector<std::string>& rest, std::uint64_t expected,
                   std::string_view field = {}) {
    const std::vector<std::string> all = words(path, rest);
    std::string line = "sluice";
    for (const std::string& word : all) line += " " + shell_quoted(word);
    if (field.empty()) line += " | wc -l";
    context_.console.say("\n$ {}", line);
    auto outcome = run_engine(all);
    if (!outcome) return std::unexpected(outcome.error());
    if (outcome->exit_code != 0) {
      return fail(ErrorCode::protocol, "the demo stops: `{}` ended with exit code {}", line,
                  outcome->exit_code);
    }
    const std::uint64_t rows =
        field.empty() ? outcome->lines : number_in(*outcome, field).value_or(0);
    // What the person who copies the command would see on stdout.
    context_.console.say("{}", field.empty() ? fmt::format("{}", rows) : outcome->last_line);
    if (auto right = check(what, rows, expected); !right) return right;
    steps_.push_back({.what = std::move(what), .rows = rows, .outcome = std::move(*outcome)});
    return {};
  }

  // Holds the number of entries in the store against what it must be.
  Result<> check_store(std::uint64_t expected) {
    auto stats = run_engine(words({"kv", "stats"}, {"--json", "--quiet"}));
    if (!stats) return std::unexpected(stats.error());
    return check("entries in the store", number_in(*stats, "entries").value_or(0), expected);
  }

  static Result<> check(std::string_view what, std::uint64_t got, std::uint64_t expected) {
    if (got == expected) return {};
    return fail(ErrorCode::protocol, "the demo stops: {}: {}, but it must be {}", what,
                format_count(got), format_count(expected));
  }

  Context& context_;
  std::uint64_t entries_;
  std::string folder_;
  std::string store_;
  std::string input_;
  std::string output_;
  DemoCounts counts_;
  std::vector<Step> steps_;
};

}  // namespace

ExitCode run_demo(Context& context, const Invocation& invocation) {
  Demo demo(context, invocation);
  if (demo.has_store() && !invocation.on("yes")) {
    if (!context.console.interactive()) {
      return report_error(
          context,
          {ErrorCode::invalid_argument, Retry::never, std::nullopt,
           fmt::format("{} is there from an earlier demo: --yes replaces it", demo.store())});
    }
    const auto yes = context.loop.run(context.console.confirm(
        context.stop, fmt::format("Replace {}, the store of an earlier demo?", demo.store())));
    if (!yes || !*yes) return ExitCode::interrupted;
  }
  if (auto cleared = demo.clear(); !cleared) return report_error(context, cleared.error());
  if (auto done = demo.run(); !done) return report_error(context, done.error());
  context.console.say("");
  print(invocation.on("json") ? demo.table_json() : demo.table());
  context.console.say("\n{}", demo.farewell());
  return ExitCode::done;
}

}  // namespace sluice::cli
