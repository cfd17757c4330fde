// Stop: how a run is asked to end early.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "io/task.h"

namespace sluice::io {

// A run's request to stop, shared by everything that takes part in it. Once it is requested,
// nothing new is begun: sources stop producing, the gate lets nobody in, pauses end at once. What
// is on the wire is left to end by itself, since only then is it known what it did. That has its
// time, too: once the stop is abandoned, whatever still waits for an answer gives up.
//
// The first reason stays. Belongs to one loop.
class Stop {
 public:
  enum class Phase : std::uint8_t { requested, abandoned };

  explicit Stop(Executor executor) : changed_(executor) {}

  // Calls a function when the stop enters a phase, as long as it exists. One that is made later is
  // not called: who waits looks at the Stop first. The function neither makes nor destroys
  // listeners. The Stop outlives it.
  class Listener {
   public:
    Listener(Stop& stop, std::function<void()> call, Phase phase = Phase::requested)
        : listeners_(phase == Phase::requested ? stop.on_request_ : stop.on_abandon_),
          place_(listeners_.insert(listeners_.end(), std::move(call))) {}
    ~Listener() { listeners_.erase(place_); }
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;

   private:
    std::list<std::function<void()>>& listeners_;
    std::list<std::function<void()>>::iterator place_;
  };

  void request(Error reason) {
    if (reason_) return;
    reason_ = std::move(reason);
    changed_.notify_all();
    for (const auto& call : on_request_) call();
  }
  [[nodiscard]] bool requested() const { return reason_.has_value(); }
  // Requires requested().
  [[nodiscard]] const Error& reason() const { return *reason_; }

  // No more waiting for what is on the wire, either: what it has done stays unknown, as after a
  // broken connection. Requires requested(). The second time does nothing.
  void abandon() {
    if (abandoned_) return;
    abandoned_ = true;
    for (const auto& call : on_abandon_) call();
  }
  [[nodiscard]] bool abandoned() const { return abandoned_; }
  // What a wait for `whom` that was given up ends with: the reason, so that it ends the run as
  // what the stop turns away at the gate does, and is never a failure of a key. Requires
  // abandoned().
  [[nodiscard]] Error given_up(std::string_view whom) const;

  // Sleeps until `when`, or less when a stop is requested. True if it slept its fill.
  Task<bool> sleep_until(Clock::time_point when);

 private:
  Event changed_;
  std::optional<Error> reason_;
  bool abandoned_ = false;
  std::list<std::function<void()>> on_request_;
  std::list<std::function<void()>> on_abandon_;
};

}  // namespace sluice::io
