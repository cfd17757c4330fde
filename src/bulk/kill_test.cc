// Imports, copies and deletions that are killed while some of their calls hang, and resumed: the
// end is the same every time, and nothing is done again but what was under way.
#include <fcntl.h>
#include <rapidcheck.h>
#include <sys/stat.h>

#include <algorithm>
#include <ctime>
#include <random>
#include <set>

#include "bulk/copy.h"
#include "bulk/erase.h"
#include "bulk/import.h"
#include "bulk/job_test.h"

namespace sluice::bulk {
namespace {

// What one process does to a store until it is killed.
struct Life {
  std::mt19937& random;
  std::uint64_t kill_at = 0;  // the change that it does not survive; 0: it is not killed
  std::function<void()> die;  // called at that moment
  std::function<bool(const store::EntryView&)> fails;
  bool dead = false;
  std::uint64_t calls = 0;
  std::multiset<std::string> under_way;
  std::map<std::string, int>& allowed;  // how often each may be done again
  std::map<std::string, int>& times;    // how often it was done
};

// A store whose changes end in any order, and some of them never: one that hangs ends with the
// process. What a call is about is told apart by its values, or when it deletes by its keys.
class Hanging : public store::FaultyStore {
 public:
  Hanging(std::unique_ptr<store::Store> below, Life& life)
      : FaultyStore(std::move(below), {}), life_(life) {}

  io::Task<Result<store::WriteAnswer>> put(std::span<const store::EntryView> entries) override {
    std::vector<std::string> names;
    for (const store::EntryView& entry : entries) names.emplace_back(entry.value);
    if (!co_await reach(names)) co_return killed();
    std::vector<store::EntryView> good;
    store::WriteAnswer answer;
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if (life_.fails && life_.fails(entries[i])) {
        answer.failed.push_back({i, {ErrorCode::protocol, Retry::never, std::nullopt, "refused"}});
      } else {
        good.push_back(entries[i]);
      }
    }
    if (!good.empty()) {
      const auto done = co_await FaultyStore::put(good);
      if (!done) co_return std::unexpected(done.error());
    }
    if (!answered(names)) co_return killed();
    co_return answer;
  }

  io::Task<Result<store::WriteAnswer>> erase(std::span<const std::string_view> keys) override {
    const std::vector<std::string> names(keys.begin(), keys.end());
    if (!co_await reach(names)) co_return killed();
    auto answer = co_await FaultyStore::erase(keys);
    if (!answered(names)) co_return killed();
    co_return answer;
  }

 private:
  // A call is on its way. False: it never arrives.
  io::Task<bool> reach(const std::vector<std::string>& names) {
    if (life_.dead) co_return false;
    life_.under_way.insert(names.begin(), names.end());
    if (++life_.calls == life_.kill_at) kill();
    const bool hangs = life_.kill_at > 0 && life_.random() % 6 == 0;
    for (std::uint64_t wait = hangs ? 500 : life_.random() % 10; wait > 0 && !life_.dead; --wait) {
      co_await io::yield();
    }
    // By then all may wait for those that hang.
    if (hangs && !life_.dead) kill();
    if (life_.dead && life_.random() % 2 == 0) co_return false;
    for (const std::string& name : names) ++life_.times[name];
    co_return true;
  }
  // It has been applied. False: nobody learns of it.
  bool answered(const std::vector<std::string>& names) {
    if (life_.dead) return false;
    for (const std::string& name : names) life_.under_way.erase(life_.under_way.find(name));
    return true;
  }
  void kill() {
    if (life_.dead) return;
    life_.dead = true;
    for (const std::string& name : life_.under_way) ++life_.allowed[name];
    life_.die();
  }
  static std::unexpected<Error> killed() {
    return fail(ErrorCode::unauthorized, Retry::fatal, "killed");
  }
  Life& life_;
};

class KillTest : public JobFixture {
 public:
  // Runs `body` (given the target as one process sees it) again and again, killed some times and
  // then not. The journal of a killed process is what it was at that moment.
  Report until_done(std::mt19937& random, store::Backend& target,
                    const std::function<Report(Job&, store::Store&)>& body,
                    const std::function<bool(const store::EntryView&)>& fails = {}) {
    std::string id;
    std::map<std::string, int> allowed;
    std::map<std::string, int> times;
    for (int kills = static_cast<int>(random() % 4);; --kills) {
      restart();
      auto opened = id.empty() ? jobs.create({.command = "x", .identity = "x"}) : jobs.resume(id);
      RC_ASSERT(opened.has_value());
      journal.emplace(std::move(*opened));
      id = journal->header().id;
      failure_path = journal->failure_path();
      const std::string path = fmt::format("{}/jobs/{}.journal", folder, id);
      Life life{.random = random,
                .kill_at = kills > 0 ? 1 + random() % 30 : 0,
                .die = [&] { std::filesystem::copy_file(path, folder + "/at-death"); },
                .fails = fails,
                .under_way = {},
                .allowed = allowed,
                .times = times};
      Hanging store(open(target), life);
      Job with = job();
      const Report report = body(with, store);
      journal.reset();
      if (!life.dead) {
        RC_ASSERT(!report.ended_early);
        for (const auto& [value, often] : times) RC_ASSERT(often <= 1 + allowed[value]);
        return report;
      }
      std::filesystem::copy_file(folder + "/at-death", path,
                                 std::filesystem::copy_options::overwrite_existing);
      std::filesystem::remove(folder + "/at-death");
    }
  }
};

TEST_F(KillTest, AnImportPutsNothingAgainButWhatWasUnderWay) {
  const bool held = rc::check("import", [this] {
    std::mt19937 random(*rc::gen::arbitrary<std::uint32_t>());
    settings.concurrency = 2 + random() % 4;
    settings.batch_size = 1 + random() % 12;
    store::MemoryOptions narrowed = narrow();
    narrowed.capabilities.put_bytes = 40 + random() % 200;
    const auto target = store::make_memory_backend(narrowed);
    // Many keys come more than once, and the last of each is to stay.
    const std::size_t lines = 1 + random() % 300;
    const std::size_t keys = 1 + random() % 200;
    std::string text;
    std::map<std::string, std::string> last;
    std::size_t bad = 0;
    for (std::size_t i = 0; i < lines; ++i) {
      const std::string key = fmt::format("k{}", random() % keys);
      const std::string value = fmt::format("{}{}", std::string(random() % 30, 'v'), i);
      text += fmt::format("{{\"key\":\"{}\",\"value\":\"{}\"}}\n", key, value);
      last[key] = value;
      for (; random() % 20 == 0; ++bad) text += "{}\n";
    }
    const std::string path = folder + "/in";
    std::ofstream(path, std::ios::binary) << text;
    // Some that are not the last are refused the first time: they must not come back later.
    std::set<std::string> refused;
    const auto fails = [&](const store::EntryView& entry) {
      return entry.value.ends_with('3') && last[std::string(entry.key)] != entry.value &&
             refused.insert(std::string(entry.value)).second;
    };
    const auto body = [&](Job& with, store::Store& to) {
      return loop.run(import_entries(with, to, {.path = path, .skip_bad = bad}));
    };
    const Report report = until_done(random, *target, body, fails);
    RC_ASSERT(report.counts.listed == lines + bad);
    RC_ASSERT(report.counts.selected == lines + bad);
    RC_ASSERT(report.counts.skipped == bad);
    RC_ASSERT(report.counts.done + report.counts.failed == lines);
    const Contents all = contents(*target);
    RC_ASSERT(all.size() == last.size());
    for (const auto& [key, value] : last) RC_ASSERT(all.at(key).value == value);
  });
  EXPECT_TRUE(held);
}

// Of the keys, some go away when they are asked for.
class Losing : public store::FaultyStore {
 public:
  Losing(std::unique_ptr<store::Store> below, const std::set<std::string>& going)
      : FaultyStore(std::move(below), {}), going_(going) {}
  io::Task<Result<store::GetAnswer>> get(std::span<const std::string_view> keys) override {
    std::vector<std::string_view> gone;
    for (const std::string_view key : keys) {
      if (going_.contains(std::string(key))) gone.push_back(key);
    }
    if (!gone.empty()) (void)co_await erase(gone);
    co_return co_await FaultyStore::get(keys);
  }

 private:
  const std::set<std::string>& going_;
};

TEST_F(KillTest, ACopyPutsNothingAgainButWhatWasUnderWay) {
  const auto copies = [this](std::uint32_t number) {
    std::mt19937 random(number);
    settings.concurrency = 2 + random() % 4;
    settings.batch_size = 1 + random() % 12;
    settings.partitions = {};
    store::MemoryOptions options = narrow();
    options.capabilities.lists_values = random() % 2 == 0;
    options.capabilities.seekable = random() % 2 == 0;
    options.capabilities.list_page = 1 + random() % 40;
    if (options.capabilities.seekable) settings.partitions.count = random() % 5;
    if (random() % 4 == 0)
      settings.partitions = {.count = 0, .prefixes = {"key:00", "key:01", "key:02"}};
    backend = store::make_memory_backend(options);
    const auto target = store::make_memory_backend(narrow());
    const std::size_t entries = 1 + random() % 300;
    fill(entries);
    std::set<std::string> going;
    CopyOptions copied;
    if (random() % 2 == 0) copied.selection.pattern = "[02468]$";
    const bool limited = random() % 3 == 0;
    if (limited) {
      copied.selection.limit = 1 + random() % entries;
    } else if (!options.capabilities.lists_values) {
      for (std::size_t i = 0; i < entries; ++i) {
        if (random() % 10 == 0) going.insert(fmt::format("key:{:04}", i));
      }
    }
    Contents expected = contents(*backend);
    std::erase_if(expected, [&](const auto& each) {
      return going.contains(each.first) ||
             (copied.selection.pattern && (each.first.back() - '0') % 2 != 0);
    });
    const auto body = [&](Job& with, store::Store& to) {
      Losing from(open(*backend), going);
      return loop.run(copy(with, from, to, copied));
    };
    const Report report = until_done(random, *target, body);
    const Contents all = contents(*target);
    RC_ASSERT(report.counts.done == all.size());
    if (!limited) {
      RC_ASSERT(all == expected);
      if (going.empty()) RC_ASSERT(report.counts.listed == entries);
    } else {
      RC_ASSERT(all.size() == std::min<std::size_t>(*copied.selection.limit, expected.size()));
      for (const auto& each : all) RC_ASSERT(expected.contains(each.first));
      if (!options.capabilities.seekable && settings.partitions.prefixes.empty()) {
        RC_ASSERT(std::equal(all.begin(), all.end(), expected.begin()));
      }
    }
  };
  EXPECT_TRUE(rc::check("copy", [&] { copies(*rc::gen::arbitrary<std::uint32_t>()); }));
  // Once, a copy with --limit that was killed before it had noted its pieces made others.
  EXPECT_TRUE(rc::check("copy again", [&] { copies(449'117); }));
}

TEST_F(KillTest, WhatWasKilledBeforeItHadBegunIsPruned) {
  ASSERT_TRUE(jobs.create({.command = "x", .identity = "x"}));
  const std::string empty = folder + "/jobs/20260101-000000-0000.journal";
  const std::string damaged = folder + "/jobs/20260101-000000-0001.journal";
  const std::string other = folder + "/jobs/Not an id.journal";
  std::ofstream(empty).close();
  std::ofstream(damaged) << "no header\n";
  std::ofstream(other).close();
  const std::int64_t now = std::time(nullptr);
  jobs.prune(now, 1'000'000);
  EXPECT_TRUE(std::filesystem::exists(empty)) << "it may be about to begin";
  jobs.prune(now + 120, 1'000'000);
  EXPECT_FALSE(std::filesystem::exists(empty));
  EXPECT_TRUE(std::filesystem::exists(damaged));
  EXPECT_TRUE(std::filesystem::exists(other));
  EXPECT_EQ(jobs.list().size(), 1u);
}

// Kept for a week from their end, however long ago they were begun; unfinished ones for ever.
TEST_F(KillTest, WhatHasEndedIsPrunedSomeTimeAfterItsEnd) {
  const std::int64_t now = std::time(nullptr);
  std::string tags;
  std::string unpurged;
  for (const JobState state : {JobState::finished, JobState::failed, JobState::unfinished}) {
    auto begun = jobs.create({.command = "x", .identity = "x"});
    ASSERT_TRUE(begun);
    tags = begun->tags_path();
    unpurged = begun->unpurged_path();
    for (const std::string& file : {tags, unpurged, begun->failure_path()}) {
      std::ofstream(file) << "x";
    }
    if (state == JobState::unfinished) {
      ASSERT_TRUE(begun->stopped("stop"));
    } else {
      ASSERT_TRUE(begun->finish(state, ""));
    }
    // As if it had taken so long.
    const timespec ended{.tv_sec = now + 5000, .tv_nsec = 0};
    const timespec times[] = {ended, ended};
    const std::string journal = fmt::format("{}/jobs/{}.journal", folder, begun->header().id);
    ASSERT_EQ(::utimensat(AT_FDCWD, journal.c_str(), times, 0), 0);
  }
  jobs.prune(now + 4000, 1000);
  EXPECT_EQ(jobs.list().size(), 3u);
  jobs.prune(now + 7000, 1000);
  ASSERT_EQ(jobs.list().size(), 1u);
  EXPECT_EQ(jobs.list().front().state, JobState::unfinished);
  EXPECT_TRUE(std::filesystem::exists(tags));
  EXPECT_TRUE(std::filesystem::exists(unpurged));
  ASSERT_TRUE(jobs.remove(jobs.list().front().header.id));
  EXPECT_TRUE(std::filesystem::is_empty(folder + "/jobs")) << "with all that was beside it";
}

TEST_F(KillTest, ADeletionDeletesNothingAgainButWhatWasUnderWay) {
  const bool held = rc::check("delete", [this] {
    std::mt19937 random(*rc::gen::arbitrary<std::uint32_t>());
    settings.concurrency = 2 + random() % 4;
    settings.batch_size = 1 + random() % 12;
    settings.partitions = {};
    backend = store::make_memory_backend(narrow());
    const std::size_t entries = 1 + random() % 300;
    fill(entries);
    Contents expected = contents(*backend);
    EraseOptions options;
    options.selection.pattern = "[02468]$";
    if (random() % 2 == 0) {
      options.selection.keys_file = folder + "/keys";
      std::ofstream keys(*options.selection.keys_file);
      for (const auto& each : expected) keys << each.first << "\n";
    }
    // By the spool.
    if (random() % 2 == 0) options.guard.max_delete = entries;
    std::erase_if(expected, [](const auto& each) { return (each.first.back() - '0') % 2 == 0; });
    const auto body = [&](Job& with, store::Store& to) {
      return loop.run(erase(with, to, options));
    };
    const Report report = until_done(random, *backend, body);
    RC_ASSERT(contents(*backend) == expected);
    if (options.guard.stands() || options.selection.keys_file) {
      RC_ASSERT(report.counts.listed == entries);
      RC_ASSERT(report.counts.done == entries - expected.size());
    }
  });
  EXPECT_TRUE(held);
}

}  // namespace
}  // namespace sluice::bulk
