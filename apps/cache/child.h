// Running a command: to its end, its signals and streams included.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sluice::cache_cli {

class Session;

enum class Stream : unsigned char { output, errors };

struct ChildOptions {
  std::span<const std::string> words;  // the command and its arguments
  mode_t umask = 022;                  // the command's
  // Set: the command's stdin is /dev/null, and its stdout and stderr are pipes, whose content is
  // given to this and, with `pass_through`, to our own. Not set: it has all three of ours.
  std::function<void(Stream, std::string_view)> on_output;
  bool pass_through = false;
  // The command gets SIGTERM then.
  std::optional<std::chrono::steady_clock::time_point> deadline;
};

struct ChildEnd {
  // As a shell has it: the exit code, or 128 and the signal that ended it. 126: it could not be
  // run, 127: there is none (then `failure` says so); 125: an error of our own (then, too).
  int code = 0;
  std::string failure;
  // The signal that ended it; 0: it ended by itself.
  int signal = 0;
  // We got a signal that asks to end, or the deadline came: this is not how the command ends when
  // it is left alone.
  bool disturbed = false;
  bool past_deadline = false;
  std::chrono::steady_clock::duration took{};
};

// Runs a command and waits for its end. SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1 and SIGUSR2 that
// are sent to this process go on to the command (those of a terminal reach it by themselves), and
// when this process dies the command gets SIGTERM. What processes that outlive the command write is
// not waited for.
//
// For programs of one thread.
ChildEnd run_child(const ChildOptions& options);

// Ends this process by Ctrl-C's signal if that has ended the command: an interactive shell goes on
// with its loop otherwise, since it takes the interrupt for handled. To be called when locks have
// been released; closes the cache.
void die_if_interrupted(Session& session, const ChildEnd& end);

// Words as one could type them, for those who want to know what a process does: printable, and not
// too long.
std::string shown(std::span<const std::string> words);

}  // namespace sluice::cache_cli
