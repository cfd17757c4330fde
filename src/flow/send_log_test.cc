#include "flow/send_log.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <thread>
#include <vector>

namespace sluice::flow {
namespace {

using namespace std::chrono_literals;

const TimePoint kStart{1000s};

struct SendLogTest : ::testing::Test {
  std::unique_ptr<SendLog::Memory> memory = std::make_unique<SendLog::Memory>();
  SendLog log{*memory};

  // Sends at the first moment from `now` on at which the pace allows it.
  TimePoint send(const Pace& pace, TimePoint now) {
    for (;;) {
      const auto place = log.reserve({&pace, 1}, now);
      if (place.number && log.commit(*place.number, now)) return now;
      if (!place.number) now = place.open_at;
    }
  }
};

// The number of sends in the fullest interval of this length.
std::size_t fullest(std::vector<TimePoint> sends, Duration length) {
  std::ranges::sort(sends);
  std::size_t most = 0;
  for (std::size_t first = 0, end = 0; first < sends.size(); ++first) {
    while (end < sends.size() && sends[end] - sends[first] < length) ++end;
    most = std::max(most, end - first);
  }
  return most;
}

TEST_F(SendLogTest, IsOpenUntilTheLimitIsUsedUp) {
  const Pace pace{10, 10s};
  for (int i = 0; i < 10; ++i) EXPECT_EQ(send(pace, kStart), kStart);
  const auto place = log.reserve({&pace, 1}, kStart + 5s);
  EXPECT_FALSE(place.number);
  EXPECT_EQ(place.open_at, kStart + 10s);
}

// Whichever way requests come; a pause now and then, which a token bucket would answer with a burst
// of twice the quota.
TEST_F(SendLogTest, NoIntervalHoldsMoreThanTheLimit) {
  const Pace pace{60, 10s};
  TimePoint now = kStart;
  for (const Duration gap : {Duration(0ms), Duration(1ms), Duration(70ms), Duration(900ms)}) {
    std::vector<TimePoint> sends;
    for (int i = 0; i < 1000; ++i) {
      now = send(pace, now);
      sends.push_back(now);
      now += i % 100 == 99 ? Duration(25s) : gap;
    }
    EXPECT_LE(fullest(sends, 10s), 60u);
  }
}

TEST_F(SendLogTest, KeepsEachOfSeveralPaces) {
  const std::vector<Pace> paces{{100, 60s}, {5, 1s}};
  std::vector<TimePoint> sends;
  TimePoint now = kStart;
  while (sends.size() < 500) {
    const auto place = log.reserve(paces, now);
    if (!place.number) {
      ASSERT_GT(place.open_at, now);
      now = place.open_at;
    } else if (log.commit(*place.number, now)) {
      sends.push_back(now);
    }
  }
  EXPECT_EQ(fullest(sends, 60s), 100u);
  EXPECT_EQ(fullest(sends, 1s), 5u);
}

TEST_F(SendLogTest, CountsWhatWasSentWithoutAPace) {
  for (int i = 0; i < 30; ++i) {
    const auto place = log.reserve({}, kStart);
    ASSERT_TRUE(place.number);
    ASSERT_TRUE(log.commit(*place.number, kStart));
  }
  const Pace pace{20, 10s};
  EXPECT_EQ(log.reserve({&pace, 1}, kStart + 1s).open_at, kStart + 10s);
}

TEST_F(SendLogTest, GoesOnBeyondItsLength) {
  const Pace pace{100, 1s};
  std::vector<TimePoint> sends;
  TimePoint now = kStart;
  for (std::size_t i = 0; i < 3 * SendLog::entries; ++i) {
    now = send(pace, now);
    sends.push_back(now);
  }
  EXPECT_EQ(fullest(sends, 1s), 100u);
  EXPECT_EQ(sends.back() - sends.front(), (3 * SendLog::entries - 1) / 100 * Duration(1s));
}

// What the service counts, and not only what is sent: requests arrive late, and answers later.
TEST_F(SendLogTest, DelaysUpToTheSlackDoNotMatter) {
  const Pace pace{.requests = 50, .span = 1s, .slack = 40ms};
  std::mt19937 random(1);
  std::vector<TimePoint> counted;
  std::map<TimePoint, std::uint64_t> answers;
  TimePoint now = kStart;
  TimePoint stalled_until = kStart;
  while (counted.size() < 2000) {
    while (!answers.empty() && answers.begin()->first <= now) {
      log.answered(answers.begin()->second, answers.begin()->first);
      answers.erase(answers.begin());
    }
    const auto place = log.reserve({&pace, 1}, now);
    if (!place.number) {
      now = answers.empty() ? place.open_at : std::min(place.open_at, answers.begin()->first);
      continue;
    }
    ASSERT_TRUE(log.commit(*place.number, now, pace.slack));
    // Now and then the service stands still for a moment, and then counts all that has come.
    if (random() % 200 == 0) stalled_until = now + 35ms;
    const TimePoint count =
        std::max(now + std::chrono::microseconds(random() % 3000), stalled_until);
    counted.push_back(count);
    answers.emplace(count + std::chrono::microseconds(random() % 2000), *place.number);
    now += std::chrono::microseconds(random() % 300);
  }
  EXPECT_LE(fullest(counted, pace.span), pace.requests);
  // And the slack is not simply waited for.
  EXPECT_LT(now - kStart, (2000 / 50) * (1s + 20ms));
}

TEST_F(SendLogTest, AKilledProcessHoldsNobodyUpForLongerThanThePatience) {
  const Pace pace{1, 10s};
  ASSERT_TRUE(log.reserve({&pace, 1}, kStart).number);  // and is killed
  const auto place = log.reserve({&pace, 1}, kStart);
  EXPECT_EQ(place.open_at, kStart + SendLog::patience);
  EXPECT_TRUE(log.reserve({&pace, 1}, kStart + SendLog::patience).number);
}

TEST_F(SendLogTest, NorDoTwoKilledOnesWhereEachOfTwoPacesWaits) {
  for (int i = 0; i < 20; ++i) {
    const auto place = log.reserve({}, kStart);
    // Numbers 0 and 10 were taken by processes that have been killed.
    if (i % 10 != 0) ASSERT_TRUE(log.commit(*place.number, kStart));
  }
  const std::array<Pace, 2> paces{Pace{10, 1s}, Pace{20, 1s}};
  TimePoint now = kStart + 2s;
  for (int i = 0; i < 5; ++i) {
    const auto place = log.reserve(paces, now);
    if (place.number) break;
    now = place.open_at;
  }
  EXPECT_LE(now, kStart + 2s + 2 * SendLog::patience);
  EXPECT_TRUE(log.reserve(paces, now).number);
}

TEST_F(SendLogTest, AStoppedProcessMustNotSendWhatWasGivenUp) {
  const Pace pace{1, 10s};
  SendLog stopped(*memory);
  const auto held = stopped.reserve({&pace, 1}, kStart);
  ASSERT_TRUE(held.number);
  EXPECT_EQ(send(pace, kStart), kStart + SendLog::patience);
  EXPECT_FALSE(stopped.commit(*held.number, kStart + 5s));
  EXPECT_EQ(stopped.reserve({&pace, 1}, kStart + 5s).open_at, kStart + SendLog::patience + 10s);
}

TEST_F(SendLogTest, EvenALapLater) {
  const auto held = log.reserve({}, kStart);
  for (std::size_t i = 0; i < SendLog::entries; ++i) {
    const auto place = log.reserve({}, kStart);
    ASSERT_TRUE(log.commit(*place.number, kStart));
  }
  EXPECT_FALSE(log.commit(*held.number, kStart + 5s));
}

TEST_F(SendLogTest, SurvivesADamagedMemory) {
  const Pace pace{10, 10s};
  std::ranges::fill(memory->sends, ~std::uint64_t{0});
  for (int i = 0; i < 100; ++i) static_cast<void>(send(pace, kStart));
  memory->head = 0;
  for (int i = 0; i < 100; ++i) static_cast<void>(send(pace, kStart));
  EXPECT_TRUE(SendLog::is_plausible(*memory)) << "1000 s after the start are in the past";
  memory->sends[3] = ~std::uint64_t{0};
  EXPECT_FALSE(SendLog::is_plausible(*memory)) << "a send in the far future";
}

// Processes that are stopped, killed and started anew at any moment, in virtual time. Each takes
// one step at a time: it reserves, or it commits what it has reserved. What is committed is sent.
RC_GTEST_PROP(SendLogProperty, NoIntervalHoldsMoreAndNobodyIsHeldUp, ()) {
  const Pace pace{*rc::gen::inRange<std::size_t>(1, 20), 20ms};
  const auto count = *rc::gen::inRange<std::size_t>(1, 6);
  const auto memory = std::make_unique<SendLog::Memory>();
  // Near the end of a lap, of the ring and of the counter of laps.
  memory->head = *rc::gen::element<std::uint64_t>(0, SendLog::entries - 20,
                                                  (std::uint64_t{SendLog::entries} << 20) - 20);
  if (memory->head != 0) {
    // As many sends long ago; what was there before them is of the lap before theirs.
    memory->head -= std::min<std::uint64_t>(memory->head, SendLog::entries);
    for (std::size_t i = 0; i < SendLog::entries; ++i) {
      const std::uint64_t number = memory->head + i;
      memory->sends[number % SendLog::entries] = number / SendLog::entries << 44;
    }
    SendLog filler(*memory);
    for (std::size_t i = 0; i < SendLog::entries; ++i) {
      const auto place = filler.reserve({}, kStart - 100s);
      RC_ASSERT(filler.commit(*place.number, kStart - 100s));
    }
  }
  struct Process {
    SendLog log;
    std::optional<std::uint64_t> held;
    TimePoint stopped_until{};
    std::optional<TimePoint> waits_since;
  };
  std::deque<Process> processes;
  for (std::size_t i = 0; i < count; ++i) processes.push_back({.log = SendLog(*memory)});

  std::vector<TimePoint> sends;
  TimePoint now = kStart;
  std::size_t given_up = 0;
  const auto steps = *rc::gen::container<std::vector<int>>(2000, rc::gen::inRange(0, 1000));
  for (const int step : steps) {
    Process& process = processes[static_cast<std::size_t>(step) % count];
    now += std::chrono::microseconds(step * step / 500);
    const int event = step / 7 % 60;
    if (event == 0) process = {.log = SendLog(*memory)};  // kill -9, and a new one
    if (event == 1) process.stopped_until = now + 1ms * step;
    if (now < process.stopped_until) continue;
    if (process.held) {
      if (process.log.commit(*process.held, now)) {
        sends.push_back(now);
      } else {
        ++given_up;
      }
      process.held.reset();
      continue;
    }
    const auto place = process.log.reserve({&pace, 1}, now);
    RC_ASSERT(place.number || place.open_at > now);
    // Never longer than a span after the last thing that anybody sent.
    RC_ASSERT(place.number || place.open_at <= now + pace.span + SendLog::patience);
    process.held = place.number;
  }
  RC_ASSERT(fullest(sends, pace.span) <= pace.requests);
  // When all have died, a new one goes on at once or a span later.
  SendLog last(*memory);
  const TimePoint latest = now + pace.span + 2 * SendLog::patience * (pace.requests + count);
  for (std::size_t sent = 0; sent < pace.requests;) {
    const auto place = last.reserve({&pace, 1}, now);
    if (!place.number) now = place.open_at;
    RC_ASSERT(now <= latest);
    if (place.number) sent += last.commit(*place.number, now) ? 1u : 0u;
  }
  RC_CLASSIFY(given_up > 0, "gave up a number");
}

// The same by real threads, so that every interleaving of the processor may come.
TEST_F(SendLogTest, ThreadsTogetherStayBelowTheLimit) {
  const Pace pace{50, 20ms};
  std::vector<std::vector<TimePoint>> sends(4);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < sends.size(); ++i) {
    threads.emplace_back([&, i] {
      SendLog own(*memory);
      while (sends[i].size() < 150) {
        const auto place = own.reserve({&pace, 1}, std::chrono::steady_clock::now());
        if (!place.number) {
          std::this_thread::sleep_until(place.open_at);
          continue;
        }
        const auto now = std::chrono::steady_clock::now();
        if (own.commit(*place.number, now)) sends[i].push_back(now);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::vector<TimePoint> all;
  for (const auto& some : sends) all.insert(all.end(), some.begin(), some.end());
  ASSERT_EQ(all.size(), 600u);
  EXPECT_LE(fullest(all, pace.span), pace.requests);
}

}  // namespace
}  // namespace sluice::flow
