// What a cache command writes: results to stdout, everything else to stderr.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "base/invocation.h"

namespace sluice::cache_cli {

// Gives descriptors 0, 1 and 2 to /dev/null where they are closed: the next file that is opened
// would get one of them, and results would be written into it.
void open_standard_descriptors();

// Gives them to /dev/null in a process that stays behind: whoever waits for the end of what they
// were waits for that no longer. False: there is no /dev/null, and they are closed.
bool let_go_of_standard_descriptors();

using Deadline = std::optional<std::chrono::steady_clock::time_point>;

// Writes to stdout. A reader that has gone away ends the program as SIGPIPE would, without a word.
Result<> write_output(std::string_view bytes);
// The same, but it waits no longer than that for one that does not read: `deadline`.
Result<> write_output_until(Deadline deadline, std::string_view bytes);
// The same, as much of it as goes without waiting for who reads. Returns how much that was.
Result<std::size_t> write_ready_output(std::string_view bytes);
// Writes what another program has written to its stderr to ours. Fails only with `deadline`.
Result<> write_errors_until(Deadline deadline, std::string_view bytes);
[[nodiscard]] Error unread_at_deadline();
// For poll(2): the milliseconds until then; -1: for ever.
[[nodiscard]] int poll_timeout(Deadline until);

// How much can be written there at once without waiting, when poll(2) calls it ready.
[[nodiscard]] std::size_t writable_at_once(int descriptor);

// Whether somebody sits at a terminal and may not know that what they type is read.
[[nodiscard]] bool is_typed_in();
// Whether what is written to stdout is seen at a terminal.
[[nodiscard]] bool is_shown();

// Lets writes fail (SIGPIPE: with EPIPE, SIGXFSZ: with EFBIG) by which the kernel would end the
// program. A handler does that, and not SIG_IGN, which the commands that we start would inherit;
// what the caller ignores stays ignored.
void let_writes_fail(int signal);

// Ends the program by this signal, whatever is done about it otherwise.
[[noreturn]] void die_of(int signal);

// Messages for people, on stderr, as --quiet, --verbose, --color and NO_COLOR want them.
class Messages {
 public:
  Messages(const Invocation& invocation, const Getenv& environment);

  // Unless --quiet is given.
  void say(std::string_view sentence) const;
  // Only with --verbose.
  void detail(std::string_view sentence) const;
  // Something went wrong, and the command goes on.
  void warn(std::string_view sentence) const;
  // "sluice: …".
  void error(std::string_view sentence) const;

 private:
  bool quiet_;
  bool verbose_;
  bool colored_;
};

}  // namespace sluice::cache_cli
