#include "localcache/look_up.h"

#include <string>
#include <utility>

namespace sluice::localcache {

namespace {

// How often a read looks again when the file of a value is gone: it was replaced meanwhile.
constexpr int kMostLooks = 8;

bool is_wanted(const Row& row, const GetOptions& options, std::int64_t now) {
  if (!options.stale_ok && row.stale(now)) return false;
  if (!options.max_age) return true;
  // From the future: its age cannot be known.
  return row.created <= now && now - row.created <= options.max_age->count();
}

}  // namespace

Result<std::optional<Entry>> look_up(OpenCache& open, std::string_view key,
                                     const GetOptions& options) {
  if (!open.table) return std::nullopt;
  const std::int64_t now = open.now();
  std::string file;
  for (int look = 0; look < kMostLooks; ++look) {
    std::optional<Value> value;
    bool wanted = false;
    const auto row =
        open.table->find(key, [&](const Row& found, std::string_view stored) -> Result<> {
          wanted = is_wanted(found, options, now);
          if (!wanted) return {};
          auto read = read_value(open, found, stored);
          if (!read) return std::unexpected(read.error());
          value = std::move(*read);
          return {};
        });
    if (!row) return std::unexpected(open.explain(row.error()));
    if (!*row || !wanted) {
      if (options.counts) open.count(Counter::misses);
      return std::nullopt;
    }
    if (value) {
      Use use = (*row)->stale(now) ? Use::stale_hit : Use::hit;
      if (options.judge) {
        const auto judged = options.judge(*value);
        if (!judged) return std::unexpected(open.explain(judged.error()));
        use = *judged;
      }
      if (use == Use::miss) {
        if (options.counts) open.count(Counter::misses);
        return std::nullopt;
      }
      if (options.counts && open.statistics != nullptr) {
        open.statistics->add(use == Use::stale_hit ? Counter::stale_hits : Counter::hits);
        open.statistics->hit(static_cast<std::uint64_t>((*row)->id), hit_check(key),
                             from_milliseconds(now));
      }
      return Entry{(*row)->info(now), std::move(*value)};
    }
    // Twice the same name: it is not that somebody has just replaced it.
    if ((*row)->file == std::exchange(file, (*row)->file)) break;
  }
  return std::unexpected(
      open.explain(Error{ErrorCode::corrupt, Retry::never, std::nullopt,
                         fmt::format("the value of {} is gone: there is no file {}.", quoted(key),
                                     open.value_path(file))}));
}

}  // namespace sluice::localcache
