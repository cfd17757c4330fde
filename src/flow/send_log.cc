#include "flow/send_log.h"

#include <algorithm>
#include <atomic>

namespace sluice::flow {

namespace {

using Word = std::atomic_ref<std::uint64_t>;
static_assert(Word::is_always_lock_free, "processes share these words");

constexpr unsigned time_bits = 44;
constexpr std::uint64_t time_mask = (std::uint64_t{1} << time_bits) - 1;
constexpr std::uint64_t lap_mask = (std::uint64_t{1} << 20) - 1;
using Unit = std::chrono::duration<std::int64_t, std::ratio<1, 100'000>>;

std::uint64_t lap_of(std::uint64_t number) {
  return (number / SendLog::entries + 1) & lap_mask;
}

std::uint64_t entry_of(std::uint64_t number, std::uint64_t time) {
  return lap_of(number) << time_bits | time;
}

// Rounded up, so that a send never looks older than it is.
std::uint64_t time_of(TimePoint when) {
  return static_cast<std::uint64_t>(std::chrono::ceil<Unit>(when.time_since_epoch()).count()) &
         time_mask;
}

TimePoint point_of(std::uint64_t entry) {
  return TimePoint(
      std::chrono::duration_cast<Duration>(Unit(static_cast<std::int64_t>(entry & time_mask))));
}

// Below 0: the entry is of an earlier lap, so that of `number` is not written yet; above: of a
// later one. The difference of laps, as a signed number of 20 bits.
int order(std::uint64_t entry, std::uint64_t number) {
  const std::uint64_t ahead = ((entry >> time_bits) - lap_of(number)) & lap_mask;
  return ahead > lap_mask / 2 ? -1 : static_cast<int>(ahead != 0);
}

}  // namespace

std::optional<TimePoint> SendLog::opening(const Pace& pace, std::uint64_t number, TimePoint now,
                                          Missing& missing) {
  if (number < pace.requests) return now;
  const std::uint64_t watched = number - pace.requests;
  const Word place(memory_->sends[watched % entries]);
  std::uint64_t entry = place.load();
  const int is = order(entry, watched);
  if (is == 0) return (entry & time_mask) == 0 ? now : point_of(entry) + pace.span;
  if (is < 0) {
    if (missing.number != watched) missing = {.number = watched, .since = now};
    if (now < missing.since + patience) return missing.since + patience;
  } else if (Word(memory_->head).load() != number) {
    return std::nullopt;
  }
  // The owner is gone; or the entry is of a lap that has not begun, and the memory damaged.
  place.compare_exchange_strong(entry, entry_of(watched, 0));
  return std::nullopt;
}

SendLog::Place SendLog::reserve(std::span<const Pace> paces, TimePoint now) {
  const Word head(memory_->head);
  for (;;) {
    std::uint64_t number = head.load();
    TimePoint open_at = now;
    bool again = false;
    for (std::size_t i = 0; i < paces.size(); ++i) {
      const auto opens = opening(paces[i], number, now, missing_[i]);
      if (!opens) again = true;
      if (opens) open_at = std::max(open_at, *opens);
    }
    if (again) continue;
    if (open_at > now) return {.open_at = open_at};
    if (head.compare_exchange_weak(number, number + 1)) return {.number = number};
  }
}

bool SendLog::commit(std::uint64_t number, TimePoint now, Duration slack) {
  const Word place(memory_->sends[number % entries]);
  std::uint64_t entry = place.load();
  while (order(entry, number) < 0) {
    if (place.compare_exchange_weak(entry, entry_of(number, time_of(now + slack)))) return true;
  }
  return false;
}

void SendLog::answered(std::uint64_t number, TimePoint now) {
  const Word place(memory_->sends[number % entries]);
  std::uint64_t entry = place.load();
  while (order(entry, number) == 0 && (entry & time_mask) > time_of(now)) {
    if (place.compare_exchange_weak(entry, entry_of(number, time_of(now)))) return;
  }
}

bool SendLog::is_plausible(Memory& memory) {
  const std::uint64_t head = Word(memory.head).load();
  const std::uint64_t first = head - std::min<std::uint64_t>(head, entries);
  std::size_t gaps = 0;
  std::uint64_t latest = 0;
  for (std::uint64_t number = first; number < head; ++number) {
    const std::uint64_t entry = Word(memory.sends[number % entries]).load();
    if (order(entry, number) < 0) ++gaps;
    latest = std::max(latest, entry & time_mask);
  }
  // The clock is read after the entries: others may be writing.
  return point_of(latest) <=
             std::chrono::steady_clock::now() + Pace::most_slack + std::chrono::seconds(1) &&
         gaps <= entries / 2;
}

}  // namespace sluice::flow
