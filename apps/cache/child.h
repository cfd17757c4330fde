// Running a command: to its end, its signals and streams included.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "child_output.h"

namespace sluice::cache_cli {

class Session;

struct ChildOptions {
  std::span<const std::string> words;  // the command and its arguments
  mode_t umask = 022;                  // the command's
  // Set: the command's stdin is /dev/null, and what it writes to stdout and stderr is kept up to so
  // many bytes and, with `pass_through`, given to our own. Not set: it has all three of ours.
  std::optional<std::uint64_t> keep;
  bool pass_through = false;
  // The command gets SIGTERM then, and SIGKILL 5 seconds later; and who does not read what it wrote
  // is not waited for.
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
  bool past_deadline = false;  // and the command was ended
  std::chrono::steady_clock::duration took{};
};

// A command that is run. SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1 and SIGUSR2 that are sent to
// this process go on to it (those of a terminal reach it by themselves), and when this process dies
// it gets SIGTERM. What processes that outlive it write is not waited for.
//
//   Child child(options);
//   child.run();          // now it is known what it leaves behind, and others can be told
//   child.take(Stream::output), child.lost()
//   child.finish();       // now it has ended, and who reads from us has all that it wrote
//
// For programs of one thread.
class Child {
 public:
  // What `options` refers to must outlive it.
  explicit Child(const ChildOptions& options);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // Runs the command until it has ended, or has written more than is kept: then it goes on. To be
  // called once.
  void run();
  // Why what it wrote was not kept, if it was not.
  [[nodiscard]] const std::optional<Error>& lost() const;
  // What it wrote, when `run` has returned. It can be taken once.
  [[nodiscard]] std::string take(Stream stream);
  // Waits for its end, and for who reads from us. To be called once, after `run`.
  void finish();
  // How it ended. Not known before `finish` if it went on.
  [[nodiscard]] const ChildEnd& end() const;

 private:
  class Run;
  std::unique_ptr<Run> run_;
};

// Ends this process by Ctrl-C's signal if that has ended the command: an interactive shell goes on
// with its loop otherwise, since it takes the interrupt for handled. To be called when locks have
// been released; closes the cache.
void die_if_interrupted(Session& session, const ChildEnd& end);

// Words as one could type them, for those who want to know what a process does: printable, and not
// too long.
std::string shown(std::span<const std::string> words);

}  // namespace sluice::cache_cli
