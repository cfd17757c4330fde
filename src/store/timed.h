// Timed: a store that counts what goes through it.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>

#include "store/decorator.h"
#include "telemetry/log.h"

namespace sluice::store {

// What the calls of one kind have come to so far.
struct CallStats {
  std::uint64_t calls = 0;
  std::uint64_t failed_calls = 0;
  std::uint64_t keys = 0;         // listed, asked for, written or erased by calls that did not fail
  std::uint64_t failed_keys = 0;  // of those, the ones whose answer was a failure
  std::uint64_t bytes = 0;        // of keys, values and metadata
  std::chrono::steady_clock::duration time{};  // the sum over calls, which may overlap
};

struct StoreStats {
  CallStats list;
  CallStats get;  // get_exact and get_metadata included
  CallStats put;
  CallStats erase;
};

// Decorates a store: counts calls, keys, bytes and time, and writes each call into the log at level
// debug ("list: 1000 keys, 31 ms"). Never logs a key or a value. `log` and `stats` outlive it;
// `stats` may be shared by several stores of one loop.
class Timed : public StoreDecorator {
 public:
  Timed(std::unique_ptr<Store> below, Log& log, StoreStats& stats)
      : StoreDecorator(std::move(below)), log_(log), stats_(stats) {}

  io::Task<Result<Page>> list(ListRequest request) override;
  io::Task<Result<GetAnswer>> get(std::span<const std::string_view> keys) override;
  io::Task<Result<GetAnswer>> get_exact(std::span<const std::string_view> keys) override;
  io::Task<Result<GetAnswer>> get_metadata(std::span<const std::string_view> keys) override;
  io::Task<Result<WriteAnswer>> put(std::span<const EntryView> entries) override;
  io::Task<Result<WriteAnswer>> erase(std::span<const std::string_view> keys) override;

 private:
  // What one call has done, for the figures and the log.
  struct Call {
    std::string_view name;
    std::chrono::steady_clock::time_point begun{};
    std::size_t keys = 0;
    std::size_t failed = 0;
    std::size_t bytes = 0;
  };
  // What `asking`, not begun yet, answers.
  io::Task<Result<GetAnswer>> timed_get(Call call, io::Task<Result<GetAnswer>> asking);
  void record(const Call& call, CallStats& stats, const Error* error);

  Log& log_;
  StoreStats& stats_;
};

}  // namespace sluice::store
