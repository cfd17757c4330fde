#include "store/redis/redis_backend.h"

#include <algorithm>
#include <charconv>
#include <random>

#include "base/text_distance.h"
#include "base/utf8.h"
#include "redis/server_error.h"
#include "store/redis/redis_store.h"

namespace sluice::store::redis {

using sluice::redis::ReplyKind;
using sluice::redis::server_error;

namespace {

constexpr std::size_t kMostListAnswer = std::size_t{64} << 20;
constexpr std::size_t kLongestTitle = 512;
constexpr std::int64_t kSweptAtOnce = 2000;

std::string shown(std::string_view text) {
  return truncated_to_width(printable(text), 80);
}

Result<> check_title(std::string_view title) {
  if (title.empty() || title.size() > kLongestTitle || !is_utf8(title)) {
    return fail(ErrorCode::invalid_argument,
                "\"{}\" cannot be the title of a namespace: it has to be UTF-8 of 1 to {} bytes.",
                shown(title), kLongestTitle);
  }
  return {};
}

Result<> refuse_default(std::string_view what) {
  return fail(ErrorCode::invalid_argument,
              "the namespace \"{}\" is the database itself and cannot be {}.", kDefault, what);
}

// Eight hexadecimal digits. Short, since every key of the namespace bears it; whoever takes it into
// use makes sure that it is new.
std::string new_id() {
  return fmt::format("{:08x}", std::random_device{}());
}

Result<std::vector<Namespace>> read_hash(Replies& replies, std::string_view doing) {
  const Reply& list = replies.next();
  if (list.is_error()) return std::unexpected(server_error(list.text, doing));
  if (list.kind != ReplyKind::array || list.integer % 2 != 0) {
    return std::unexpected(misshapen(doing));
  }
  std::vector<Namespace> spaces;
  for (std::int64_t i = 0; i < list.integer; i += 2) {
    std::string id(replies.next().text);
    spaces.push_back({std::move(id), std::string(replies.next().text)});
  }
  return spaces;
}

const Namespace* find(const std::vector<Namespace>& spaces, std::string_view name) {
  for (const auto member : {&Namespace::title, &Namespace::id}) {
    const auto found = std::ranges::find(spaces, name, member);
    if (found != spaces.end()) return &*found;
  }
  return nullptr;
}

}  // namespace

io::Task<Result<std::vector<Namespace>>> RedisBackend::read_list(std::string_view hash,
                                                                 std::string_view doing) {
  Commands commands;
  commands.add_command("HGETALL", hash);
  const auto judge = [doing](Replies& replies, const ServerFacts&) {
    return read_hash(replies, doing);
  };
  co_return co_await account_->client().call(
      commands, {.doing = doing, .divisible = false, .most_bytes = kMostListAnswer}, judge);
}

io::Task<Result<std::vector<Namespace>>> RedisBackend::namespaces() {
  const std::string what = fmt::format("listing the namespaces of {}", account_->description());
  auto spaces = co_await read_list(kNamespaces, what);
  if (!spaces) co_return spaces;
  spaces->push_back({std::string(kDefault), std::string(kDefault)});
  std::ranges::sort(*spaces, {}, &Namespace::title);
  co_return spaces;
}

io::Task<Result<Namespace>> RedisBackend::find_namespace(std::string_view name) {
  if (name == kDefault) co_return Namespace{std::string(kDefault), std::string(kDefault)};
  const std::string what = fmt::format("looking for a namespace of {}", account_->description());
  auto spaces = co_await read_list(kNamespaces, what);
  if (!spaces) co_return std::unexpected(std::move(spaces.error()));
  if (const Namespace* const found = find(*spaces, name)) co_return *found;
  // One whose deletion was broken off, so that it can be deleted again.
  auto leaving = co_await read_list(kDeleting, what);
  if (!leaving) co_return std::unexpected(std::move(leaving.error()));
  if (const Namespace* const found = find(*leaving, name)) co_return *found;

  std::vector<std::string_view> titles{kDefault};
  for (const Namespace& space : *spaces) titles.push_back(space.title);
  co_return fail(ErrorCode::not_found,
                 "{} has no namespace \"{}\".{} `sluice kv namespace list` shows them.",
                 account_->description(), shown(name), did_you_mean(name, titles));
}

io::Task<Result<>> RedisBackend::change_list(std::string_view doing, const Change& change) {
  Commands watch;
  watch.add_command("WATCH", kNamespaces);
  watch.add_command("HGETALL", kNamespaces);
  const RoundTrip about{.doing = doing, .divisible = false, .most_bytes = kMostListAnswer};
  const auto operation = [&](Client::Lease& lease) -> io::Task<Result<>> {
    for (int round = 0; round < 8; ++round) {
      auto watched = co_await lease.round_trip(watch, about);
      if (!watched) co_return std::unexpected(std::move(watched.error()));
      const Reply& ok = watched->next();
      auto list =
          ok.is_error()
              ? Result<std::vector<Namespace>>(std::unexpected(server_error(ok.text, doing)))
              : read_hash(*watched, doing);
      Commands commands;
      commands.add_command("MULTI");
      Result<> wanted;
      if (list) {
        wanted = change(*list, commands);
      } else {
        wanted = std::unexpected(std::move(list.error()));
      }
      const std::size_t queued = commands.count() - 1;
      if (!wanted || queued == 0) {
        lease.discard();  // it still watches
        co_return wanted;
      }
      commands.add_command("EXEC");
      auto replies = co_await lease.round_trip(commands, about);
      if (!replies) co_return std::unexpected(std::move(replies.error()));
      auto carried_out = read_transaction(*replies, queued, doing);
      for (std::size_t i = 0; carried_out && *carried_out && i < queued; ++i) {
        const Reply& reply = replies->next();
        if (reply.is_error()) carried_out = std::unexpected(server_error(reply.text, doing));
      }
      if (!carried_out) {
        lease.discard();
        co_return std::unexpected(std::move(carried_out.error()));
      }
      if (*carried_out) co_return Result<>{};
    }
    co_return fail(ErrorCode::unavailable, Retry::again,
                   "other programs keep changing the namespaces of {}. Try again later.",
                   account_->description());
  };
  co_return co_await account_->client().call_with_lease(operation);
}

io::Task<Result<Namespace>> RedisBackend::create_namespace(std::string_view title) {
  if (auto checked = check_title(title); !checked) co_return std::unexpected(checked.error());
  Namespace made{new_id(), std::string(title)};
  const std::string what =
      fmt::format("creating the namespace \"{}\" of {}", shown(title), account_->description());
  const Change change = [&](const std::vector<Namespace>& list, Commands& commands) -> Result<> {
    const auto same = std::ranges::find(list, title, &Namespace::title);
    // Ours: the answer to the attempt before was lost.
    if (same != list.end() && same->id == made.id) return {};
    if (same != list.end() || title == kDefault) {
      return fail(ErrorCode::conflict, "{} has a namespace \"{}\" already. Choose another title.",
                  account_->description(), shown(title));
    }
    while (std::ranges::find(list, made.id, &Namespace::id) != list.end()) made.id = new_id();
    commands.add_command("HSET", kNamespaces, made.id, title);
    return {};
  };
  auto changed = co_await change_list(what, change);
  if (!changed) co_return std::unexpected(std::move(changed.error()));
  co_return made;
}

io::Task<Result<>> RedisBackend::rename_namespace(const Namespace& which, std::string_view title) {
  if (auto checked = check_title(title); !checked) co_return checked;
  if (which.id == kDefault) co_return refuse_default("renamed");
  const std::string what = fmt::format("renaming the namespace \"{}\" of {}", shown(which.title),
                                       account_->description());
  const Change change = [&](const std::vector<Namespace>& list, Commands& commands) -> Result<> {
    if (std::ranges::find(list, which.id, &Namespace::id) == list.end()) {
      return std::unexpected(account_->no_such_namespace(which.id));
    }
    const auto same = std::ranges::find(list, title, &Namespace::title);
    if (title == kDefault || (same != list.end() && same->id != which.id)) {
      return fail(ErrorCode::conflict, "{} has a namespace \"{}\" already. Choose another title.",
                  account_->description(), shown(title));
    }
    commands.add_command("HSET", kNamespaces, which.id, title);
    return {};
  };
  co_return co_await change_list(what, change);
}

io::Task<Result<>> RedisBackend::delete_namespace(const Namespace& which) {
  if (which.id == kDefault) co_return refuse_default("deleted");
  const std::string what = fmt::format("deleting the namespace \"{}\" of {}", shown(which.title),
                                       account_->description());
  auto leaving = co_await read_list(kDeleting, what);
  if (!leaving) co_return std::unexpected(std::move(leaving.error()));
  const bool begun = std::ranges::find(*leaving, which.id, &Namespace::id) != leaving->end();
  if (!begun) {
    bool moved = false;
    const Change change = [&](const std::vector<Namespace>& list, Commands& commands) -> Result<> {
      const auto found = std::ranges::find(list, which.id, &Namespace::id);
      if (found == list.end()) {
        if (moved) return {};  // by the attempt before, whose answer was lost
        return std::unexpected(account_->no_such_namespace(which.id));
      }
      moved = true;
      commands.add_command("HSET", kDeleting, which.id, found->title);
      commands.add_command("HDEL", kNamespaces, which.id);
      return {};
    };
    auto changed = co_await change_list(what, change);
    if (!changed) co_return changed;
    leaving->push_back(which);
  }
  co_return co_await sweep(*leaving, what);
}

// One pass over the database for all namespaces that are to go. Nobody writes into them any more:
// puts watch the list. A pass of SCAN sees every key that is there from its beginning to its end.
io::Task<Result<>> RedisBackend::sweep(const std::vector<Namespace>& gone, std::string_view doing) {
  std::vector<KeySpace> spaces;
  for (const Namespace& space : gone) spaces.emplace_back(space.id);
  std::string pattern;
  append_escaped(pattern, kReserved);
  pattern += '*';
  const RoundTrip about{.doing = doing, .divisible = false, .most_bytes = kMostListAnswer};
  const auto operation = [&](Client::Lease& lease) -> io::Task<Result<>> {
    std::string at = "0";
    do {
      Commands scan;
      scan.add_command("SCAN", at, "MATCH", pattern, "COUNT", kSweptAtOnce);
      auto replies = co_await lease.round_trip(scan, about);
      if (!replies) co_return std::unexpected(std::move(replies.error()));
      const Reply& answer = replies->next();
      if (answer.is_error()) co_return std::unexpected(server_error(answer.text, doing));
      if (!answer.is_array(2)) co_return std::unexpected(misshapen(doing));
      at = replies->next().text;
      const Reply& list = replies->next();
      if (list.kind != ReplyKind::array || at.empty()) co_return std::unexpected(misshapen(doing));
      std::vector<std::string_view> names;
      for (std::int64_t i = 0; i < list.integer; ++i) {
        const std::string_view name = replies->next().text;
        const auto owns = [&](const KeySpace& space) { return space.owns(name); };
        if (std::ranges::any_of(spaces, owns)) names.push_back(name);
      }
      if (names.empty()) continue;
      Commands unlink;
      unlink.begin(names.size() + 1);
      unlink.add("UNLINK");
      for (const std::string_view name : names) unlink.add(name);
      auto unlinked = co_await lease.round_trip(unlink, about);
      if (!unlinked) co_return std::unexpected(std::move(unlinked.error()));
      const Reply& count = unlinked->next();
      if (count.is_error()) co_return std::unexpected(server_error(count.text, doing));
    } while (at != "0");

    Commands forget;
    forget.begin(gone.size() + 2);
    forget.add("HDEL");
    forget.add(kDeleting);
    for (const Namespace& space : gone) forget.add(space.id);
    auto forgotten = co_await lease.round_trip(forget, about);
    if (!forgotten) co_return std::unexpected(std::move(forgotten.error()));
    const Reply& count = forgotten->next();
    if (count.is_error()) co_return std::unexpected(server_error(count.text, doing));
    co_return Result<>{};
  };
  // On one connection from its beginning to its end, so that a server that was restarted meanwhile
  // is not asked to go on with a cursor of its predecessor.
  co_return co_await account_->client().call_with_lease(operation);
}

std::unique_ptr<Store> RedisBackend::open(const Namespace& which) {
  return std::make_unique<RedisStore>(account_, which);
}

}  // namespace sluice::store::redis
