// Console: what a person reads. Results go to stdout through bulk::Output or `print`; everything
// else goes to stderr through this.
#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <string>
#include <string_view>

#include "base/error.h"
#include "io/stop.h"

namespace sluice::cli {

enum class Color : std::uint8_t { automatic, always, never };

// Writes messages to stderr and asks questions. A progress bar that is drawn stays below the
// messages: it is wiped before one and drawn again later (`set_bar`).
class Console {
 public:
  struct Options {
    Color color = Color::automatic;
    bool quiet = false;
    bool verbose = false;
    bool no_color = false;  // NO_COLOR is set
  };
  explicit Console(const Options& options);

  [[nodiscard]] bool quiet() const { return options_.quiet; }
  [[nodiscard]] bool verbose() const { return options_.verbose; }
  // Whether a person can be asked: stdin and stderr are terminals.
  [[nodiscard]] bool interactive() const { return interactive_; }
  [[nodiscard]] bool stderr_is_terminal() const { return stderr_is_terminal_; }
  [[nodiscard]] bool stdout_is_terminal() const { return stdout_is_terminal_; }
  [[nodiscard]] bool colored() const { return colored_; }
  // Columns of the terminal now; 80 if there is none.
  [[nodiscard]] std::size_t width() const;

  // What a person wants to know. Nothing with --quiet.
  template <class... Args>
  void say(fmt::format_string<Args...> format, Args&&... args) {
    if (!options_.quiet) line("", fmt::format(format, std::forward<Args>(args)...));
  }
  // Only with --verbose.
  template <class... Args>
  void detail(fmt::format_string<Args...> format, Args&&... args) {
    if (options_.verbose) line("", fmt::format(format, std::forward<Args>(args)...));
  }
  template <class... Args>
  void warn(fmt::format_string<Args...> format, Args&&... args) {
    line("\x1b[33m", fmt::format(format, std::forward<Args>(args)...));
  }
  // "sluice: message".
  void error(const Error& error);

  // Asks a yes-or-no question; anything but y or yes is a no. Ends with the stop's reason when one
  // is requested. Requires interactive().
  io::Task<Result<bool>> confirm(io::Stop& stop, std::string question);
  // Whether a question waits for its answer.
  [[nodiscard]] bool asking() const { return asking_; }

  // Shows `bar`, of one or more lines, in place of the last one; empty removes it.
  void set_bar(std::string bar);
  // Whether stderr takes some text now without making the caller wait: a terminal may be stopped
  // (Ctrl-S), the reader of a pipe may be slow.
  [[nodiscard]] bool ready() const;

 private:
  void line(std::string_view color, std::string_view text);
  // What wipes the bar, the cursor standing at the end of its last line.
  [[nodiscard]] std::string wipe() const;

  Options options_;
  bool stdout_is_terminal_;
  bool stderr_is_terminal_;
  bool interactive_;
  bool colored_;
  bool asking_ = false;
  std::string bar_;
};

// Writes a short result to stdout. A reader that has gone away ends the program as SIGPIPE would.
void print(std::string_view text);

// Ends the program as SIGPIPE would: the reader of stdout has gone away.
[[noreturn]] void die_of_broken_pipe();

}  // namespace sluice::cli
