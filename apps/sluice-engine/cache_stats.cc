// sluice cache stats
#include <unistd.h>

#include "base/size.h"
#include "base/utf8.h"
#include "cache_command.h"
#include "localcache/statistics.h"
#include "localcache/statistics_text.h"
#include "table.h"

namespace sluice::cli {

namespace {

using cache_cli::Session;
using localcache::StatisticsView;

std::string milliseconds(std::chrono::nanoseconds time) {
  return fmt::format("{:.3f}", static_cast<double>(time.count()) / 1e6);
}

std::string table_text(const Session& session, const StatisticsView& view) {
  std::string out = fmt::format("namespace  {}\n", printable(session.location().name));
  const auto counted = [&](localcache::Counter counter) {
    return view.counters[static_cast<std::size_t>(counter)];
  };
  const std::uint64_t hits =
      counted(localcache::Counter::hits) + counted(localcache::Counter::stale_hits);
  if (const std::uint64_t uses = hits + counted(localcache::Counter::misses); uses > 0) {
    out += fmt::format("hit rate   {:.1f} %\n",
                       100 * static_cast<double>(hits) / static_cast<double>(uses));
  }
  Table counters({{"COUNTER"}, {"TIMES", Table::Align::right}});
  for (std::size_t i = 0; i < view.counters.size(); ++i) {
    counters.add(
        {std::string(name(static_cast<localcache::Counter>(i))), format_count(view.counters[i])});
  }
  out += "\n" + counters.text();
  Table timings({{"OPERATION"},
                 {"TIMES", Table::Align::right},
                 {"MEAN MS", Table::Align::right},
                 {"P50", Table::Align::right},
                 {"P95", Table::Align::right},
                 {"P99", Table::Align::right},
                 {"LONGEST", Table::Align::right}});
  for (const localcache::Timing& timing : view.timings) {
    timings.add({std::string(name(timing.operation)), format_count(timing.count),
                 milliseconds(timing.total / static_cast<std::int64_t>(timing.count)),
                 milliseconds(timing.p50), milliseconds(timing.p95), milliseconds(timing.p99),
                 milliseconds(timing.longest)});
  }
  if (!timings.empty()) out += "\n" + timings.text();
  return out;
}

Result<localcache::Statistics::Opened> open_statistics(const Session& session) {
  const auto& location = session.location();
  if (auto made = localcache::make_folders(location); !made) return std::unexpected(made.error());
  return localcache::Statistics::open(location.statistics(), location.for_group ? 0660 : 0600);
}

Result<> reset(const Session& session) {
  if (::access(session.location().statistics().c_str(), F_OK) == 0) {
    const auto opened = open_statistics(session);
    if (!opened) return std::unexpected(opened.error());
    opened->statistics->reset();
  }
  session.messages().say("what was measured is forgotten");
  return {};
}

// OPERATION=MS. The names are those that the statistics show; batch_write is what some scripts call
// a batch.
Result<> record(const Session& session, std::string_view text) {
  const std::size_t equals = text.rfind('=');
  const auto took = parse_count(equals == std::string_view::npos ? "" : text.substr(equals + 1));
  constexpr std::uint64_t kDay = 86'400'000;
  if (!took || *took > kDay) {
    return fail(ErrorCode::invalid_argument,
                "--record takes an operation and whole milliseconds, a day at most: "
                "write_cache=15.");
  }
  const std::string_view wanted =
      text.substr(0, equals) == "batch_write" ? "batch_cache" : text.substr(0, equals);
  std::string names;
  for (std::size_t i = 0; i < localcache::kTimedCount; ++i) {
    const auto operation = static_cast<localcache::Timed>(i);
    if (name(operation) != wanted) {
      names += fmt::format("{}{}", names.empty() ? "" : ", ", name(operation));
      continue;
    }
    if (!session.timing()) return {};
    const auto opened = open_statistics(session);
    if (!opened) return std::unexpected(opened.error());
    opened->statistics->record(operation, std::chrono::milliseconds(*took));
    return {};
  }
  return fail(ErrorCode::invalid_argument, "--record knows no operation \"{}\": name one of {}.",
              printable(wanted), names);
}

Result<> show(const Session& session) {
  const Invocation& invocation = session.invocation();
  auto view = localcache::Statistics::read(session.location().statistics());
  // A namespace that nobody has used yet: everything is 0.
  if (!view && view.error().code == ErrorCode::not_found) view = StatisticsView{};
  if (!view) return std::unexpected(view.error());
  std::string text;
  if (session.json()) {
    text = localcache::statistics_json(*view) + "\n";
  } else if (invocation.on("csv")) {
    text = localcache::statistics_csv(*view);
  } else if (invocation.on("prometheus")) {
    text = localcache::statistics_prometheus(*view, session.location().name);
  } else {
    text = table_text(session, *view);
  }
  return cache_cli::write_output(text);
}

}  // namespace

int run_cache_stats(Context&, Session& session) {
  const Invocation& invocation = session.invocation();
  if (session.json() + invocation.on("csv") + invocation.on("prometheus") + invocation.on("reset") >
      1) {
    return session.report(
        {ErrorCode::invalid_argument, Retry::never, std::nullopt,
         "--json, --csv, --prometheus and --reset exclude each other. Name one."});
  }
  if (const auto operation = invocation.value("record")) {
    const auto recorded = record(session, *operation);
    return recorded ? 0 : session.report(recorded.error());
  }
  const auto done = invocation.on("reset") ? reset(session) : show(session);
  return done ? 0 : session.report(done.error());
}

}  // namespace sluice::cli
