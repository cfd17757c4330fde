#include "progress_text.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace sluice::cli {
namespace {

using std::chrono::seconds;

class ProgressTextTest : public testing::Test {
 public:
  // Counts at a steady rate for a minute, sampled each second.
  void run(std::uint64_t listed_a_second, std::uint64_t deleted_a_second) {
    flow::Stage& listed = progress.stage("listed");
    flow::Stage& deleted = progress.stage("deleted");
    progress.stage("failed");
    for (int second = 1; second <= 60; ++second) {
      listed.count += listed_a_second;
      deleted.count += deleted_a_second;
      now += seconds(1);
      text.sample(now, traffic);
    }
  }
  flow::TimePoint now{seconds(1000)};
  flow::Progress progress;
  Traffic traffic;
  ProgressText text{progress, now};
};

TEST_F(ProgressTextTest, AnUnknownTotalHasNoPercentage) {
  run(100, 50);
  EXPECT_EQ(text.line(now), "listed 6,000 (100/s), deleted 3,000 (50/s)");
  EXPECT_EQ(text.bars(now, 80),
            "listed   6,000  100/s\n"
            "deleted  3,000  50/s  1m");
}

TEST_F(ProgressTextTest, AKnownTotalHasABarAndATimeLeft) {
  run(100, 50);
  progress.stage("deleted").total = 6000;
  EXPECT_EQ(text.line(now), "listed 6,000 (100/s), deleted 3,000 of 6,000 (50 %, 50/s, 1m left)");
  EXPECT_EQ(text.bars(now, 80),
            "listed   6,000  100/s\n"
            "deleted  3,000 of 6,000  [==========          ]  50 %  50/s  1m left");
  progress.stage("deleted").count = 5999;
  EXPECT_NE(text.line(now).find("99 %"), std::string::npos) << "100 % is said when it is done";
  progress.stage("failed").count = 2;
  EXPECT_NE(text.line(now).find("failed 2"), std::string::npos);
}

TEST_F(ProgressTextTest, NoLineIsWiderThanTheTerminal) {
  run(1'000'000, 999'999);
  progress.stage("deleted").total = 100'000'000;
  for (const std::size_t width : {5, 20, 40, 79}) {
    std::string rest = text.bars(now, width) + "\n";
    for (std::size_t end = 0; (end = rest.find('\n')) != std::string::npos;
         rest.erase(0, end + 1)) {
      EXPECT_LE(end, width + 2) << "the mark of a cut text takes three bytes and one column";
    }
  }
}

TEST_F(ProgressTextTest, BeforeAnythingHasBegunItSaysSo) {
  progress.stage("listed");
  progress.stage("deleted");
  EXPECT_EQ(text.line(now), "listed 0");
  EXPECT_EQ(text.bars(now + seconds(3), 80), "listed  0  3s");
  EXPECT_EQ(flow::Progress().stages().size(), 0u);
}

TEST_F(ProgressTextTest, AWaitForTheBudgetIsSaid) {
  run(100, 50);
  traffic = {.requests = 12, .retries = 3, .throttled = 1, .opens_at = now + seconds(35)};
  text.sample(now, traffic);
  EXPECT_NE(text.line(now).find("; waiting 35s for the rate budget"), std::string::npos);
  EXPECT_NE(text.bars(now, 80).find("\nwaiting 35s for the rate budget"), std::string::npos);
  const boost::json::object event = boost::json::parse(text.event(now)).as_object();
  EXPECT_EQ(event.at("waiting_milliseconds").as_int64(), 35'000);
  EXPECT_EQ(event.at("requests").as_int64(), 12);
  EXPECT_EQ(text.line(now + seconds(36)).find("waiting"), std::string::npos) << "over";
}

TEST_F(ProgressTextTest, TroubleIsSaidAndNoTimeLeftWhileNothingMoves) {
  run(100, 50);
  progress.stage("deleted").total = 6000;
  EXPECT_NE(text.line(now).find("1m left"), std::string::npos);
  traffic.trouble = "nobody\nis there";
  now += seconds(6);
  text.sample(now, traffic);
  EXPECT_EQ(text.line(now).find("left"), std::string::npos) << text.line(now);
  const std::string told = "trying again: nobody\\nis there";
  EXPECT_NE(text.line(now).find("; " + told), std::string::npos) << text.line(now);
  EXPECT_NE(text.bars(now, 80).find("\n" + told), std::string::npos) << text.bars(now, 80);
  const boost::json::object event = boost::json::parse(text.event(now)).as_object();
  EXPECT_EQ(event.at("trouble").as_string(), "nobody\\nis there");
  EXPECT_FALSE(event.at("stages").as_array().at(1).as_object().contains("seconds_left"));
}

TEST_F(ProgressTextTest, AnObstacleIsTroubleOrElseAWait) {
  EXPECT_FALSE(text.obstacle(now));
  traffic.opens_at = now + seconds(35);
  text.sample(now, traffic);
  const auto wait = text.obstacle(now);
  ASSERT_TRUE(wait);
  EXPECT_EQ(wait->text, "waiting 35s for the rate budget");
  const auto later = text.obstacle(now + seconds(10));
  ASSERT_TRUE(later);
  EXPECT_EQ(later->text, "waiting 25s for the rate budget");
  EXPECT_EQ(later->cause, wait->cause) << "told once";
  EXPECT_FALSE(text.obstacle(now + seconds(35)));
  traffic.trouble = "nobody\nis there";
  text.sample(now, traffic);
  const auto trouble = text.obstacle(now);
  ASSERT_TRUE(trouble);
  EXPECT_EQ(trouble->text, "trying again: nobody\\nis there");
  EXPECT_NE(trouble->cause, wait->cause);
}

TEST_F(ProgressTextTest, AnEventIsJsonWithTheCountersByName) {
  run(100, 50);
  progress.stage("deleted").total = 6000;
  const boost::json::object event = boost::json::parse(text.event(now)).as_object();
  EXPECT_EQ(event.at("event").as_string(), "progress");
  EXPECT_EQ(event.at("listed").as_int64(), 6000);
  EXPECT_EQ(event.at("failed").as_int64(), 0);
  EXPECT_EQ(event.at("milliseconds").as_int64(), 60'000);
  const boost::json::object& deleted = event.at("stages").as_array().at(1).as_object();
  EXPECT_EQ(deleted.at("total").as_int64(), 6000);
  EXPECT_EQ(deleted.at("seconds_left").as_int64(), 60);
  EXPECT_EQ(deleted.at("per_second").as_int64(), 50);
}

}  // namespace
}  // namespace sluice::cli
