#include "bulk/batch_call.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "flow/attempt.h"

namespace sluice::bulk {

namespace {

// One bad key among n costs log2(n) failures in a row (14 for 10,000) on the way down to it. More
// in a row than that, with no success between them, means that the fault is not in the keys.
constexpr int kMostFailuresInARow = 24;
// Each of these has been through all attempts of flow::attempt, and nobody answered: the service is
// gone. (One that answers 500 may do so because of one key, which the halving finds.)
constexpr int kMostOutagesInARow = 3;

bool is_outage(ErrorCode code) {
  return code == ErrorCode::network || code == ErrorCode::throttled;
}

bool ends_the_run(const Error& error) {
  return error.retry == Retry::fatal || error.code == ErrorCode::interrupted ||
         error.code == ErrorCode::deadline;
}

}  // namespace

io::Task<BatchOutcome> run_batch(Job& job, flow::BatchSize& size, std::size_t entries,
                                 const BatchCall& call) {
  BatchOutcome outcome;
  outcome.endings.assign(entries, Ending::open);
  // The parts still to do, the next one last.
  std::vector<std::vector<std::size_t>> parts(1);
  parts.front().resize(entries);
  std::iota(parts.front().begin(), parts.front().end(), std::size_t{0});
  int failures_in_a_row = 0;
  int outages_in_a_row = 0;

  const auto fail_key = [&](std::size_t index, Error error) {
    outcome.endings[index] = Ending::failed;
    outcome.reasons.push_back({index, std::move(error)});
  };

  // Puts `indices` back as parts of at most `most` entries, in their order.
  const auto split = [&](const std::vector<std::size_t>& indices, std::size_t most) {
    for (std::size_t end = indices.size(); end > 0;) {
      const std::size_t begin = end - std::min(end, most);
      parts.emplace_back(indices.begin() + static_cast<std::ptrdiff_t>(begin),
                         indices.begin() + static_cast<std::ptrdiff_t>(end));
      end = begin;
    }
  };

  while (!parts.empty()) {
    // Keys that failed for now stay in `pending`; the rest of the part is done.
    std::vector<std::size_t> pending = std::move(parts.back());
    parts.pop_back();
    const std::size_t part_size = pending.size();
    if (part_size == 0) continue;
    if (part_size > size.limit()) {
      split(pending, size.limit());
      continue;
    }

    std::vector<store::KeyFailure> last_failures;
    bool timed_out_before = false;
    std::function<io::Task<Result<>>()> operation = [&]() -> io::Task<Result<>> {
      last_failures.clear();
      auto failed = co_await call(pending);
      if (!failed) {
        Error& error = failed.error();
        // By chance and not for its size: once more as it is. A single key cannot be made smaller.
        if (error.code == ErrorCode::timeout && error.retry == Retry::smaller &&
            (pending.size() == 1 ||
             (size.has_stood(pending.size()) && !std::exchange(timed_out_before, true)))) {
          error.retry = Retry::again;
        }
        co_return std::unexpected(std::move(error));
      }
      for (const std::size_t index : pending) outcome.endings[index] = Ending::done;
      pending.clear();
      std::optional<Error> passing;
      for (store::KeyFailure& failure : *failed) {
        if (failure.error.retry == Retry::again) {
          outcome.endings[failure.index] = Ending::open;
          pending.push_back(failure.index);
          if (!passing) passing = failure.error;
          last_failures.push_back(std::move(failure));
        } else {
          fail_key(failure.index, std::move(failure.error));
        }
      }
      if (passing) co_return std::unexpected(*passing);
      co_return Result<>();
    };
    const auto result = co_await flow::attempt(job.retrier, operation);

    if (result) {
      size.succeeded(part_size);
      failures_in_a_row = outages_in_a_row = 0;
      continue;
    }
    const Error& error = result.error();
    if (ends_the_run(error)) {
      outcome.ended = error;
      co_return outcome;
    }
    if (!last_failures.empty()) {
      // The calls worked; these keys kept failing through all attempts.
      for (store::KeyFailure& failure : last_failures)
        fail_key(failure.index, std::move(failure.error));
      failures_in_a_row = outages_in_a_row = 0;
      continue;
    }
    ++failures_in_a_row;
    outages_in_a_row = is_outage(error.code) ? outages_in_a_row + 1 : 0;
    if (failures_in_a_row > kMostFailuresInARow || outages_in_a_row >= kMostOutagesInARow) {
      outcome.ended = error;
      co_return outcome;
    }
    if (error.retry == Retry::smaller) size.refused(pending.size());
    if (pending.size() == 1) {
      fail_key(pending.front(), error);
      continue;
    }
    job.log.info("a batch of {} failed and is split: {}", pending.size(), error.message);
    split(pending, (pending.size() + 1) / 2);
  }
  co_return outcome;
}

}  // namespace sluice::bulk
