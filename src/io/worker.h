// Worker: a thread for what would block the loop (SQLite, files, compression).
#pragma once

#include <boost/asio/async_result.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <exception>
#include <optional>
#include <utility>

#include "io/task.h"

namespace sluice::io {

// One thread that runs functions in the order they were handed in. The calling coroutine is
// suspended meanwhile and resumed on its own loop. The destructor waits for what was begun.
class Worker {
 public:
  Worker() : thread_(1) {}
  ~Worker() { thread_.join(); }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Runs `work()` on the thread and returns what it returned (never void). What it throws is thrown
  // in the caller. `work` may refer to the caller's frame, which lives until it is done: cancelling
  // the caller has no effect before.
  template <class Work, class T = std::invoke_result_t<Work>>
  Task<T> run(Work work) {
    const Executor executor = co_await boost::asio::this_coro::executor;
    std::optional<T> value;
    std::exception_ptr thrown;
    Event done(executor);
    bool ended = false;
    // Keeps the loop running although nothing on it is pending.
    auto guard = boost::asio::make_work_guard(executor);
    boost::asio::post(thread_, [&] {
      try {
        value.emplace(work());
      } catch (...) {
        thrown = std::current_exception();
      }
      boost::asio::post(executor, [&] {
        ended = true;
        done.notify_all();
      });
    });
    const bool throws = co_await boost::asio::this_coro::throw_if_cancelled();
    co_await boost::asio::this_coro::throw_if_cancelled(false);
    while (!ended) co_await done.wait();
    co_await boost::asio::this_coro::throw_if_cancelled(throws);
    if (thrown) std::rethrow_exception(thrown);
    co_return std::move(*value);
  }

 private:
  boost::asio::thread_pool thread_;
};

}  // namespace sluice::io
