#include "localcache/statistics.h"

#include <fcntl.h>

#include <thread>

#include "localcache/cache_test.h"
#include "localcache/statistics_text.h"

namespace sluice::localcache {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

class StatisticsTest : public CacheFixture {
 protected:
  StatisticsTest() : path_((folder_ / "statistics").string()) {}
  std::unique_ptr<Statistics> map() {
    auto opened = Statistics::open(path_);
    EXPECT_TRUE(opened) << opened.error().message;
    return opened ? std::move(opened->statistics) : nullptr;
  }
  std::string path_;
};

TEST_F(StatisticsTest, ProcessesCountTogether) {
  std::vector<pid_t> children;
  for (int i = 0; i < 4; ++i) {
    children.push_back(run_child([&] {
      const auto statistics = map();
      for (int n = 0; n < 1000; ++n) {
        statistics->record(Timed::get, microseconds(100));
        statistics->add(Counter::hits);
        statistics->hit(7, 1, now_);
      }
      return 0;
    }));
  }
  for (const pid_t child : children) EXPECT_EQ(wait_for(child), 0);
  const auto statistics = map();
  const StatisticsView view = statistics->view();
  ASSERT_EQ(view.timings.size(), 1);
  EXPECT_EQ(view.timings[0].count, 4000);
  EXPECT_EQ(view.timings[0].total, milliseconds(400));
  EXPECT_EQ(view.counters[static_cast<std::size_t>(Counter::hits)], 4000);
  EXPECT_EQ(view.recorded.size(), 4000);
  EXPECT_EQ(statistics->take_hits(7)->times, 4000);
  EXPECT_FALSE(statistics->take_hits(7));
}

TEST_F(StatisticsTest, PercentilesAreWithinAFifth) {
  const auto statistics = map();
  for (int i = 1; i <= 1000; ++i) statistics->record(Timed::set, microseconds(i * 10));
  const Timing timing = statistics->view().timings.at(0);
  const auto near = [](nanoseconds got, nanoseconds want) {
    return got >= want * 8 / 10 && got <= want * 12 / 10;
  };
  EXPECT_TRUE(near(timing.p50, microseconds(5000))) << timing.p50.count();
  EXPECT_TRUE(near(timing.p95, microseconds(9500))) << timing.p95.count();
  EXPECT_TRUE(near(timing.p99, microseconds(9900))) << timing.p99.count();
  EXPECT_EQ(timing.longest, microseconds(10'000));
  // Whatever the time is.
  for (std::int64_t time = 0; time < std::int64_t{400} * 1'000'000'000; time = time * 9 / 8 + 50) {
    statistics->reset();
    statistics->record(Timed::get, nanoseconds(time));
    const auto p50 = statistics->view().timings.at(0).p50;
    EXPECT_LE(p50, nanoseconds(time));
    EXPECT_GE(p50.count() + 64, time * 8 / 10) << time;
  }
  statistics->record(Timed::get, std::chrono::hours(100));
  statistics->record(Timed::get, nanoseconds(-5));
  EXPECT_EQ(statistics->view().timings.at(0).count, 3);
}

TEST_F(StatisticsTest, RemembersTheLastOperationsInOrder) {
  const auto statistics = map();
  for (int i = 0; i < 25'000; ++i) statistics->record(Timed::get, microseconds(i));
  const auto recorded = statistics->view().recorded;
  ASSERT_EQ(recorded.size(), Statistics::most_recorded);
  EXPECT_EQ(recorded.front().took, microseconds(15'000));
  EXPECT_EQ(recorded.back().took, microseconds(24'999));
  statistics->reset();
  EXPECT_TRUE(statistics->view().recorded.empty());
  EXPECT_TRUE(statistics->view().timings.empty());
}

TEST_F(StatisticsTest, HitsAreTakenOnceAndToldApart) {
  const auto statistics = map();
  statistics->hit(1, 11, now_);
  statistics->hit(1, 11, now_ + milliseconds(5));
  const auto hits = statistics->take_hits(1);
  ASSERT_TRUE(hits);
  EXPECT_EQ(hits->times, 2);
  EXPECT_EQ(hits->last, now_ + milliseconds(5));
  EXPECT_TRUE(Statistics::same_check(hits->check, 11));
  EXPECT_FALSE(Statistics::same_check(hits->check, 12));
  // Another entry that has the id now.
  statistics->hit(1, 11, now_);
  statistics->hit(1, 12, now_);
  EXPECT_TRUE(Statistics::same_check(statistics->take_hits(1)->check, 12));
  // What does not fit is counted as lost.
  for (std::uint64_t id = 1; id <= 20'000; ++id) statistics->hit(id, 0, now_);
  const auto lost = statistics->view().counters[static_cast<std::size_t>(Counter::lost_hits)];
  std::size_t taken = 0;
  for (int i = 0; i < 100; ++i) taken += statistics->take_some_hits(1000, 500).size();
  EXPECT_EQ(taken + lost, 20'000);
  EXPECT_GT(taken, 3000);
}

TEST_F(StatisticsTest, TakingRacesWithCounting) {
  const auto statistics = map();
  constexpr int kTimes = 20'000;
  std::uint64_t taken = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 3; ++i) {
      threads.emplace_back([&] {
        for (int n = 0; n < kTimes; ++n)
          statistics->hit(static_cast<std::uint64_t>(n % 5 + 1), 3, now_);
      });
    }
    for (int i = 0; i < 2000; ++i) {
      for (const auto& hits : statistics->take_some_hits(100, 500)) taken += hits.times;
    }
  }
  for (std::uint64_t id = 1; id <= 5; ++id) {
    if (const auto hits = statistics->take_hits(id)) taken += hits->times;
  }
  EXPECT_EQ(taken, 3 * kTimes);
}

TEST_F(StatisticsTest, AKilledProcessBreaksNothing) {
  const auto recorded = [](const Statistics& statistics) -> std::uint64_t {
    const auto view = statistics.view();
    return view.timings.empty() ? 0 : view.timings.at(0).count;
  };
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t before = recorded(*map());
    const pid_t child = run_child([&]() -> int {
      const auto statistics = map();
      for (;;) {
        statistics->record(Timed::get, microseconds(5));
        statistics->hit(3, 4, now_);
      }
    });
    const auto statistics = map();
    while (recorded(*statistics) < before + 100) std::this_thread::yield();
    kill(child, SIGKILL);
    wait_for(child);
  }
  auto opened = Statistics::open(path_);
  ASSERT_TRUE(opened);
  EXPECT_FALSE(opened->replaced);
  EXPECT_GE(opened->statistics->view().timings.at(0).count, 1000);
}

TEST_F(StatisticsTest, ADamagedFileIsReplaced) {
  {
    map()->record(Timed::get, microseconds(5));
  }
  EXPECT_EQ(Statistics::read(path_)->timings.size(), 1);
  const auto size = std::filesystem::file_size(path_);
  for (const std::string& content :
       {std::string(), std::string("short"), std::string(size, '\xff'), std::string(size, '\0')}) {
    std::ofstream(path_, std::ios::binary) << content;
    EXPECT_EQ(Statistics::read(path_).error().code, ErrorCode::corrupt);
    std::vector<pid_t> children;
    for (int i = 0; i < 4; ++i) {
      children.push_back(run_child([&] {
        auto opened = Statistics::open(path_);
        if (!opened) return 2;
        opened->statistics->record(Timed::get, microseconds(1));
        return opened->replaced ? 1 : 0;
      }));
    }
    int replaced = 0;
    for (const pid_t child : children) {
      const int code = wait_for(child);
      EXPECT_LE(code, 1);
      replaced += code;
    }
    EXPECT_EQ(replaced, 1);
    EXPECT_EQ(Statistics::read(path_)->timings.at(0).count, 4);
  }
  std::filesystem::remove(path_);
  EXPECT_EQ(Statistics::read(path_).error().code, ErrorCode::not_found);
}

// cp --sparse, rsync and archives leave holes, and a write into one on a full disk kills.
TEST_F(StatisticsTest, ACopyWithHolesIsFilled) {
  map()->add(Counter::hits);
  const std::string whole = path_;
  path_ += ".copy";
  {
    std::ifstream from(whole, std::ios::binary);
    const std::string bytes(std::istreambuf_iterator<char>(from), {});
    std::ofstream to(path_, std::ios::binary);
    to.write(bytes.data(), 4096);
  }
  std::filesystem::resize_file(path_, std::filesystem::file_size(whole));
  struct stat status{};
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  if (status.st_blocks * 512 >= status.st_size) GTEST_SKIP() << "this file system makes no holes";
  const auto statistics = map();
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_GE(status.st_blocks * 512, status.st_size);
  EXPECT_EQ(statistics->view().counters[static_cast<std::size_t>(Counter::hits)], 1);
}

TEST_F(StatisticsTest, IsWrittenInTheDocumentedFormats) {
  StatisticsView view;
  view.counters[0] = 3;
  view.timings = {{.operation = Timed::set,
                   .count = 150,
                   .total = milliseconds(2250),
                   .longest = milliseconds(40),
                   .p50 = milliseconds(14),
                   .p95 = microseconds(20'500),
                   .p99 = nanoseconds(31'000'499)}};
  view.recorded = {{.when = std::chrono::system_clock::time_point(milliseconds(1'700'000'000'042)),
                    .operation = Timed::get,
                    .took = microseconds(1500)}};
  EXPECT_EQ(
      statistics_json(view),
      R"({"counters":{"hits":3,"misses":0,"stale_hits":0,"evicted":0,"expired":0,"lost_hits":0},)"
      R"("write_cache":{"count":150,"total":2250,"avg":15,"p50":14,"p95":20.5,"p99":31}})");
  EXPECT_EQ(statistics_json({}),
            R"({"counters":{"hits":0,"misses":0,"stale_hits":0,"evicted":0,"expired":0,)"
            R"("lost_hits":0}})");
  EXPECT_EQ(statistics_csv(view),
            "timestamp,operation,duration_ms\n1700000000.042,read_cache,1.5\n");
  const std::string text = statistics_prometheus(view, "a\"b\\c");
  EXPECT_NE(text.find("sluice_cache_events_total{namespace=\"a\\\"b\\\\c\",event=\"hits\"} 3\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("sluice_cache_operation_seconds_count{namespace=\"a\\\"b\\\\c\","
                      "operation=\"write_cache\"} 150\n"),
            std::string::npos);
  EXPECT_NE(text.find("quantile=\"0.95\"} 0.020500000\n"), std::string::npos);
}

}  // namespace
}  // namespace sluice::localcache
