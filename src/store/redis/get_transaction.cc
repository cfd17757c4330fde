#include "store/redis/get_transaction.h"

#include <charconv>

#include "redis/server_error.h"

namespace sluice::store::redis {

using sluice::redis::ReplyKind;
using sluice::redis::server_error;

namespace {

// What EXPIRETIME and PTTL answer.
constexpr std::int64_t kNoExpiry = -1;
constexpr std::int64_t kNoKey = -2;

}  // namespace

void add_get(Commands& commands, const KeySpace& space, std::span<const std::string_view> keys,
             const GetParts& parts) {
  const auto [values, types, absolute] = parts;
  commands.add_command("MULTI");
  if (values) {
    commands.begin(keys.size() + 1);
    commands.add("MGET");
    for (const std::string_view key : keys) space.add_name(commands, key);
  }
  commands.begin(keys.size() + 1);
  commands.add("MGET");
  for (const std::string_view key : keys) space.add_metadata_name(commands, key);
  if (!absolute) commands.add_command("TIME");
  for (const std::string_view key : keys) {
    commands.begin(2);
    commands.add(absolute ? std::string_view("EXPIRETIME") : "PTTL");
    space.add_name(commands, key);
  }
  if (types) {
    for (const std::string_view key : keys) {
      commands.begin(2);
      commands.add("TYPE");
      space.add_name(commands, key);
    }
  }
  commands.add_command("EXEC");
}

Result<Block> read_get(Replies& replies, std::span<const std::string_view> keys,
                       const GetParts& parts, std::string_view doing) {
  const auto [values, types, absolute] = parts;
  const std::size_t queued =
      (values ? 1 : 0) + 1 + (absolute ? 0 : 1) + keys.size() + (types ? keys.size() : 0);
  auto carried_out = read_transaction(replies, queued, doing);
  if (!carried_out) return std::unexpected(std::move(carried_out.error()));
  if (!*carried_out) return std::unexpected(misshapen(doing));

  Block block;
  block.reserve(keys.size());
  const auto begins_array = [&]() -> Result<> {
    const Reply& reply = replies.next();
    if (reply.is_error()) return std::unexpected(server_error(reply.text, doing));
    if (!reply.is_array(keys.size())) return std::unexpected(misshapen(doing));
    return {};
  };
  if (values) {
    if (auto begins = begins_array(); !begins) return std::unexpected(std::move(begins.error()));
  }
  for (const std::string_view key : keys) {
    EntryView entry{.key = key, .value = {}, .metadata = {}};
    if (values) {
      const Reply& value = replies.next();
      entry.presence = value.kind == ReplyKind::text ? Presence::present : Presence::missing;
      entry.value = value.text;
    }
    block.append(entry);
  }
  if (auto begins = begins_array(); !begins) return std::unexpected(std::move(begins.error()));
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const Reply& metadata = replies.next();
    if (metadata.kind == ReplyKind::text && block[i].presence != Presence::missing) {
      block[i].metadata = block.copy(metadata.text);
    }
  }
  std::int64_t now = 0;  // milliseconds
  if (!absolute) {
    const Reply& time = replies.next();
    if (!time.is_array(2)) return std::unexpected(misshapen(doing));
    const std::string_view seconds = replies.next().text;
    const std::string_view micros = replies.next().text;
    std::int64_t whole = 0;
    std::int64_t part = 0;
    std::from_chars(seconds.data(), seconds.data() + seconds.size(), whole);
    std::from_chars(micros.data(), micros.data() + micros.size(), part);
    if (whole <= 0) return std::unexpected(misshapen(doing));
    now = whole * 1000 + part / 1000;
  }
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const Reply& expiry = replies.next();
    if (expiry.is_error()) return std::unexpected(server_error(expiry.text, doing));
    if (expiry.kind != ReplyKind::integer) return std::unexpected(misshapen(doing));
    if (expiry.integer == kNoKey) {
      block[i] = {.key = block[i].key, .value = {}, .metadata = {}, .presence = Presence::missing};
    } else if (expiry.integer != kNoExpiry && block[i].presence != Presence::missing) {
      // Put in whole seconds, it comes back as whole seconds, whatever the time between TIME and
      // PTTL was.
      block[i].expiration = absolute ? expiry.integer : (now + expiry.integer + 500) / 1000;
    }
  }
  for (std::size_t i = 0; types && i < keys.size(); ++i) {
    const Reply& type = replies.next();
    if (type.is_error()) return std::unexpected(server_error(type.text, doing));
    if (type.kind != ReplyKind::status) return std::unexpected(misshapen(doing));
    if (type.text != "string") {
      block[i] = {.key = block[i].key, .value = {}, .metadata = {}, .presence = Presence::missing};
    }
  }
  return block;
}

}  // namespace sluice::store::redis
