// HolderRecord: what the holder of a lock says of itself.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "localcache/lock.h"

namespace sluice::localcache {

// What a holder says of itself, NUL between the parts and at the end: pid, start of the process (of
// /proc/PID/stat, since pids come again), host, Unix seconds, command. At most kHolderBytes.
inline constexpr std::size_t kHolderBytes = 1000;
std::string format_holder(const LockHolder& holder, std::uint64_t process_start);
struct HolderRecord {
  LockHolder holder;
  std::uint64_t process_start = 0;
};
// Nothing: it does not say.
std::optional<HolderRecord> parse_holder(std::string_view bytes);

// This process as a holder.
HolderRecord this_holder(std::string_view command);
// Its process ran on this machine.
bool ran_here(const HolderRecord& record);
// It is there, it is this user's, and it is the one that made the record, as far as that tells: who
// could open no more files says no start.
bool is_own_process(const HolderRecord& record);
// It ran on this machine, and is gone.
bool is_dead(const HolderRecord& record);

}  // namespace sluice::localcache
