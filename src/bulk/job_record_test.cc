#include "bulk/job_record.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "bulk/job_test.h"

namespace sluice::bulk {
namespace {

std::string on_another_boot(std::string record) {
  const std::string boot = io::boot_id();
  const auto at = record.find(boot);
  EXPECT_NE(at, std::string::npos);
  if (at != std::string::npos) record.replace(at, boot.size(), "before the power cut");
  return record;
}

Checkpoint at(std::uint64_t done) {
  return {.counts = {.listed = done, .selected = done, .done = done}, .output_bytes = 10 * done};
}

// What a checkpoint speaks of may not be on disk when the power goes; what was synced is.
TEST(JobRecord, AfterAPowerCutOnlySyncedCheckpointsAreBelieved) {
  SummaryReader reader;
  reader.read(header_record({.id = "1", .command = "kv export", .identity = "x"}));
  EXPECT_FALSE(reader.has_checkpoint());
  reader.read(on_another_boot(checkpoint_record(at(1), false)));
  EXPECT_FALSE(reader.has_checkpoint()) << "resumed from its beginning";
  reader.read(on_another_boot(checkpoint_record(at(2), true)));
  reader.read(on_another_boot(checkpoint_record(at(3), false)));
  EXPECT_TRUE(reader.has_checkpoint());
  EXPECT_EQ(reader.summary().checkpoint.counts.done, 2u);
  EXPECT_EQ(reader.summary().checkpoint.output_bytes, 20u);
  EXPECT_EQ(reader.summary().state, JobState::unfinished);
  // The run that went on from there, killed without a power cut.
  reader.read(checkpoint_record(at(4), false));
  EXPECT_EQ(reader.summary().checkpoint.counts.done, 4u);
}

TEST(JobRecord, AJournalOfAnOlderVersionSaysNoFormat) {
  SummaryReader reader;
  reader.read(header_record({.id = "1", .command = "kv export", .format = "csv"}));
  EXPECT_EQ(reader.summary().header.format, "csv");
  SummaryReader of_old;
  of_old.read(R"({"id":"1","command":"kv export","words":[],"created":7})");
  EXPECT_EQ(of_old.summary().header.format, "");
  EXPECT_EQ(of_old.summary().header.created, 7);
  EXPECT_EQ(of_old.summary().header.created_nanoseconds, 0);
}

TEST(JobRecord, AnEndIsTheEndUntilTheJobGoesOn) {
  SummaryReader reader;
  reader.read(header_record({.id = "1", .command = "kv delete", .words = {"--all", "\xFF"}}));
  reader.read(end_record(JobState::unfinished, "interrupted"));
  EXPECT_EQ(reader.summary().reason, "interrupted");
  EXPECT_EQ(reader.summary().header.words.back(), "\xFF");
  reader.read(checkpoint_record(at(1), false));
  EXPECT_EQ(reader.summary().reason, "");
  reader.read(end_record(JobState::finished, ""));
  EXPECT_EQ(reader.summary().state, JobState::finished);
  reader.read("{\"record\":");  // torn
  reader.read("[]");
  EXPECT_EQ(reader.summary().state, JobState::finished);
}

class JobList : public JobFixture {};

// Their ids have the second and then chance in them.
TEST_F(JobList, TheNewestIsFirstWithinASecondToo) {
  std::vector<std::string> made;
  for (int i = 0; i < 12; ++i) {
    auto log = jobs.create({.command = "kv export", .identity = "the same"});
    ASSERT_TRUE(log) << log.error().message;
    made.push_back(log->header().id);
  }
  std::ranges::reverse(made);
  std::vector<std::string> listed;
  for (const JobSummary& job : jobs.list()) listed.push_back(job.header.id);
  EXPECT_EQ(listed, made);
  EXPECT_EQ(jobs.find_unfinished("the same"), made.front());
}

}  // namespace
}  // namespace sluice::bulk
