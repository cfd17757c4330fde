// sluice cache delete
#include <algorithm>
#include <utility>

#include "base/size.h"
#include "base/utf8.h"
#include "json_field.h"
#include "shared_commands.h"
#include "size_text.h"

namespace sluice::cache_cli {

namespace {

using localcache::Access;
using localcache::Cache;
using localcache::Selector;

// What is to be deleted: keys, or what any of these selects.
struct Wanted {
  std::vector<std::string> keys;
  std::vector<Selector> selectors;
};

std::unexpected<Error> usage(std::string message) {
  return std::unexpected(
      Error{ErrorCode::invalid_argument, Retry::never, std::nullopt, std::move(message)});
}

Result<Wanted> wanted(Session& session) {
  const Invocation& invocation = session.invocation();
  const auto tags = invocation.values("tag");
  const auto pattern = invocation.value("pattern");
  const auto prefix = invocation.value("prefix");
  const bool selects = !tags.empty() || pattern || prefix;
  const auto keys = invocation.arguments();
  if (selects && !keys.empty()) return usage("name keys, or a selection, not both.");
  if (!selects && keys.empty()) {
    return usage(
        "name the keys to delete, or a selection: --tag, --pattern or --prefix. `sluice cache "
        "clear` deletes everything.");
  }
  if (!selects) {
    Wanted out{.keys = {keys.begin(), keys.end()}, .selectors = {}};
    std::ranges::sort(out.keys);
    const auto again = std::ranges::unique(out.keys);
    out.keys.erase(again.begin(), again.end());
    return out;
  }
  for (const auto& [flag, text] :
       {std::pair("--prefix", prefix), std::pair("--pattern", pattern)}) {
    if (!text || !text->empty()) continue;
    return usage(fmt::format(
        "{} is empty, which selects everything. `sluice cache clear` does that.", flag));
  }
  // An unset variable of a script, most likely.
  if (std::ranges::find(tags, "") != tags.end()) return usage("--tag is empty. Name a tag.");
  Selector selector{.prefix = prefix.value_or(""), .tag = std::nullopt, .matches = nullptr};
  if (pattern) {
    auto matcher = session.engine().compile_pattern(*pattern);
    if (!matcher) return std::unexpected(matcher.error());
    selector.matches = std::move(*matcher);
  }
  Wanted out;
  if (tags.empty()) out.selectors.push_back(selector);
  for (const std::string& tag : tags) {
    selector.tag = tag;
    out.selectors.push_back(selector);
  }
  return out;
}

// How many entries would go.
Result<std::uint64_t> count(Cache& cache, const Wanted& wanted) {
  std::uint64_t entries = 0;
  for (const std::string& key : wanted.keys) {
    // Not `get`, which would count as a use.
    const auto listed = cache.list({.prefix = key, .tag = std::nullopt, .matches = nullptr},
                                   [&](const localcache::EntryInfo& info) {
                                     if (info.key == key) ++entries;
                                     return false;  // keys come in order: it would be the first
                                   });
    if (!listed) return std::unexpected(listed.error());
  }
  for (auto selector = wanted.selectors.begin(); selector != wanted.selectors.end(); ++selector) {
    // The selectors differ in their tags: an entry with two of them counts with the first.
    const auto counted = [&](const std::string& tag) {
      return std::any_of(wanted.selectors.begin(), selector,
                         [&](const Selector& before) { return before.tag == tag; });
    };
    const auto listed = cache.list(*selector, [&](const localcache::EntryInfo& info) {
      if (std::ranges::none_of(info.tags, counted)) ++entries;
      return true;
    });
    if (!listed) return std::unexpected(listed.error());
  }
  return entries;
}

Result<std::uint64_t> erase(Cache& cache, const Wanted& wanted) {
  std::uint64_t entries = 0;
  for (const std::string& key : wanted.keys) {
    const auto erased = cache.erase(key);
    if (!erased) return std::unexpected(erased.error());
    if (*erased) ++entries;
  }
  for (const Selector& selector : wanted.selectors) {
    const auto erased = cache.erase_all(selector);
    if (!erased) return std::unexpected(erased.error());
    entries += *erased;
  }
  return entries;
}

Result<std::uint64_t> run(Session& session, const Wanted& wanted) {
  if (!session.exists()) return 0;
  const Invocation& invocation = session.invocation();
  const std::string where = printable(session.location().name);
  const auto most = invocation.count("max-delete");
  const bool asks = invocation.on("interactive") && !invocation.on("yes") && !session.dry_run();
  if (session.dry_run() || most || asks) {
    const auto cache = session.open(Access::read);
    if (!cache) return std::unexpected(cache.error());
    const auto entries = count(**cache, wanted);
    if (!entries) return entries;
    if (most && *entries > *most) {
      return fail(ErrorCode::conflict,
                  "{} would be deleted from the cache namespace {}, and --max-delete allows {}; "
                  "nothing was deleted.",
                  entries_text(*entries), where, format_count(*most));
    }
    if (session.dry_run()) return entries;
    if (*entries > 0) {
      const auto sure = session.ask(
          fmt::format("Delete {} from the cache namespace {}?", entries_text(*entries), where));
      if (!sure) return std::unexpected(sure.error());
    }
  }
  const auto cache = session.open(Access::change);
  if (!cache) return std::unexpected(cache.error());
  return erase(**cache, wanted);
}

}  // namespace

int run_delete(Session& session) {
  if (!session.invocation().on("interactive")) end_at_deadline(session);
  const auto what = wanted(session);
  if (!what) return session.report(what.error());
  const auto entries = run(session, *what);
  if (!entries) return session.report(entries.error());
  if (session.json()) {
    std::string out = "{";
    append_json_field(out, "namespace", session.location().name);
    out += fmt::format(R"(,"deleted":{},"dry_run":{}}})", session.dry_run() ? 0 : *entries,
                       session.dry_run());
    if (session.dry_run()) {
      out.pop_back();
      out += fmt::format(R"(,"would_delete":{}}})", *entries);
    }
    if (const auto written = write_output(out + "\n"); !written) {
      return session.report(written.error());
    }
  } else if (session.dry_run()) {
    session.messages().say(
        fmt::format("would delete {}; nothing was changed", entries_text(*entries)));
  } else if (!what->selectors.empty()) {
    session.messages().say(fmt::format("deleted {}", entries_text(*entries)));
  } else {
    session.messages().detail(fmt::format("deleted {}", entries_text(*entries)));
  }
  return 0;
}

}  // namespace sluice::cache_cli
