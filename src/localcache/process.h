// What /proc says of processes (proc(5)). Nothing is said of a process that is hidden from this
// one: one of another user's open files, or one outside of this container.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

namespace sluice::localcache {

// When a process began, in ticks since the machine did; 0: there is no such process.
std::uint64_t start_of_process(std::int64_t pid);
// Whether it was stopped, as by Ctrl-Z, and goes on when somebody says so.
bool is_stopped(std::int64_t pid);
// Its words with spaces between them, cut off where they get long; empty if it says none.
std::string command_of_process(std::int64_t pid);

// Whether a process has an open-file-description lock that begins at this byte of a file.
bool has_lock(pid_t pid, int file, std::int64_t byte);
// The process that has such a lock. The kernel
// does not tell it by F_OFD_GETLK, since such a lock is not a process's; but it lists the locks of
// each open file. Looks at all of them, which takes milliseconds: for messages of what went wrong.
std::optional<pid_t> find_lock_owner(int file, std::int64_t byte);

}  // namespace sluice::localcache
