// Stop: how a run is asked to end early.
#pragma once

#include <functional>
#include <list>
#include <optional>

#include "base/error.h"
#include "io/task.h"

namespace sluice::io {

// A run's request to stop, shared by everything that takes part in it. Once it is requested,
// nothing new is begun: sources stop producing, the gate lets nobody in, pauses end at once. What
// is on the wire is left to end by itself, since only then is it known what it did.
//
// The first reason stays. Belongs to one loop.
class Stop {
 public:
  explicit Stop(Executor executor) : changed_(executor) {}

  // Calls a function when a stop is requested, as long as it exists. Made by `on_request`; the Stop
  // outlives it.
  class Listener {
   public:
    Listener(Stop& stop, std::function<void()> call)
        : stop_(stop), place_(stop.listeners_.insert(stop.listeners_.end(), std::move(call))) {}
    ~Listener() { stop_.listeners_.erase(place_); }
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;

   private:
    Stop& stop_;
    std::list<std::function<void()>>::iterator place_;
  };

  void request(Error reason) {
    if (reason_) return;
    reason_ = std::move(reason);
    changed_.notify_all();
    for (const auto& call : listeners_) call();
  }
  [[nodiscard]] bool requested() const { return reason_.has_value(); }
  // Requires requested().
  [[nodiscard]] const Error& reason() const { return *reason_; }

  // Sleeps until `when`, or less when a stop is requested. True if it slept its fill.
  Task<bool> sleep_until(Clock::time_point when);

 private:
  Event changed_;
  std::optional<Error> reason_;
  std::list<std::function<void()>> listeners_;
};

}  // namespace sluice::io
