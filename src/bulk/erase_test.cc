#include "bulk/erase.h"

#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <random>

#include "bulk/failure_file.h"
#include "bulk/job_test.h"
#include "bulk/spool.h"

namespace sluice::bulk {
namespace {

using store::Fault;
using store::FaultyCall;
using store::Operation;

class EraseTest : public JobFixture {
 public:
  Report run(EraseOptions options, store::FaultyStore::Hook hook = {}) {
    Job with = job();
    return loop.run(erase(with, faulty(std::move(hook)), std::move(options)));
  }
  static EraseOptions old_ones() {
    EraseOptions options;
    options.selection.tag_field = "tags";
    options.selection.tag_value = "old";
    return options;
  }
  // How many of `before` are left that have the tag, and how many are gone that have not.
  static std::pair<std::size_t, std::size_t> wrong(const Contents& before, const Contents& after) {
    std::size_t left = 0;
    std::size_t lost = 0;
    for (const auto& [key, entry] : before) {
      const bool selected = entry.metadata.find("old") != std::string::npos;
      if (selected && after.contains(key)) ++left;
      if (!selected && !after.contains(key)) ++lost;
    }
    return {left, lost};
  }
};

TEST_F(EraseTest, DeletesWhatIsSelectedAndNothingElse) {
  fill(1000);
  const Contents before = contents(*backend);
  const Report report = run(old_ones());
  EXPECT_FALSE(report.ended_early);
  EXPECT_EQ(report.counts, (Counts{.listed = 1000, .selected = 334, .done = 334}));
  EXPECT_EQ(wrong(before, contents(*backend)), std::pair(std::size_t{0}, std::size_t{0}));
  EXPECT_EQ(exit_code(report), ExitCode::done);
}

TEST_F(EraseTest, AsksForListPagesAndFullBatchesOnly) {
  fill(1000);
  (void)run(old_ones());
  EXPECT_EQ(faulty_store->calls(Operation::list), 50u);
  EXPECT_EQ(faulty_store->calls(Operation::erase), 12u) << "334 keys, 30 a call";
  EXPECT_EQ(faulty_store->calls(Operation::get), 0u) << "a filter on metadata never asks for keys";
}

TEST_F(EraseTest, RefusesToDeleteWithoutASelection) {
  fill(10);
  const Report report = run({});
  ASSERT_TRUE(report.ended_early);
  EXPECT_EQ(report.ended_early->code, ErrorCode::invalid_argument);
  EXPECT_EQ(contents(*backend).size(), 10u);
  EXPECT_EQ(faulty_store->calls(Operation::list), 0u);
}

TEST_F(EraseTest, APatternThatDoesNotCompileSendsNothing) {
  fill(10);
  EraseOptions options;
  options.selection.pattern = "(";
  const Report report = run(std::move(options));
  ASSERT_TRUE(report.ended_early);
  EXPECT_EQ(report.ended_early->code, ErrorCode::invalid_argument);
  EXPECT_EQ(faulty_store->calls(Operation::list), 0u);
}

TEST_F(EraseTest, ASelectionThatSelectsNothingDeletesNothing) {
  fill(10);
  EraseOptions options;
  options.selection.prefix = "nothing:";
  const Report report = run(std::move(options));
  EXPECT_FALSE(report.ended_early);
  EXPECT_EQ(report.counts.done, 0u);
  EXPECT_EQ(contents(*backend).size(), 10u);
}

TEST_F(EraseTest, MaxDeleteStopsBeforeTheFirstDeletion) {
  fill(100);
  EraseOptions options = old_ones();
  options.guard.max_delete = 33;
  Report report = run(std::move(options));
  ASSERT_TRUE(report.ended_early);
  EXPECT_NE(report.ended_early->message.find("34 keys match"), std::string::npos);
  EXPECT_EQ(faulty_store->calls(Operation::erase), 0u);
  EXPECT_EQ(contents(*backend).size(), 100u);
  restart();
  options = old_ones();
  options.guard.max_delete = 34;
  report = run(std::move(options));
  EXPECT_FALSE(report.ended_early);
  EXPECT_EQ(report.counts, (Counts{.listed = 100, .selected = 34, .done = 34}));
  EXPECT_EQ(faulty_store->calls(Operation::list), 5u) << "the listing is not done twice";
}

TEST_F(EraseTest, ConfirmSeesTheExactCountAndCanRefuse) {
  fill(100);
  EraseOptions options = old_ones();
  std::uint64_t seen = 0;
  options.guard.confirm = [&](std::uint64_t matched) -> io::Task<Result<>> {
    seen = matched;
    co_return fail(ErrorCode::interrupted, "no");
  };
  const Report report = run(std::move(options));
  EXPECT_EQ(seen, 34u);
  EXPECT_EQ(exit_code(report), ExitCode::interrupted);
  EXPECT_EQ(contents(*backend).size(), 100u);
}

TEST_F(EraseTest, ABatchThatFailsIsHalvedDownToTheBadKey) {
  fill(300);
  failure_path = folder + "/failed";
  EraseOptions options;
  options.selection.all = true;
  const Report report = run(std::move(options), [](const FaultyCall& call) {
    Fault fault;
    for (const std::string_view key : call.keys) {
      if (key == "key:0123" || key == "key:0250") {
        fault.fails = Error{ErrorCode::unavailable, Retry::never, std::nullopt, "poison"};
      }
    }
    return fault;
  });
  EXPECT_FALSE(report.ended_early);
  EXPECT_EQ(report.counts, (Counts{.listed = 300, .selected = 300, .done = 298, .failed = 2}));
  EXPECT_EQ(exit_code(report), ExitCode::some_failed);
  ASSERT_EQ(report.reasons.size(), 1u);
  EXPECT_EQ(report.reasons[0].message, "poison");
  EXPECT_EQ(contents(*backend).size(), 2u);
  // The file of failed keys is a file of keys.
  restart();
  EraseOptions again;
  again.selection.keys_file = report.failure_file;
  const Report second = run(std::move(again));
  EXPECT_EQ(second.counts, (Counts{.listed = 2, .selected = 2, .done = 2}));
  EXPECT_TRUE(contents(*backend).empty());
}

TEST_F(EraseTest, ABatchThatIsTooLargeGoesInSmallerOnes) {
  fill(300);
  std::size_t refused = 0;
  EraseOptions options;
  options.selection.all = true;
  const Report report = run(std::move(options), [&](const FaultyCall& call) {
    Fault fault;
    if (call.keys.size() > 8) {
      ++refused;
      fault.fails = error(ErrorCode::too_large, Retry::smaller);
    }
    return fault;
  });
  EXPECT_EQ(report.counts.done, 300u);
  EXPECT_EQ(report.counts.failed, 0u);
  EXPECT_LE(refused, 30u) << "it learns from the first refusals";
}

TEST_F(EraseTest, TimeOutsByChanceDoNotMakeBatchesSmall) {
  fill(3000);
  std::mt19937 random(5);
  // One call in ten; what has been applied in spite of it is deleted once more.
  const auto hook = [&](const FaultyCall& call) -> Fault {
    if (call.operation != Operation::erase || random() % 10 != 0) return {};
    return {.fails = error(ErrorCode::timeout, Retry::smaller), .applied = random() % 2 == 0};
  };
  EraseOptions options;
  options.selection.all = true;
  const Report report = run(std::move(options), hook);
  EXPECT_FALSE(report.ended_early);
  EXPECT_EQ(report.counts, (Counts{.listed = 3000, .selected = 3000, .done = 3000}));
  EXPECT_TRUE(contents(*backend).empty());
  // 100 calls, a tenth of them again, and the few that were halved.
  EXPECT_LE(faulty_store->calls(Operation::erase), 150u);
}

TEST_F(EraseTest, ATimeOutOfASingleKeyIsTriedAgain) {
  fill(3);
  settings.batch_size = 1;
  const auto hook = [&](const FaultyCall& call) -> Fault {
    if (call.operation != Operation::erase || call.number > 3) return {};
    return {.fails = error(ErrorCode::timeout, Retry::smaller)};
  };
  EraseOptions options;
  options.selection.all = true;
  const Report report = run(std::move(options), hook);
  EXPECT_FALSE(report.ended_early);
  EXPECT_EQ(report.counts, (Counts{.listed = 3, .selected = 3, .done = 3}));
  EXPECT_TRUE(contents(*backend).empty());
}

TEST_F(EraseTest, KeysThatFailForNowAreTriedAgainByThemselves) {
  fill(60);
  std::map<std::string, int> tries;
  EraseOptions options;
  options.selection.all = true;
  const Report report = run(std::move(options), [&](const FaultyCall& call) {
    Fault fault;
    for (std::size_t i = 0; i < call.keys.size(); ++i) {
      if (++tries[std::string(call.keys[i])] == 1 && call.keys[i].ends_with('7')) {
        fault.failing_keys.push_back({i, error(ErrorCode::throttled, Retry::again)});
      }
    }
    return fault;
  });
  EXPECT_EQ(report.counts, (Counts{.listed = 60, .selected = 60, .done = 60}));
  EXPECT_EQ(tries["key:0007"], 2);
  EXPECT_EQ(tries["key:0008"], 1) << "a key that is done is not sent again";
}

TEST_F(EraseTest, AKeyThatKeepsFailingIsReportedWithItsReason) {
  fill(60);
  EraseOptions options;
  options.selection.all = true;
  const Report report = run(std::move(options), [&](const FaultyCall& call) {
    Fault fault;
    for (std::size_t i = 0; i < call.keys.size(); ++i) {
      if (call.keys[i] == "key:0007")
        fault.failing_keys.push_back({i, error(ErrorCode::throttled, Retry::again)});
      if (call.keys[i] == "key:0009")
        fault.failing_keys.push_back({i, error(ErrorCode::invalid_argument, Retry::never)});
    }
    return fault;
  });
  EXPECT_EQ(report.counts, (Counts{.listed = 60, .selected = 60, .done = 58, .failed = 2}));
  EXPECT_EQ(contents(*backend).size(), 2u);
}

TEST_F(EraseTest, AFatalErrorEndsTheRunWithATrueCount) {
  fill(300);
  EraseOptions options;
  options.selection.all = true;
  const Report report = run(std::move(options), [&](const FaultyCall& call) {
    Fault fault;
    if (call.operation == Operation::erase && call.number > 3) {
      fault.fails = error(ErrorCode::unauthorized, Retry::fatal);
    }
    return fault;
  });
  ASSERT_TRUE(report.ended_early);
  EXPECT_EQ(exit_code(report), ExitCode::unauthorized);
  EXPECT_EQ(report.counts.done, 300 - contents(*backend).size());
  EXPECT_EQ(report.counts.done, 90u);
}

TEST_F(EraseTest, AServiceThatIsGoneEndsTheRunInsteadOfAskingForEachKey) {
  fill(300);
  settings.concurrency = 1;
  EraseOptions options;
  options.selection.all = true;
  const Report report = run(std::move(options), [&](const FaultyCall& call) {
    Fault fault;
    if (call.operation == Operation::erase) fault.fails = error(ErrorCode::network, Retry::again);
    return fault;
  });
  ASSERT_TRUE(report.ended_early);
  EXPECT_EQ(report.ended_early->code, ErrorCode::network);
  EXPECT_LE(faulty_store->calls(Operation::erase), 2u * 3 * 4)
      << "three calls of four attempts, two batches";
}

TEST_F(EraseTest, AListingThatFailsEndsTheRun) {
  fill(300);
  EraseOptions options;
  options.selection.all = true;
  const Report report = run(std::move(options), [&](const FaultyCall& call) {
    Fault fault;
    if (call.operation == Operation::list && call.number == 5) {
      fault.fails = error(ErrorCode::unavailable, Retry::never);
    }
    return fault;
  });
  ASSERT_TRUE(report.ended_early);
  EXPECT_NE(exit_code(report), ExitCode::done);
  EXPECT_EQ(report.counts.done, 300 - contents(*backend).size());
}

TEST_F(EraseTest, AnEmptyPageWithACursorIsNotTheEnd) {
  fill(100);
  EraseOptions options;
  options.selection.all = true;
  const Report report = run(std::move(options), [&](const FaultyCall& call) {
    Fault fault;
    fault.empty_page = call.operation == Operation::list && call.number % 2 == 1;
    return fault;
  });
  EXPECT_EQ(report.counts.done, 100u);
}

// A mix of every fault, by chance: all that is selected goes, nothing else does.
TEST_F(EraseTest, LosesNothingUnderFaultsOfEveryKind) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    restart();
    backend = store::make_memory_backend(narrow());
    fill(500);
    const Contents before = contents(*backend);
    std::mt19937 random(seed);
    retrier->policy.attempts = 12;
    const Report report = run(old_ones(), [&](const FaultyCall& call) {
      Fault fault;
      switch (random() % 10) {
        case 0:
          fault.fails = error(ErrorCode::throttled, Retry::again);
          break;
        case 1:
          fault.fails = error(ErrorCode::network, Retry::again);
          fault.applied = true;
          break;
        case 2:
          if (call.keys.size() > 1) fault.fails = error(ErrorCode::timeout, Retry::smaller);
          break;
        case 3:
          if (!call.keys.empty())
            fault.failing_keys.push_back({0, error(ErrorCode::unavailable, Retry::again)});
          break;
        default:
          break;
      }
      // A list has no Retry::smaller, and this store repeats nothing by itself.
      if (call.operation == Operation::list) fault = Fault{};
      return fault;
    });
    ASSERT_FALSE(report.ended_early) << seed << ": " << report.ended_early->message;
    EXPECT_EQ(report.counts, (Counts{.listed = 500, .selected = 167, .done = 167})) << seed;
    EXPECT_EQ(wrong(before, contents(*backend)), std::pair(std::size_t{0}, std::size_t{0})) << seed;
  }
}

// Stopped at each call in turn and resumed: the end is the same.
TEST_F(EraseTest, ResumesFromWhereverItWasStopped) {
  for (const bool with_spool : {false, true}) {
    for (std::uint64_t stop_at = 1; stop_at <= 40; stop_at += 3) {
      backend = store::make_memory_backend(narrow());
      fill(400);
      const Contents before = contents(*backend);
      std::uint64_t calls = 0;
      bool resumed = false;
      std::string id;
      Report report;
      for (int run_number = 0; run_number < 50; ++run_number) {
        restart();
        auto opened =
            resumed ? jobs.resume(id) : jobs.create({.command = "kv delete", .identity = "x"});
        ASSERT_TRUE(opened) << opened.error().message;
        journal.emplace(std::move(*opened));
        id = journal->header().id;
        failure_path = journal->failure_path();
        EraseOptions options = old_ones();
        if (with_spool) options.guard.max_delete = 1000;
        calls = 0;
        report = run(std::move(options), [&](const FaultyCall&) {
          // The first runs only: one that is stopped at its first call gets nowhere.
          if (run_number < 5 && ++calls == stop_at)
            stop->request({ErrorCode::interrupted, Retry::never, std::nullopt, "stop"});
          return Fault{};
        });
        resumed = true;
        if (!report.ended_early) break;
        ASSERT_EQ(exit_code(report), ExitCode::interrupted);
      }
      ASSERT_FALSE(report.ended_early) << stop_at << report.ended_early->message;
      EXPECT_EQ(report.counts.done, 134u) << stop_at << " spool " << with_spool;
      EXPECT_TRUE(report.counts.add_up());
      EXPECT_EQ(wrong(before, contents(*backend)), std::pair(std::size_t{0}, std::size_t{0}));
      restart();
      std::filesystem::remove_all(folder + "/jobs");
    }
  }
}

// What waits for a place when the run is stopped is not sent, and the witness does not hear of it:
// it would have to do something about entries that are still there.
TEST_F(EraseTest, AWitnessHearsOnlyOfWhatIsSent) {
  struct Counting : EraseWitness {
    io::Stop* stop = nullptr;
    std::size_t announced = 0;
    io::Task<Result<>> before(const store::Block& entries) override {
      announced += entries.size();
      co_return Result<>();
    }
    // The first batch has ended, and the next one waits for its place.
    io::Task<Result<>> after(const store::Block&, const BatchOutcome&) override {
      stop->request({ErrorCode::interrupted, Retry::never, std::nullopt, "stop"});
      co_return Result<>();
    }
    io::Task<Result<>> end(const Error*) override { co_return Result<>(); }
  };
  fill(400);
  settings.concurrency = 1;
  settings.batch_size = 5;
  Counting witness;
  witness.stop = stop.get();
  EraseOptions options;
  options.selection.all = true;
  options.witness = &witness;
  EXPECT_TRUE(run(std::move(options)).ended_early);
  EXPECT_EQ(faulty_store->calls(Operation::erase), 1u);
  EXPECT_EQ(witness.announced, 5u);
}

// A file of failed keys that has become shorter than the checkpoint says (its reader took it away)
// is continued where it ends; one that is longer is cut.
TEST_F(EraseTest, TheFileOfFailedKeysIsContinuedWithoutAHole) {
  const std::string path = folder + "/failed";
  const auto append = [&](std::uint64_t bytes, const std::string& key) {
    FailureFile file(path, bytes);
    EXPECT_TRUE(file.append({{key, error(ErrorCode::protocol, Retry::never)}}));
  };
  append(270, "a");
  const std::string one = read_file(path);
  EXPECT_EQ(one.find('\0'), std::string::npos);
  EXPECT_TRUE(one.starts_with("{\"key\":\"a\""));
  append(one.size(), "b");
  EXPECT_EQ(read_file(path).substr(0, one.size()), one);
  append(one.size(), "c");
  const std::string two = read_file(path);
  EXPECT_EQ(two.find("\"b\""), std::string::npos);
  EXPECT_NE(two.find("\"c\""), std::string::npos);
}

// The keys of a store that repeats them come from the collected listing, which has those that are
// gone, too.
TEST_F(EraseTest, AResumedDeletionOfACollectedListingCountsEachKeyOnce) {
  constexpr std::uint64_t kKeys = 400;
  EraseOptions all;
  all.selection.all = true;
  const auto interrupted_by = [&](const store::FaultyStore::Hook& hook) {
    restart();
    store::MemoryOptions options = narrow();
    options.capabilities.ordered = false;
    options.capabilities.repeats_keys = true;
    backend = store::make_memory_backend(options);
    fill(kKeys);
    const std::string id = begin_job();
    Report report = run(all, hook);
    ASSERT_TRUE(report.resumable);
    EXPECT_GT(report.counts.done, 0u);
    resume_job(id);
    report = run(all);
    EXPECT_FALSE(report.ended_early);
    EXPECT_EQ(report.counts.selected, kKeys);
    EXPECT_EQ(report.counts.done, kKeys);
    EXPECT_TRUE(contents(*backend).empty());
  };
  {
    SCOPED_TRACE("the first batch is under way when later ones are done and a stop comes");
    int done = 0;
    interrupted_by([&](const FaultyCall& call) -> Fault {
      if (call.operation != Operation::erase) return {};
      if (std::ranges::find(call.keys, "key:0000") != call.keys.end()) {
        Error later = error(ErrorCode::network, Retry::again);
        later.retry_after = std::chrono::milliseconds(20);
        return {.fails = later};
      }
      if (++done == 3) {
        stop->request({ErrorCode::interrupted, Retry::never, std::nullopt, "stop"});
      }
      return {};
    });
    EXPECT_GE(done, 3);
  }
  for (std::uint64_t fails = 2; fails <= 12; ++fails) {
    SCOPED_TRACE(fmt::format("batch {} fails for good while those behind it pass", fails));
    std::uint64_t erased = 0;
    interrupted_by([&](const FaultyCall& call) -> Fault {
      if (call.operation != Operation::erase || ++erased != fails) return {};
      return {.fails = error(ErrorCode::unauthorized, Retry::fatal)};
    });
  }
}

// A full disk, or a kill, at the last moment: the job is not finished, and can be resumed.
TEST_F(EraseTest, TheMatchedKeysStayUntilItIsWrittenDownThatTheJobIsFinished) {
  auto created = jobs.create({.command = "kv delete", .identity = "x"});
  ASSERT_TRUE(created);
  journal.emplace(std::move(*created));
  ASSERT_TRUE(SpoolWriter::create(journal->spool_path())->finish());
  const std::string path = journal->spool_path();
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit full{.rlim_cur = 1, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &full), 0);
  const auto finished = journal->finish(JobState::finished, "");
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_FALSE(finished);
  EXPECT_TRUE(std::filesystem::exists(path));
  ASSERT_TRUE(journal->finish(JobState::finished, ""));
  EXPECT_FALSE(std::filesystem::exists(path)) << "other people's keys";
}

TEST_F(EraseTest, LimitDeletesNoMore) {
  fill(100);
  EraseOptions options = old_ones();
  options.selection.limit = 10;
  const Report report = run(std::move(options));
  EXPECT_EQ(report.counts.done, 10u);
  EXPECT_EQ(contents(*backend).size(), 90u);
}

TEST_F(EraseTest, LimitDeletesNoMoreAfterAKill) {
  fill(300);
  const std::string id = begin_job();
  EraseOptions options;
  options.selection.all = true;
  options.selection.limit = 120;
  // As a kill in the middle of the third batch leaves it: applied, but not written down.
  Report report = run(options, [&](const FaultyCall& call) -> Fault {
    if (call.operation != Operation::erase || call.number < 3) return {};
    return {.fails = error(ErrorCode::unauthorized, Retry::fatal), .applied = true};
  });
  ASSERT_TRUE(report.ended_early);
  resume_job(id);
  report = run(options);
  EXPECT_FALSE(report.ended_early);
  EXPECT_EQ(report.counts.done, 120u);
  EXPECT_EQ(contents(*backend).size(), 180u);
}

}  // namespace
}  // namespace sluice::bulk
