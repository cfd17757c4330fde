#include "flow/journal.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

namespace sluice::flow {
namespace {

struct JournalTest : ::testing::Test {
  JournalTest() { std::filesystem::create_directory(folder); }
  ~JournalTest() override { std::filesystem::remove_all(folder); }

  std::vector<std::string> read() {
    std::vector<std::string> records;
    const auto journal =
        Journal::open(path, [&](std::string_view text) { records.emplace_back(text); });
    if (!journal) records.assign(1, "error: " + journal.error().message);
    return records;
  }
  std::string bytes() {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void write(const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

  std::string folder = ::testing::TempDir() + "/sluice-journal-" + std::to_string(::getpid());
  std::string path = folder + "/a.journal";
};

TEST_F(JournalTest, GivesBackWhatWasAppended) {
  {
    auto journal = Journal::create(path, "header");
    ASSERT_TRUE(journal);
    ASSERT_TRUE(journal->append("one"));
    ASSERT_TRUE(journal->append("two"));
    ASSERT_TRUE(journal->sync());
  }
  EXPECT_EQ(read(), (std::vector<std::string>{"header", "one", "two"}));
}

// A position of many pieces, with long keys.
TEST_F(JournalTest, ARecordMayBeLong) {
  const std::string longest(8'000'000, 'x');
  {
    auto journal = Journal::create(path, "header");
    ASSERT_TRUE(journal->append(longest));
    ASSERT_TRUE(journal->append("two"));
  }
  EXPECT_TRUE(read() == (std::vector<std::string>{"header", longest, "two"}));
}

TEST_F(JournalTest, IsReadableByItsOwnerOnly) {
  ASSERT_TRUE(Journal::create(path, "header"));
  struct stat status{};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(JournalTest, DropsATornRecordWhereverItIsCutAndGoesOnBehindTheLastGoodOne) {
  {
    auto journal = Journal::create(path, "header");
    ASSERT_TRUE(journal->append("one"));
  }
  const std::string good = bytes();
  {
    auto journal = Journal::open(path, [](std::string_view) {});
    ASSERT_TRUE(journal->append("two"));
  }
  const std::string whole = bytes();
  for (std::size_t size = good.size(); size < whole.size(); ++size) {
    write(whole.substr(0, size));
    std::vector<std::string> records;
    {
      auto journal =
          Journal::open(path, [&](std::string_view text) { records.emplace_back(text); });
      ASSERT_TRUE(journal) << size;
      EXPECT_EQ(records, (std::vector<std::string>{"header", "one"})) << size;
      ASSERT_TRUE(journal->append("three"));
    }
    EXPECT_EQ(read(), (std::vector<std::string>{"header", "one", "three"})) << size;
  }
}

TEST_F(JournalTest, BelievesNothingBehindADamagedRecord) {
  {
    auto journal = Journal::create(path, "header");
    ASSERT_TRUE(journal->append("one"));
    ASSERT_TRUE(journal->append("two"));
  }
  std::string text = bytes();
  text[text.find("one")] = 'x';
  write(text);
  EXPECT_EQ(read(), std::vector<std::string>{"header"});
}

TEST_F(JournalTest, RefusesWhatIsNoJournal) {
  for (const std::string& text : {std::string(), std::string("hello\n"), std::string(100, '\0')}) {
    write(text);
    const auto journal = Journal::open(path, [](std::string_view) {});
    ASSERT_FALSE(journal);
    EXPECT_EQ(journal.error().code, ErrorCode::corrupt);
  }
}

TEST_F(JournalTest, DoesNotReplaceAnotherOne) {
  ASSERT_TRUE(Journal::create(path, "header"));
  const auto second = Journal::create(path, "other");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::conflict);
}

TEST_F(JournalTest, RefusesAnotherVersionWithASentence) {
  // The frame of "sluice-journal 9 header": a version to come.
  {
    ASSERT_TRUE(Journal::create(path, "header"));
  }
  std::string other = folder + "/other.journal";
  std::string text = "sluice-journal 9 header";
  {
    // Framed by appending it as a record and taking the first line away.
    auto journal = Journal::create(other, "x");
    ASSERT_TRUE(journal->append(text));
  }
  std::ifstream file(other, std::ios::binary);
  std::string first, second;
  std::getline(file, first);
  std::getline(file, second);
  write(second + "\n");
  const auto journal = Journal::open(path, [](std::string_view) {});
  ASSERT_FALSE(journal);
  EXPECT_EQ(journal.error().code, ErrorCode::unsupported);
  EXPECT_NE(journal.error().message.find("another version"), std::string::npos);
}

TEST_F(JournalTest, OneAtATimeHasItOpen) {
  auto held = Journal::create(path, "header");
  ASSERT_TRUE(held);
  const auto second = Journal::open(path, [](std::string_view) {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::conflict);
  auto peek = Journal::peek(path, [](std::string_view) {});
  ASSERT_TRUE(peek);
  EXPECT_TRUE(peek->in_use);
  {
    const Journal gone = std::move(*held);
  }
  peek = Journal::peek(path, [](std::string_view) {});
  EXPECT_FALSE(peek->in_use);
}

TEST_F(JournalTest, WhatWasKilledBeforeItsHeaderIsRemovedAndNothingElse) {
  const std::int64_t later = std::time(nullptr) + 60;
  std::string whole;
  {
    auto held = Journal::create(path, "header");
    ASSERT_TRUE(held);
    EXPECT_FALSE(Journal::remove_unbegun(path, later)) << "it is in use";
    std::ifstream file(path, std::ios::binary);
    whole.assign(std::istreambuf_iterator<char>(file), {});
  }
  EXPECT_FALSE(Journal::remove_unbegun(path, later)) << "it has a header";
  whole[3] ^= 1;
  write(whole);
  EXPECT_FALSE(Journal::remove_unbegun(path, later)) << "it is damaged, which is to be told";
  for (std::size_t size = 0; size < whole.size(); size += 5) {
    write(whole.substr(0, size));
    EXPECT_FALSE(Journal::remove_unbegun(path, later - 120)) << "it may be about to begin";
    EXPECT_TRUE(Journal::remove_unbegun(path, later)) << size;
    EXPECT_FALSE(std::filesystem::exists(path));
  }
  EXPECT_FALSE(Journal::remove_unbegun(path, later));
}

TEST_F(JournalTest, DoesNotOverwrite) {
  ASSERT_TRUE(Journal::create(path, "header"));
  EXPECT_FALSE(Journal::create(path, "header"));
}

}  // namespace
}  // namespace sluice::flow
