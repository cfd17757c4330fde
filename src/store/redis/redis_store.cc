#include "store/redis/redis_store.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "base/utf8.h"
#include "redis/server_error.h"
#include "store/limits.h"
#include "store/redis/get_transaction.h"
#include "store/redis/put_transaction.h"

namespace sluice::store::redis {

using sluice::redis::is_unknown_command;
using sluice::redis::ReplyKind;
using sluice::redis::server_error;

namespace {

constexpr std::size_t kMegabyte = std::size_t{1} << 20;
// Answers of several entries; an answer that is larger is asked for in parts. Bounds the memory of
// ten calls under way.
constexpr std::size_t kMostAnswer = 16 * kMegabyte;
// One value, with its metadata.
constexpr std::size_t kMostSingleAnswer = 520 * kMegabyte;
// A page of keys, long ones included.
constexpr std::size_t kMostScanAnswer = 128 * kMegabyte;
// Answers to writes hold no data.
constexpr std::size_t kMostWriteAnswer = kMegabyte;
// SCAN holds up everybody else for about 0.1 µs a key that it looks at.
constexpr std::size_t kMostScanned = 10'000;
// Round trips in which a listing looks for keys that match, before it gives an emptier page.
constexpr int kMostScans = 8;
// EXPIRETIME rounds milliseconds; beyond this its sum would overflow.
constexpr std::int64_t kLastSecond = std::numeric_limits<std::int64_t>::max() / 1000 - 1;

}  // namespace

const Capabilities& redis_capabilities() {
  static const Capabilities capabilities{
      .list_page = 1000,
      .get_keys = 1000,
      .put_entries = 1000,
      .put_bytes = 4 * kMegabyte,
      .erase_keys = 5000,
      .key_bytes = 65'536,
      .value_bytes = 512 * kMegabyte,  // Redis's proto-max-bulk-len
      .metadata_bytes = kMegabyte,
      .least_ttl = 0,
      .keys_are_utf8 = false,
      .ordered = false,
      .repeats_keys = true,
      .seekable = false,
      .lists_values = true,
      .exact_get = true,
      .remote = true,
  };
  return capabilities;
}

std::string RedisStore::doing(std::string_view what) const {
  return fmt::format("{} of namespace \"{}\" of {}", what,
                     truncated_to_width(printable(title_), 80), account_->description());
}

void RedisStore::ask_existence(Commands& commands) const {
  if (!space_.is_default()) commands.add_command("HEXISTS", kNamespaces, space_.id());
}

Result<> RedisStore::read_existence(Replies& replies, std::string_view doing) const {
  if (space_.is_default()) return {};
  const Reply& exists = replies.next();
  if (exists.is_error()) return std::unexpected(server_error(exists.text, doing));
  if (exists.kind != ReplyKind::integer) return std::unexpected(misshapen(doing));
  if (exists.integer == 0) return std::unexpected(account_->no_such_namespace(space_.id()));
  return {};
}

// --- Listing ---------------------------------------------------------------------------------

io::Task<Result<Page>> RedisStore::list(ListRequest request) {
  ScanCursor from;
  if (!request.cursor.empty()) {
    auto parsed = ScanCursor::parse(request.cursor, request.prefix);
    if (!parsed) co_return std::unexpected(std::move(parsed.error()));
    from = std::move(*parsed);
  }
  const std::size_t most = redis_capabilities().list_page;
  const std::size_t asked = request.limit == 0 ? most : std::min(request.limit, most);
  std::size_t& per_page = entries_per_page_[request.values ? 1 : 0];
  const std::size_t limit = std::min(asked, per_page);

  Scanned scanned;
  scanned.keys.assign(from.keys.begin(), from.keys.end());
  scanned.run_id = from.run_id;
  scanned.next = from.scan;
  const bool begin = request.cursor.empty();
  if (scanned.keys.size() < limit && (begin || from.scan != 0)) {
    auto done = co_await scan(request.prefix, limit, begin, scanned);
    if (!done) co_return std::unexpected(std::move(done.error()));
  }

  // What does not fit into one answer waits for the next page.
  std::size_t count = std::min(limit, scanned.keys.size());
  bool too_large = false;
  Page page;
  const std::string what = doing("listing keys");
  while (count > 0) {
    const GetParts parts{.values = request.values};
    auto entries = co_await read(std::span(scanned.keys).first(count), parts,
                                 {.doing = what, .divisible = false, .most_bytes = kMostAnswer});
    if (entries) {
      page.entries = std::move(*entries);
      break;
    }
    if (entries.error().code != ErrorCode::too_large || count == 1) {
      co_return std::unexpected(std::move(entries.error()));
    }
    too_large = true;
    count /= 2;
  }
  if (too_large) {
    per_page = count;
  } else if (page.entries.bytes() < kMostAnswer / 4 && 2 * count >= per_page) {
    per_page = std::min(2 * per_page, most);
  }
  page.entries.retain([](const EntryView& entry) { return entry.presence != Presence::missing; });

  ScanCursor to{.run_id = std::move(scanned.run_id), .scan = scanned.next, .keys = {}};
  for (std::size_t i = count; i < scanned.keys.size(); ++i) to.keys.emplace_back(scanned.keys[i]);
  page.cursor = to.text();
  co_return page;
}

io::Task<Result<>> RedisStore::scan(std::string_view prefix, std::size_t wanted, bool begin,
                                    Scanned& scanned) {
  const std::string what = doing("listing keys");
  const std::string pattern = space_.pattern(prefix);
  std::size_t looked_at = 0;
  std::size_t found = 0;
  for (int round = 0; round < kMostScans; ++round) {
    if (!begin && scanned.next == 0) break;
    if (round > 0 && 2 * scanned.keys.size() >= wanted) break;
    const std::size_t missing = wanted - scanned.keys.size();
    // As many as it takes if keys go on to match as seldom as so far.
    const std::size_t count =
        std::max(missing, std::min(kMostScanned, missing * (looked_at + 1) / (found + 1)));

    Commands commands;
    ask_existence(commands);
    commands.begin(pattern.empty() ? 6 : 8);
    commands.add("SCAN");
    commands.add(fmt::to_string(scanned.next));
    if (!pattern.empty()) {
      commands.add("MATCH");
      commands.add(pattern);
    }
    commands.add("COUNT");
    commands.add(static_cast<std::int64_t>(count));
    commands.add("TYPE");
    commands.add("string");

    const auto judge = [&](Replies& replies, const ServerFacts& server) -> Result<> {
      if (auto exists = read_existence(replies, what); !exists) return exists;
      const Reply& answer = replies.next();
      if (answer.is_error()) return std::unexpected(server_error(answer.text, what));
      if (!answer.is_array(2)) return std::unexpected(misshapen(what));
      const std::string_view digits = replies.next().text;
      std::uint64_t next = 0;
      const auto [stop, error] =
          std::from_chars(digits.data(), digits.data() + digits.size(), next);
      const Reply& list = replies.next();
      if (digits.empty() || error != std::errc{} || stop != digits.data() + digits.size() ||
          list.kind != ReplyKind::array) {
        return std::unexpected(misshapen(what));
      }
      if (!begin && server.run_id != scanned.run_id) {
        return fail(ErrorCode::conflict,
                    "{} has been restarted, or another server answers in its place, in the middle "
                    "of a listing, which cannot go on there without losing keys. Begin anew.",
                    account_->description());
      }
      scanned.run_id = server.run_id;
      scanned.next = next;
      for (std::int64_t i = 0; i < list.integer; ++i) {
        const Reply& name = replies.next();
        if (name.kind != ReplyKind::text) return std::unexpected(misshapen(what));
        const auto key = space_.key_of(name.text);
        // The server has seen to the prefix, but a deletion must not depend on that.
        // An empty key is no entry's: nobody could name it.
        if (!key || key->empty() || !key->starts_with(prefix)) continue;
        scanned.keys.push_back(*key);
        ++found;
      }
      scanned.replies.push_back(std::move(replies));
      return {};
    };
    auto answered = co_await account_->client().call(
        commands, {.doing = what, .divisible = false, .most_bytes = kMostScanAnswer}, judge);
    if (!answered) co_return std::unexpected(std::move(answered.error()));
    begin = false;
    looked_at += count;
  }
  co_return Result<>{};
}

// --- Reading ---------------------------------------------------------------------------------

io::Task<Result<Block>> RedisStore::read(std::span<const std::string_view> keys, GetParts parts,
                                         RoundTrip about) {
  const std::string_view doing = about.doing;
  if (keys.size() == 1) about.most_bytes = kMostSingleAnswer;
  for (;;) {
    const bool absolute = account_->knows_expiretime;
    parts.absolute = absolute;
    Commands commands;
    ask_existence(commands);
    add_get(commands, space_, keys, parts);
    bool unknown = false;
    const auto judge = [&](Replies& replies, const ServerFacts&) -> Result<Block> {
      unknown = absolute && std::ranges::any_of(replies.all(), [](const Reply& reply) {
                  return reply.is_error() && is_unknown_command(reply.text);
                });
      if (auto exists = read_existence(replies, doing); !exists) {
        return std::unexpected(std::move(exists.error()));
      }
      return read_get(replies, keys, parts, doing);
    };
    auto block = co_await account_->client().call(commands, about, judge);
    if (!block && unknown && absolute) {
      // Redis before 7.0: the expiry as what is left of it.
      account_->knows_expiretime = false;
      continue;
    }
    co_return block;
  }
}

std::vector<std::string_view> RedisStore::possible_keys(std::span<const std::string_view> keys,
                                                        std::vector<KeyFailure>& failed) const {
  std::vector<std::string_view> possible;
  possible.reserve(keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    auto checked = check_key(redis_capabilities(), keys[i]);
    if (checked) checked = space_.check(keys[i]);
    if (checked) {
      possible.push_back(keys[i]);
    } else {
      failed.push_back({i, std::move(checked.error())});
    }
  }
  return possible;
}

io::Task<Result<GetAnswer>> RedisStore::get(std::span<const std::string_view> keys) {
  return get_parts(keys, {.values = true});
}

io::Task<Result<GetAnswer>> RedisStore::get_metadata(std::span<const std::string_view> keys) {
  return get_parts(keys, {.types = true});
}

io::Task<Result<GetAnswer>> RedisStore::get_parts(std::span<const std::string_view> keys,
                                                  GetParts parts) {
  if (auto checked = check_get(redis_capabilities(), keys); !checked) {
    co_return std::unexpected(std::move(checked.error()));
  }
  GetAnswer answer;
  const std::vector<std::string_view> valid = possible_keys(keys, answer.failed);
  Block found;
  if (!valid.empty()) {
    const std::string what = doing(parts.values ? "getting values" : "getting metadata");
    auto block =
        co_await read(valid, parts, {.doing = what, .divisible = true, .most_bytes = kMostAnswer});
    if (!block) co_return std::unexpected(std::move(block.error()));
    found = std::move(*block);
  }
  if (valid.size() == keys.size()) {
    answer.entries = std::move(found);
    co_return answer;
  }
  std::size_t next_found = 0;
  auto refused = answer.failed.begin();  // in the order of the keys
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (refused != answer.failed.end() && refused->index == i) {
      ++refused;
      answer.entries.append({.key = keys[i], .presence = Presence::failed});
    } else {
      answer.entries.append(found[next_found++]);
    }
  }
  co_return answer;
}

// --- Writing ---------------------------------------------------------------------------------

io::Task<Result<WriteAnswer>> RedisStore::put(std::span<const EntryView> entries) {
  if (auto checked = check_put(redis_capabilities(), entries); !checked) {
    co_return std::unexpected(std::move(checked.error()));
  }
  WriteAnswer answer;
  std::vector<std::uint32_t> order =
      writable_in_key_order(redis_capabilities(), entries, unix_now(), answer.failed);
  std::erase_if(order, [&](std::uint32_t place) {
    auto checked = space_.check(entries[place].key);
    if (checked && entries[place].expiration > kLastSecond) {
      checked = fail(ErrorCode::invalid_argument,
                     "the expiration of \"{}\" lies too far ahead for Redis. Give it in seconds "
                     "since 1970, or leave it out.",
                     truncated_to_width(printable(entries[place].key), 80));
    }
    if (checked) return false;
    answer.failed.push_back({place, std::move(checked.error())});
    return true;
  });
  if (order.empty()) co_return answer;

  const std::string what = doing("writing entries");
  const RoundTrip about{.doing = what, .divisible = true, .most_bytes = kMostWriteAnswer};
  std::size_t queued = 0;
  const Commands commands = put_commands(space_, entries, order, queued);
  if (space_.is_default()) {
    const auto judge = [&](Replies& replies, const ServerFacts&) -> Result<> {
      auto written = read_put(replies, queued, what);
      if (!written) return std::unexpected(std::move(written.error()));
      if (!*written) return std::unexpected(misshapen(what));
      return {};
    };
    auto written = co_await account_->client().call(commands, about, judge);
    if (!written) co_return std::unexpected(std::move(written.error()));
    co_return answer;
  }

  // Nothing may be written into a namespace that is gone, or goes meanwhile: nobody would find it
  // again. So the list of namespaces is watched.
  Commands watch;
  watch.add_command("WATCH", kNamespaces);
  ask_existence(watch);
  const auto operation = [&](Client::Lease& lease) -> io::Task<Result<>> {
    for (int round = 0; round < 8; ++round) {
      auto watched = co_await lease.round_trip(watch, about);
      if (!watched) co_return std::unexpected(std::move(watched.error()));
      const Reply& ok = watched->next();
      auto exists = ok.is_error() ? Result<>(std::unexpected(server_error(ok.text, what)))
                                  : read_existence(*watched, what);
      if (!exists) {
        lease.discard();  // it still watches
        co_return exists;
      }
      auto replies = co_await lease.round_trip(commands, about);
      if (!replies) co_return std::unexpected(std::move(replies.error()));
      auto written = read_put(*replies, queued, what);
      if (!written) {
        lease.discard();
        co_return std::unexpected(std::move(written.error()));
      }
      if (*written) co_return Result<>{};
    }
    co_return fail(ErrorCode::unavailable, Retry::again,
                   "other programs keep changing the namespaces of {}. Try again later.",
                   account_->description());
  };
  auto written = co_await account_->client().call_with_lease(operation);
  if (!written) co_return std::unexpected(std::move(written.error()));
  co_return answer;
}

io::Task<Result<WriteAnswer>> RedisStore::erase(std::span<const std::string_view> keys) {
  if (auto checked = check_erase(redis_capabilities(), keys); !checked) {
    co_return std::unexpected(std::move(checked.error()));
  }
  WriteAnswer answer;
  const std::vector<std::string_view> valid = possible_keys(keys, answer.failed);
  if (valid.empty()) co_return answer;
  Commands commands;
  ask_existence(commands);
  commands.begin(1 + 2 * valid.size());
  commands.add("UNLINK");
  for (const std::string_view key : valid) {
    space_.add_name(commands, key);
    space_.add_metadata_name(commands, key);
  }
  const std::string what = doing("deleting keys");
  const auto judge = [&](Replies& replies, const ServerFacts&) -> Result<> {
    if (auto exists = read_existence(replies, what); !exists) return exists;
    const Reply& unlinked = replies.next();
    if (unlinked.is_error()) return std::unexpected(server_error(unlinked.text, what));
    if (unlinked.kind != ReplyKind::integer) return std::unexpected(misshapen(what));
    return {};
  };
  auto erased = co_await account_->client().call(
      commands, {.doing = what, .divisible = true, .most_bytes = kMostWriteAnswer}, judge);
  if (!erased) co_return std::unexpected(std::move(erased.error()));
  co_return answer;
}

}  // namespace sluice::store::redis
