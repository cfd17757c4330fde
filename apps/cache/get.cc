// sluice cache get
#include <utility>

#include "base/utf8.h"
#include "json_field.h"
#include "shared_commands.h"

namespace sluice::cache_cli {

namespace {

using localcache::Access;
using localcache::Entry;

// As it is; on a terminal what comes next begins on a line of its own.
Result<> write_bare(Entry& entry) {
  char last = '\n';
  for (;;) {
    const auto piece = entry.value.next();
    if (!piece) return std::unexpected(piece.error());
    if (piece->empty()) return last != '\n' && is_shown() ? write_output("\n") : Result<>();
    last = piece->back();
    if (auto written = write_output(*piece); !written) return written;
  }
}

// {"key":…,"value":…} with what else is known.
Result<> write_json(const Session& session, Entry& entry) {
  std::string begin = "{";
  append_json_field(begin, "key", entry.info.key);
  begin += ',';
  // The value comes when all of it could be read.
  const auto take = [&](std::string_view piece) -> Result<> {
    if (!begin.empty()) {
      if (auto written = write_output(std::exchange(begin, {})); !written) return written;
    }
    return write_output(piece);
  };
  if (auto written = write_json_value(entry.value, session.spool_folders(), take); !written) {
    return written;
  }
  std::string out = fmt::format(R"(,"created":"{}")", time_text(entry.info.created));
  if (entry.info.expires) out += fmt::format(R"(,"expires":"{}")", time_text(*entry.info.expires));
  out += fmt::format(R"(,"stale":{},"hits":{},"cost_ms":{},)", entry.info.stale, entry.info.hits,
                     entry.info.cost.count());
  append_json_tags(out, entry.info.tags);
  return write_output(out + "}\n");
}

}  // namespace

int run_get(Session& session) {
  end_at_deadline(session);
  const Invocation& invocation = session.invocation();
  const std::string& key = invocation.arguments().front();
  auto entry = localcache::Cache::get_once(
      session.location(), key,
      {.stale_ok = invocation.on("stale-ok"), .max_age = invocation.duration("max-age")},
      session.options(Access::read));
  if (!entry) return session.report(entry.error());
  if (!*entry) {
    // A miss is an ordinary answer: scripts see it by the exit code.
    session.messages().detail(fmt::format("the cache namespace {} has no entry \"{}\"",
                                          printable(session.location().name), printable(key)));
    return static_cast<int>(ExitCode::not_found);
  }
  const auto written = session.json() ? write_json(session, **entry) : write_bare(**entry);
  if (!written) return session.report(written.error());
  return 0;
}

}  // namespace sluice::cache_cli
