// attempt: the only retry in Sluice.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <utility>

#include "base/error.h"
#include "io/stop.h"

namespace sluice::flow {

// Exponential backoff with full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter"):
// before the n-th repetition a pause drawn evenly from [0, min(longest, base * 2^(n-1))).
struct RetryPolicy {
  int attempts = 8;  // in all, the first included
  std::chrono::milliseconds base{250};
  std::chrono::milliseconds longest{30'000};
};

// The pause after `attempts_made` failed attempts, or nothing when `error` is final. `random` is in
// [0, 1). A Retry-After is the least that is waited; the jitter comes on top, so that the crowd
// that it held back does not arrive at once. Pure.
[[nodiscard]] std::optional<std::chrono::milliseconds> pause_before_retry(const RetryPolicy& policy,
                                                                          int attempts_made,
                                                                          const Error& error,
                                                                          double random);

// What the attempts of one run share: the policy, the source of jitter, the count of repetitions,
// and what is told to somebody who waits for them.
struct Retrier {
  Retrier(io::Stop& run_stop, RetryPolicy retry_policy, std::uint64_t seed)
      : stop(run_stop), policy(retry_policy), random(seed) {}

  io::Stop& stop;
  RetryPolicy policy;
  std::mt19937_64 random;
  std::uint64_t retries = 0;

  // Why the last attempt failed, when several in a row have failed and none between them was
  // answered: nobody there, or nobody who is well. Else empty: a failure now and then is no news.
  [[nodiscard]] std::string trouble() const {
    return failures_in_a_row_ >= kTrouble ? last_failure_ : std::string();
  }
  // How an attempt has ended; no error: well. For `attempt`.
  void ended(const Error* error);

 private:
  static constexpr int kTrouble = 3;
  int failures_in_a_row_ = 0;
  std::string last_failure_;
};

// Runs `operation` (a function that returns Task<Result<T>>) until it succeeds, its error is final,
// the attempts are used up, or a stop is requested. Returns the last result; after a stop, the
// stop's reason. An error that outlived all attempts comes back as final (Retry::never), so that
// attempts around attempts do not multiply.
template <class Operation>
auto attempt(Retrier& retrier, Operation operation) -> decltype(operation()) {
  for (int made = 1;; ++made) {
    auto result = co_await operation();
    retrier.ended(result ? nullptr : &result.error());
    if (result) co_return result;
    const double random = std::uniform_real_distribution<double>(0.0, 1.0)(retrier.random);
    const auto pause = pause_before_retry(retrier.policy, made, result.error(), random);
    if (!pause) {
      if (result.error().retry == Retry::again) {
        result.error().retry = Retry::never;
        result.error().message += fmt::format(" (after {} attempts)", made);
      }
      co_return result;
    }
    if (!co_await retrier.stop.sleep_until(io::Clock::now() + *pause)) {
      Error reason = retrier.stop.reason();
      reason.message += fmt::format("; before that: {}", result.error().message);
      co_return std::unexpected(std::move(reason));
    }
    ++retrier.retries;
  }
}

}  // namespace sluice::flow
