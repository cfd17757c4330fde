#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <latch>
#include <optional>
#include <stdexcept>
#include <thread>
#include <vector>

#include "io/slots.h"
#include "io/stop.h"
#include "io/task.h"
#include "io/task_group.h"
#include "io/worker.h"

namespace sluice::io {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

Task<int> number(int value) {
  co_return value;
}
Task<int> throws() {
  co_await sleep_for(milliseconds(1));
  throw std::runtime_error("broken");
}

TEST(Loop, GivesTheResultOfATaskAndCanRunAgain) {
  Loop loop;
  EXPECT_EQ(loop.run(number(1)), 1);
  EXPECT_EQ(loop.run(number(2)), 2);
}

TEST(Loop, ThrowsWhatTheTaskThrew) {
  Loop loop;
  EXPECT_THROW(loop.run(throws()), std::runtime_error);
}

TEST(Started, RunsBesideItsStarter) {
  Loop loop;
  std::vector<int> order;
  const auto slow = [&]() -> Task<int> {
    order.push_back(1);
    co_await sleep_for(milliseconds(5));
    order.push_back(3);
    co_return 7;
  };
  const auto starter = [&]() -> Task<int> {
    auto started = start(loop.executor(), slow());
    co_await sleep_for(milliseconds(1));
    order.push_back(2);
    EXPECT_FALSE(started.ready());
    co_return co_await started.get();
  };
  EXPECT_EQ(loop.run(starter()), 7);
  EXPECT_EQ(order, (std::vector{1, 2, 3}));
}

TEST(Event, WakesAllWaitersAndBoundsAWait) {
  Loop loop;
  Event event(loop.executor());
  int woken = 0;
  const auto waiter = [&]() -> Task<int> {
    co_await event.wait();
    co_return ++woken;
  };
  const auto body = [&]() -> Task<int> {
    auto first = start(loop.executor(), waiter());
    auto second = start(loop.executor(), waiter());
    co_await event.wait_until(Clock::now() + milliseconds(2));
    EXPECT_EQ(woken, 0);
    event.notify_all();
    co_await first.get();
    co_await second.get();
    co_return woken;
  };
  EXPECT_EQ(loop.run(body()), 2);
}

TEST(Stop, EndsASleepAtOnceAndKeepsItsFirstReason) {
  Loop loop;
  Stop stop(loop.executor());
  int called = 0;
  const Stop::Listener listener(stop, [&] { ++called; });
  const auto sleeper = [&]() -> Task<int> {
    co_return co_await stop.sleep_until(Clock::now() + hours(1)) ? 1 : 0;
  };
  const auto body = [&]() -> Task<int> {
    auto asleep = start(loop.executor(), sleeper());
    co_await sleep_for(milliseconds(1));
    stop.request({ErrorCode::interrupted, Retry::never, std::nullopt, "first"});
    stop.request({ErrorCode::deadline, Retry::never, std::nullopt, "second"});
    co_return co_await asleep.get();
  };
  EXPECT_EQ(loop.run(body()), 0);
  EXPECT_EQ(stop.reason().message, "first");
  EXPECT_EQ(called, 1);
}

TEST(Stop, IsAbandonedAfterItWasRequested) {
  Loop loop;
  Stop stop(loop.executor());
  std::string calls;
  const Stop::Listener requested(stop, [&] { calls += 'r'; });
  const Stop::Listener abandoned(stop, [&] { calls += 'a'; }, Stop::Phase::abandoned);
  auto gone = std::make_unique<Stop::Listener>(stop, [&] { calls += 'x'; }, Stop::Phase::abandoned);
  stop.request({ErrorCode::deadline, Retry::fatal, std::nullopt, "too late"});
  EXPECT_EQ(calls, "r");
  EXPECT_FALSE(stop.abandoned());
  gone.reset();
  stop.abandon();
  stop.abandon();
  EXPECT_TRUE(stop.abandoned());
  EXPECT_EQ(calls, "ra");
  const Error error = stop.given_up("the server");
  EXPECT_EQ(error.code, ErrorCode::deadline);
  EXPECT_EQ(error.retry, Retry::never);
  EXPECT_EQ(error.message, "too late; the server had not answered by then.");
  EXPECT_EQ(stop.reason().message, "too late");
}

TEST(TaskGroup, RunsNoMoreThanItsLimitAtOnce) {
  Loop loop;
  int running = 0;
  int most = 0;
  int ended = 0;
  const auto work = [&]() -> Task<> {
    most = std::max(most, ++running);
    co_await sleep_for(milliseconds(1));
    --running;
    ++ended;
  };
  const auto body = [&]() -> Task<int> {
    TaskGroup group(loop.executor(), 3);
    for (int i = 0; i < 10; ++i) co_await group.spawn(work());
    co_await group.join();
    co_return ended;
  };
  EXPECT_EQ(loop.run(body()), 10);
  EXPECT_EQ(most, 3);
}

TEST(TaskGroup, JoinThrowsWhatATaskThrew) {
  Loop loop;
  const auto work = []() -> Task<> {
    co_await sleep_for(milliseconds(1));
    throw std::runtime_error("broken");
  };
  const auto body = [&]() -> Task<int> {
    TaskGroup group(loop.executor(), 2);
    co_await group.spawn(work());
    co_await group.join();
    co_return 0;
  };
  EXPECT_THROW(loop.run(body()), std::runtime_error);
}

TEST(Slots, AreTakenInTheOrderOfComing) {
  Loop loop;
  Slots slots(2);
  std::vector<int> order;
  int holding = 0;
  const auto work = [&](int number) -> Task<int> {
    const Slots::Slot slot = co_await slots.take();
    order.push_back(number);
    EXPECT_LE(++holding, 2);
    co_await yield();
    --holding;
    co_return number;
  };
  const Executor executor = loop.executor();
  const auto body = [&]() -> Task<int> {
    std::vector<Started<int>> started;
    for (int i = 0; i < 6; ++i) started.push_back(start(executor, work(i)));
    int sum = 0;
    for (auto& each : started) sum += co_await each.get();
    co_return sum;
  };
  EXPECT_EQ(loop.run(body()), 15);
  EXPECT_EQ(order, (std::vector{0, 1, 2, 3, 4, 5}));
  // All were given back.
  EXPECT_EQ(loop.run(body()), 15);
}

TEST(Worker, RunsOnAThreadOfItsOwnInOrder) {
  Loop loop;
  Worker worker;
  std::vector<int> order;
  const auto here = std::this_thread::get_id();
  const auto body = [&]() -> Task<int> {
    auto first = start(loop.executor(), worker.run([&] {
      std::this_thread::sleep_for(milliseconds(3));
      EXPECT_NE(std::this_thread::get_id(), here);
      order.push_back(1);
      return 1;
    }));
    co_await sleep_for(milliseconds(1));
    co_await worker.run([&] {
      order.push_back(2);
      return 2;
    });
    co_return co_await first.get();
  };
  EXPECT_EQ(loop.run(body()), 1);
  EXPECT_EQ(order, (std::vector{1, 2}));
}

TEST(Worker, ThrowsInTheCaller) {
  Loop loop;
  Worker worker;
  const auto body = [&]() -> Task<int> {
    co_return co_await worker.run([]() -> int { throw std::runtime_error("broken"); });
  };
  EXPECT_THROW(loop.run(body()), std::runtime_error);
}

// The work refers to the caller's frame, so the caller has to wait for it.
TEST(Worker, ACancelledCallerWaitsForItsWork) {
  Loop loop;
  Worker worker;
  std::latch begun(1);
  std::latch go_on(1);
  const auto body = [&]() -> Task<int> {
    int mine = 1;
    const int theirs = co_await worker.run([&] {
      begun.count_down();
      go_on.wait();
      return ++mine;
    });
    co_return mine + theirs;
  };
  std::optional<int> result;
  boost::asio::cancellation_signal cancel;
  boost::asio::co_spawn(
      loop.context(), body(),
      boost::asio::bind_cancellation_slot(cancel.slot(), [&](std::exception_ptr thrown, int value) {
        if (!thrown) result = value;
      }));
  loop.context().poll();
  begun.wait();
  cancel.emit(boost::asio::cancellation_type::terminal);
  loop.context().poll();
  EXPECT_FALSE(loop.context().stopped()) << "the caller has ended before its work";
  go_on.count_down();
  loop.context().run();
  EXPECT_EQ(result, 4);
}

}  // namespace
}  // namespace sluice::io
