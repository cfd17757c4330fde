#include "localcache/statistics_text.h"

#include <fmt/format.h>

namespace sluice::localcache {

namespace {

// Milliseconds with up to three decimals, and no zeros at their end: "15", "0.042".
std::string milliseconds(std::chrono::nanoseconds time) {
  const std::int64_t micros = (time.count() + 500) / 1000;
  std::string text = fmt::format("{}", micros / 1000);
  if (micros % 1000 != 0) {
    text += fmt::format(".{:03}", micros % 1000);
    text.resize(text.find_last_not_of('0') + 1);
  }
  return text;
}

std::string seconds(std::chrono::nanoseconds time) {
  return fmt::format("{}.{:09}", time.count() / 1'000'000'000, time.count() % 1'000'000'000);
}

// A label's value: only these three have to be escaped there.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    out += c == '\n' ? std::string("\\n") : std::string(1, c);
  }
  return out;
}

}  // namespace

std::string statistics_json(const StatisticsView& view) {
  std::string text = R"({"counters":{)";
  for (std::size_t i = 0; i < kCounterCount; ++i) {
    text += fmt::format(R"({}"{}":{})", i == 0 ? "" : ",", name(static_cast<Counter>(i)),
                        view.counters[i]);
  }
  text += '}';
  for (const Timing& timing : view.timings) {
    text +=
        fmt::format(R"(,"{}":{{"count":{},"total":{},"avg":{},"p50":{},"p95":{},"p99":{}}})",
                    name(timing.operation), timing.count, milliseconds(timing.total),
                    milliseconds(timing.total / static_cast<std::int64_t>(timing.count)),
                    milliseconds(timing.p50), milliseconds(timing.p95), milliseconds(timing.p99));
  }
  return text + "}";
}

std::string statistics_csv(const StatisticsView& view) {
  std::string text = "timestamp,operation,duration_ms\n";
  for (const Recorded& record : view.recorded) {
    const std::int64_t when =
        std::chrono::floor<std::chrono::milliseconds>(record.when.time_since_epoch()).count();
    text += fmt::format("{}.{:03},{},{}\n", when / 1000, when % 1000, name(record.operation),
                        milliseconds(record.took));
  }
  return text;
}

std::string statistics_prometheus(const StatisticsView& view, std::string_view cache_namespace) {
  const std::string label = fmt::format("namespace=\"{}\"", escaped(cache_namespace));
  std::string text =
      "# HELP sluice_cache_events_total What happened to entries of the local cache.\n"
      "# TYPE sluice_cache_events_total counter\n";
  for (std::size_t i = 0; i < kCounterCount; ++i) {
    text += fmt::format("sluice_cache_events_total{{{},event=\"{}\"}} {}\n", label,
                        name(static_cast<Counter>(i)), view.counters[i]);
  }
  text +=
      "# HELP sluice_cache_operation_seconds How long operations of the local cache took.\n"
      "# TYPE sluice_cache_operation_seconds summary\n";
  for (const Timing& timing : view.timings) {
    const std::string labels = fmt::format("{},operation=\"{}\"", label, name(timing.operation));
    const auto quantile = [&](std::string_view which, std::chrono::nanoseconds value) {
      text += fmt::format("sluice_cache_operation_seconds{{{},quantile=\"{}\"}} {}\n", labels,
                          which, seconds(value));
    };
    quantile("0.5", timing.p50);
    quantile("0.95", timing.p95);
    quantile("0.99", timing.p99);
    text +=
        fmt::format("sluice_cache_operation_seconds_sum{{{}}} {}\n", labels, seconds(timing.total));
    text += fmt::format("sluice_cache_operation_seconds_count{{{}}} {}\n", labels, timing.count);
  }
  return text;
}

}  // namespace sluice::localcache
