// Task, Loop and the few things that coroutines of one loop share: sleeping, starting work in the
// background, waiting for an event.
//
// Everything here belongs to one loop and is used from its thread only, unless a comment says
// otherwise. Nothing in it locks.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <exception>
#include <list>
#include <memory>
#include <optional>
#include <utility>

namespace sluice::io {

// The typed executor avoids the type erasure of any_io_executor on every resumption.
using Executor = boost::asio::io_context::executor_type;
using Clock = std::chrono::steady_clock;

// A coroutine that runs on a Loop. It starts when it is awaited or handed to Loop::run / start.
template <class T = void>
using Task = boost::asio::awaitable<T, Executor>;

inline constexpr boost::asio::use_awaitable_t<Executor> use_task{};

// A timer of the loop's executor.
using Timer = boost::asio::basic_waitable_timer<Clock, boost::asio::wait_traits<Clock>, Executor>;

// A single-threaded event loop. One Loop runs one program's job; a server has one for each core.
class Loop {
 public:
  // Other threads may post to it; sockets are its own thread's, and need no locks.
  Loop() : context_(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO) {}
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  [[nodiscard]] boost::asio::io_context& context() { return context_; }
  [[nodiscard]] Executor executor() { return context_.get_executor(); }

  // Runs `task` and whatever it starts until `task` has ended, and returns its result. An exception
  // that leaves the task (a broken invariant, no memory) is thrown again here.
  template <class T>
  T run(Task<T> task) {
    std::exception_ptr thrown;
    context_.restart();
    if constexpr (std::is_void_v<T>) {
      boost::asio::co_spawn(context_, std::move(task), [&](std::exception_ptr error) {
        thrown = std::move(error);
        context_.stop();
      });
      context_.run();
      if (thrown) std::rethrow_exception(thrown);
    } else {
      std::optional<T> result;
      boost::asio::co_spawn(context_, std::move(task), [&](std::exception_ptr error, T value) {
        thrown = std::move(error);
        if (!thrown) result.emplace(std::move(value));
        context_.stop();
      });
      context_.run();
      if (thrown) std::rethrow_exception(thrown);
      return std::move(*result);
    }
  }

 private:
  boost::asio::io_context context_;
};

// Suspends the calling coroutine until `when`.
Task<> sleep_until(Clock::time_point when);
inline Task<> sleep_for(Clock::duration duration) {
  return sleep_until(Clock::now() + duration);
}

// Lets what is ready to run go first: work that was started just now begins. Otherwise it begins
// when the calling coroutine next waits.
Task<> yield();

// Lets coroutines wait until another one says that something has changed. A waiter checks its
// condition again after each wake-up, since others may have been faster.
class Event {
 public:
  explicit Event(Executor executor) : executor_(executor) {}
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void notify_all() {
    for (Timer* waiter : waiters_) waiter->cancel();
  }
  Task<> wait() { return wait_until(Clock::time_point::max()); }
  // Returns at `when` at the latest.
  Task<> wait_until(Clock::time_point when);

 private:
  Executor executor_;
  // Each waiter sleeps on a timer in its own frame, which it takes out of the list when it wakes.
  std::list<Timer*> waiters_;
};

// Work that runs beside the coroutine that started it. The result is fetched once, by `get`.
// Destroying a Started does not stop the work, so what it refers to must outlive it: a coroutine
// that starts work on its own data always gets the result before it returns.
template <class T>
class Started {
 public:
  Started(Executor executor, Task<T> task) : state_(std::make_shared<State>(executor)) {
    boost::asio::co_spawn(executor, std::move(task),
                          [state = state_](std::exception_ptr error, T value) {
                            state->thrown = std::move(error);
                            if (!state->thrown) state->value.emplace(std::move(value));
                            state->done = true;
                            state->changed.notify_all();
                          });
  }

  [[nodiscard]] bool ready() const { return state_->done; }

  Task<T> get() {
    std::shared_ptr<State> state = state_;
    while (!state->done) co_await state->changed.wait();
    if (state->thrown) std::rethrow_exception(state->thrown);
    co_return std::move(*state->value);
  }

 private:
  struct State {
    explicit State(Executor executor) : changed(executor) {}
    Event changed;
    bool done = false;
    std::exception_ptr thrown;
    std::optional<T> value;
  };
  std::shared_ptr<State> state_;
};

template <class T>
Started<T> start(Executor executor, Task<T> task) {
  return Started<T>(executor, std::move(task));
}

}  // namespace sluice::io
