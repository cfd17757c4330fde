// ConnectionTable: the connections of one loop.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <list>
#include <string>
#include <string_view>

#include "io/task.h"

namespace sluice::http {

// Watches the connections of a loop with a single coarse timer (one for each read would cost more
// than the read), counts them and ends them. Belongs to the loop.
class ConnectionTable {
 public:
  explicit ConnectionTable(io::Executor executor) : changed_(executor) {}
  ConnectionTable(const ConnectionTable&) = delete;
  ConnectionTable& operator=(const ConnectionTable&) = delete;

  // What the table knows of a connection.
  struct Place {
    io::Clock::time_point deadline = io::Clock::time_point::max();
    bool idle = false;             // between two requests: may be ended without a loss
    bool expired = false;          // what it waits for was cancelled; ends with the next deadline
    std::function<void()> cancel;  // what it waits for
    std::function<void()> close;
  };

  // A place in the table for as long as it exists.
  class Entry {
   public:
    Entry(ConnectionTable& table, Place place)
        : table_(table), at_(table.places_.insert(table.places_.end(), std::move(place))) {}
    ~Entry() {
      table_.places_.erase(at_);
      table_.changed_.notify_all();
    }
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;
    Place* operator->() { return &*at_; }

   private:
    ConnectionTable& table_;
    std::list<Place>::iterator at_;
  };

  // Cancels what has passed its deadline, at most kTick late, and again with each tick for as long
  // as it has no other one. Ends when the table has stopped and is empty.
  io::Task<> watch();
  static constexpr std::chrono::milliseconds kTick{250};

  // The time of the last tick: near enough for deadlines of seconds, and free.
  [[nodiscard]] io::Clock::time_point now() const { return now_; }
  // The same for the Date field (RFC 9110, section 6.6.1).
  [[nodiscard]] std::string_view date() const { return date_; }

  // No further request is read: idle connections end at once, the others with their next answer.
  void stop();
  [[nodiscard]] bool stopping() const { return stopping_; }
  // Ends all of them now, answered or not.
  void abort();
  // Ends the one that has been idle for longest, to make room. False: none is idle.
  bool drop_idle();
  [[nodiscard]] std::size_t size() const { return places_.size(); }
  // Returns when a connection has ended since, or at `until`.
  io::Task<> wait_for_change(io::Clock::time_point until) { return changed_.wait_until(until); }

 private:
  void look_at_clock();

  std::list<Place> places_;
  io::Clock::time_point now_ = io::Clock::now();
  std::string date_;
  std::time_t second_ = 0;
  bool stopping_ = false;
  io::Event changed_;
};

}  // namespace sluice::http
