#include "store/redis/put_transaction.h"

#include <algorithm>

#include "redis/server_error.h"

namespace sluice::store::redis {

using sluice::redis::server_error;

// As few commands as can be: one MSET for all that stays for good, one UNLINK for all that has no
// metadata, since what was there before must not live on.
Commands put_commands(const KeySpace& space, std::span<const EntryView> entries,
                      std::span<const std::uint32_t> order, std::size_t& queued) {
  Commands commands;
  std::size_t stays = 0;
  std::size_t without_metadata = 0;
  std::size_t bytes = 0;
  for (const std::uint32_t place : order) {
    const EntryView& entry = entries[place];
    if (entry.expiration == 0) stays += entry.metadata.empty() ? 1 : 2;
    if (entry.metadata.empty()) ++without_metadata;
    bytes += 2 * entry.key.size() + std::min<std::size_t>(entry.value.size(), 32 * 1024) + 96;
  }
  commands.reserve(bytes);
  queued = 0;
  commands.add_command("MULTI");
  if (stays > 0) {
    ++queued;
    commands.begin(1 + 2 * stays);
    commands.add("MSET");
    for (const std::uint32_t place : order) {
      const EntryView& entry = entries[place];
      if (entry.expiration != 0) continue;
      space.add_name(commands, entry.key);
      commands.add(entry.value);
      if (entry.metadata.empty()) continue;
      space.add_metadata_name(commands, entry.key);
      commands.add(entry.metadata);
    }
  }
  for (const std::uint32_t place : order) {
    const EntryView& entry = entries[place];
    if (entry.expiration == 0) continue;
    // Absolute, so that a repetition does not shift it.
    const std::int64_t milliseconds = entry.expiration * 1000;
    ++queued;
    commands.begin(5);
    commands.add("SET");
    space.add_name(commands, entry.key);
    commands.add(entry.value);
    commands.add("PXAT");
    commands.add(milliseconds);
    if (entry.metadata.empty()) continue;
    ++queued;
    commands.begin(5);
    commands.add("SET");
    space.add_metadata_name(commands, entry.key);
    commands.add(entry.metadata);
    commands.add("PXAT");
    commands.add(milliseconds);
  }
  if (without_metadata > 0) {
    ++queued;
    commands.begin(1 + without_metadata);
    commands.add("UNLINK");
    for (const std::uint32_t place : order) {
      if (entries[place].metadata.empty()) space.add_metadata_name(commands, entries[place].key);
    }
  }
  commands.add_command("EXEC");
  return commands;
}

Result<bool> read_put(Replies& replies, std::size_t queued, std::string_view doing) {
  auto carried_out = read_transaction(replies, queued, doing);
  if (!carried_out || !*carried_out) return carried_out;
  for (std::size_t i = 0; i < queued; ++i) {
    const Reply& reply = replies.next();
    if (reply.is_error()) return std::unexpected(server_error(reply.text, doing));
  }
  return true;
}

}  // namespace sluice::store::redis
