// sluice cache limit, gc, verify, repair, clear
#include <boost/json.hpp>

#include "base/size.h"
#include "base/utf8.h"
#include "cache_command.h"
#include "consent.h"
#include "json_field.h"
#include "size_text.h"

namespace sluice::cli {

namespace {

using cache_cli::entries_text;
using cache_cli::Session;
using localcache::Access;
using localcache::Cache;
using localcache::Problem;
namespace json = boost::json;

// The result as JSON on stdout, or as a sentence for people.
Result<> answer(const Session& session, const json::object& object, std::string_view sentence) {
  if (session.json()) return cache_cli::write_output(json::serialize(object) + "\n");
  session.messages().say(sentence);
  return {};
}

// What is said where there is nothing to be done.
std::string none(const Session& session) {
  return fmt::format("there is no cache namespace {}; nothing was changed",
                     printable(session.location().name));
}

// As every command names it, also where it is not UTF-8.
json::object named(const Session& session) {
  std::string text = "{";
  cache_cli::append_json_field(text, "namespace", session.location().name);
  return json::parse(text + "}").as_object();
}

// The answer of a command that takes entries away; in a dry run the counts are 0, and a field of
// its own says what would go.
json::object changed(const Session& session) {
  json::object object = named(session);
  object["dry_run"] = session.dry_run();
  return object;
}

json::object deleted(const Session& session, std::uint64_t entries) {
  json::object object = changed(session);
  object["deleted"] = entries;
  return object;
}

json::object collected(const Session& session, const localcache::Collected& what) {
  json::object object = changed(session);
  object["expired"] = what.expired;
  object["evicted"] = what.evicted;
  object["orphans"] = what.orphans;
  object["freed_bytes"] = what.freed_bytes;
  return object;
}

// What other limits would take away. How many entries make up the bytes shows when they go.
std::string would_go(const localcache::Size& size, std::optional<std::uint64_t> most_bytes,
                     std::optional<std::uint64_t> most_entries) {
  const std::uint64_t bytes = most_bytes.value_or(size.limits.max_bytes);
  const std::uint64_t entries = most_entries.value_or(size.limits.max_entries);
  std::string text;
  if (size.bytes > bytes) text = format_bytes(size.bytes - bytes);
  if (entries != 0 && size.entries > entries) {
    text += (text.empty() ? "" : " and ") + entries_text(size.entries - entries);
  }
  return text.empty() ? "nothing would go" : "at least " + text + " would go";
}

Result<> limit(Session& session) {
  const Invocation& invocation = session.invocation();
  const auto bytes = invocation.size("max-size");
  const auto entries = invocation.count("max-entries");
  const bool changes = (bytes || entries) && !session.dry_run();
  const auto cache = session.open(changes ? Access::write : Access::read);
  if (!cache) return std::unexpected(cache.error());
  const auto before = (*cache)->size();
  if (!before) return std::unexpected(before.error());
  if (changes) {
    if (auto sure = session.ask(fmt::format("Change the limits of the cache namespace {}?",
                                            printable(session.location().name)));
        !sure) {
      return sure;
    }
    const localcache::Limits limits{.max_bytes = bytes.value_or(before->limits.max_bytes),
                                    .max_entries = entries.value_or(before->limits.max_entries)};
    if (auto set = (*cache)->set_limits(limits); !set) return set;
  } else if (session.dry_run()) {
    session.messages().say(would_go(*before, bytes, entries) + "; nothing was changed");
  }
  const auto after = (*cache)->size();
  if (!after) return std::unexpected(after.error());
  if (after->entries < before->entries) {
    session.messages().say(
        fmt::format("{} went, to hold the limit", entries_text(before->entries - after->entries)));
  }
  return cache_cli::write_output(
      session.json() ? cache_cli::size_json(session.location().name, *after, session.dry_run())
                     : cache_cli::size_table(session.location().name, *after));
}

Result<> gc(Session& session) {
  if (session.dry_run()) {
    const auto cache = session.open(Access::read);
    if (!cache) return std::unexpected(cache.error());
    std::uint64_t expired = 0;
    const auto now = (*cache)->now();
    const auto listed = (*cache)->list({}, [&](const localcache::EntryInfo& info) {
      // One from the future is stale, too, and stays until its time is over.
      if (info.expires && *info.expires <= now) ++expired;
      return true;
    });
    if (!listed) return listed;
    json::object object = collected(session, {});
    object["would_expire"] = expired;
    return answer(session, object,
                  fmt::format("{} would go; nothing was changed", entries_text(expired)));
  }
  if (auto sure = session.ask("Delete what has expired, and what nobody needs?"); !sure)
    return sure;
  const auto cache = session.open(Access::change);
  if (!cache) return std::unexpected(cache.error());
  const auto what = (*cache)->gc();
  if (!what) return std::unexpected(what.error());
  const json::object object = collected(session, *what);
  if (!(*cache)->exists()) return answer(session, object, none(session));
  return answer(session, object,
                fmt::format("{} had expired, {} evicted, {} files of killed processes removed, {} "
                            "given back",
                            entries_text(what->expired), format_count(what->evicted),
                            format_count(what->orphans), format_bytes(what->freed_bytes)));
}

std::string_view name(Problem::Kind kind) {
  switch (kind) {
    case Problem::Kind::database:
      return "database";
    case Problem::Kind::content:
      return "content";
    case Problem::Kind::lost_value:
      return "lost_value";
    case Problem::Kind::count:
      return "count";
    case Problem::Kind::tags:
      return "tags";
    case Problem::Kind::orphan_file:
      return "orphan_file";
  }
  return "database";
}

// True: all is intact. A file that no entry names is no damage: `gc` removes it.
Result<bool> verify(Session& session) {
  const auto cache = session.open(Access::read);
  if (!cache) return std::unexpected(cache.error());
  const auto verified = (*cache)->verify();
  if (!verified) return std::unexpected(verified.error());
  std::uint64_t orphans = 0;
  json::array problems;
  std::string lines;
  for (const Problem& problem : verified->problems) {
    if (problem.kind == Problem::Kind::orphan_file) ++orphans;
    const std::string text = printable(problem.text);
    problems.push_back({{"kind", name(problem.kind)}, {"text", text}});
    lines += text + "\n";
  }
  const std::uint64_t damage = verified->problem_count - orphans;
  // Of `repair --dry-run`, which finds what this finds.
  json::object object = session.dry_run() ? changed(session) : named(session);
  object["entries"] = verified->entries;
  object["bytes"] = verified->bytes;
  object["intact"] = damage == 0;
  object["problem_count"] = verified->problem_count;
  object["problems"] = std::move(problems);
  const auto written =
      cache_cli::write_output(session.json() ? json::serialize(object) + "\n" : lines);
  if (!written) return std::unexpected(written.error());
  const std::string content =
      fmt::format("{}, {}", entries_text(verified->entries), format_bytes(verified->bytes));
  if (damage == 0) {
    session.messages().say(
        fmt::format("{}: all intact{}", content,
                    orphans > 0 ? "; `sluice cache gc` removes the files that nobody needs" : ""));
  } else {
    session.messages().error(fmt::format(
        "{}, and {} damaged. `sluice cache repair` keeps what is intact.", content,
        damage == 1 ? "one thing is" : fmt::format("{} things are", format_count(damage))));
  }
  return damage == 0;
}

Result<> repair(Session& session) {
  if (!session.exists()) {
    json::object object = named(session);
    object["kept"] = object["dropped"] = 0;
    object["rebuilt"] = false;
    return answer(session, object, none(session));
  }
  if (auto sure = session.ask("Keep what is intact, and drop the rest?"); !sure) return sure;
  const auto repaired = Cache::repair(session.location(), session.options(Access::write));
  if (!repaired) return std::unexpected(repaired.error());
  json::object object = named(session);
  object["kept"] = repaired->kept;
  object["dropped"] = repaired->dropped;
  object["rebuilt"] = repaired->rebuilt;
  // What the totals say beyond what was seen; if they are lost, nobody knows.
  if (repaired->rebuilt && repaired->unreadable) object["unreadable"] = *repaired->unreadable;
  if (repaired->rebuilt && !repaired->unreadable) object["unreadable"] = "unknown";
  if (repaired->unsure > 0) object["unsure"] = repaired->unsure;
  if (repaired->limits_lost) object["limits_lost"] = true;
  if (!repaired->saved_as.empty()) object["saved_as"] = printable(repaired->saved_as);
  std::string sentence = fmt::format("{} kept, {} dropped", entries_text(repaired->kept),
                                     format_count(repaired->dropped));
  if (repaired->rebuilt) {
    sentence += fmt::format(
        ", and {} could not be read; the database was made anew, and the damaged one is {}",
        repaired->unreadable ? format_count(*repaired->unreadable) : "an unknown number",
        printable(repaired->saved_as));
  }
  if (repaired->unsure > 0) {
    sentence += fmt::format("; {} of those kept may have been deleted or replaced before",
                            format_count(repaired->unsure));
  }
  if (repaired->limits_lost) {
    sentence += "; the limits are lost, so set them with `sluice cache limit`";
  }
  return answer(session, object, sentence);
}

Result<> clear(Context& context, Session& session) {
  const std::string where = printable(session.location().name);
  const auto ask = must_ask(context, session.invocation(), "`sluice cache clear`");
  if (!ask) return std::unexpected(ask.error());
  if (*ask || session.dry_run()) {
    const auto cache = session.open(Access::read);
    if (!cache) return std::unexpected(cache.error());
    const auto size = (*cache)->size();
    if (!size) return std::unexpected(size.error());
    if (session.dry_run()) {
      json::object object = deleted(session, 0);
      object["would_delete"] = size->entries;
      return answer(session, object,
                    fmt::format("would delete {} from the cache namespace {}; "
                                "nothing was changed",
                                entries_text(size->entries), where));
    }
    if (!(*cache)->exists()) return answer(session, deleted(session, 0), none(session));
    if (size->entries > 0) {
      const auto sure = session.engine().confirm(fmt::format(
          "Delete {} from the cache namespace {}?", entries_text(size->entries), where));
      if (!sure) return sure;
    }
  }
  const auto cache = session.open(Access::change);
  if (!cache) return std::unexpected(cache.error());
  const auto entries = (*cache)->clear();
  if (!entries) return std::unexpected(entries.error());
  const json::object object = deleted(session, *entries);
  if (!(*cache)->exists()) return answer(session, object, none(session));
  return answer(
      session, object,
      fmt::format("deleted {} from the cache namespace {}", entries_text(*entries), where));
}

int finish(const Session& session, const Result<>& done) {
  return done ? 0 : session.report(done.error());
}

}  // namespace

int run_cache_limit(Context&, Session& session) {
  return finish(session, limit(session));
}

int run_cache_gc(Context&, Session& session) {
  return finish(session, gc(session));
}

int run_cache_verify(Context&, Session& session) {
  const auto intact = verify(session);
  if (!intact) return session.report(intact.error());
  return static_cast<int>(*intact ? ExitCode::done : ExitCode::failed);
}

int run_cache_repair(Context& context, Session& session) {
  // What repair would find is what verify finds.
  if (session.dry_run()) return run_cache_verify(context, session);
  return finish(session, repair(session));
}

int run_cache_clear(Context& context, Session& session) {
  return finish(session, clear(context, session));
}

}  // namespace sluice::cli
