// export, copy, import, list and stats.
#include <fcntl.h>

#include <random>

#include "bulk/copy.h"
#include "bulk/export.h"
#include "bulk/import.h"
#include "bulk/job_test.h"
#include "bulk/list.h"
#include "bulk/stats.h"

namespace sluice::bulk {
namespace {

using store::Fault;
using store::FaultyCall;
using store::Operation;

class TransferTest : public JobFixture {
 public:
  Report run_export(ExportOptions options, store::FaultyStore::Hook hook = {}) {
    Job with = job();
    store::Store& from = faulty(std::move(hook));
    const auto body = [&]() -> io::Task<Report> {
      const Checkpoint start =
          journal ? journal->resumed_from().value_or(Checkpoint{}) : Checkpoint{};
      auto output = Output::to_file(out, "test", start.output_bytes);
      EXPECT_TRUE(output);
      Report report = co_await export_entries(with, from, **output, std::move(options));
      const auto closed =
          report.ended_early ? co_await (*output)->flush() : co_await (*output)->complete();
      EXPECT_TRUE(closed);
      co_return report;
    };
    return loop.run(body());
  }
  Report run_import(const std::string& text, ImportOptions options,
                    store::FaultyStore::Hook hook = {}) {
    options.path = folder + "/in";
    std::ofstream(options.path, std::ios::binary) << text;
    Job with = job();
    return loop.run(import_entries(with, faulty(std::move(hook)), std::move(options)));
  }
  void begin_or_resume() {
    restart();
    auto opened =
        job_id.empty() ? jobs.create({.command = "x", .identity = "x"}) : jobs.resume(job_id);
    ASSERT_TRUE(opened) << opened.error().message;
    journal.emplace(std::move(*opened));
    job_id = journal->header().id;
    failure_path = journal->failure_path();
  }

  std::string out = folder + "/out.ndjson";
  std::string job_id;
};

TEST_F(TransferTest, ExportWritesEveryEntryInOrderWithItsMetadataAsItIs) {
  fill(250);
  const Report report = run_export({});
  ASSERT_FALSE(report.ended_early);
  EXPECT_EQ(report.counts, (Counts{.listed = 250, .selected = 250, .done = 250}));
  std::string expected;
  for (const auto& [key, entry] : contents(*backend)) {
    expected += fmt::format("{{\"key\":\"{}\",\"value\":\"{}\",\"metadata\":{}}}\n", key,
                            entry.value, entry.metadata);
  }
  EXPECT_EQ(read_file(out), expected);
  EXPECT_EQ(faulty_store->calls(Operation::get), 36u) << "250 keys, 7 a call";
}

TEST_F(TransferTest, ExportTakesTheValuesFromTheListingWhereItHasThem) {
  store::MemoryOptions options = narrow();
  options.capabilities.lists_values = true;
  backend = store::make_memory_backend(options);
  fill(250);
  const Report report = run_export({});
  EXPECT_EQ(report.counts.done, 250u);
  EXPECT_EQ(faulty_store->calls(Operation::get), 0u);
}

TEST_F(TransferTest, ExportKeepsTheOrderWhenAnswersComeInAnyOrder) {
  fill(300);
  ASSERT_FALSE(run_export({}).ended_early);
  const std::string expected = read_file(out);
  std::mt19937 random(7);
  restart();
  // A call that fails for now and is repeated comes later than its followers.
  const Report report = run_export({}, [&](const FaultyCall& call) {
    Fault fault;
    if (call.operation == Operation::get && random() % 3 == 0)
      fault.fails = error(ErrorCode::network, Retry::again);
    return fault;
  });
  ASSERT_FALSE(report.ended_early);
  EXPECT_EQ(read_file(out), expected);
}

TEST_F(TransferTest, ExportSkipsWhatIsGoneAndReportsWhatFails) {
  fill(50);
  const Report report = run_export({}, [&](const FaultyCall& call) {
    Fault fault;
    for (std::size_t i = 0; i < call.keys.size(); ++i) {
      if (call.keys[i] == "key:0010")
        fault.failing_keys.push_back({i, error(ErrorCode::protocol, Retry::never)});
    }
    return fault;
  });
  EXPECT_EQ(report.counts, (Counts{.listed = 50, .selected = 50, .done = 49, .failed = 1}));
  EXPECT_EQ(exit_code(report), ExitCode::some_failed);
  EXPECT_EQ(read_file(out).find("key:0010"), std::string::npos);
  restart();
  std::ofstream(folder + "/keys") << "key:0001\nnot-there\nkey:0002\n";
  ExportOptions options;
  options.selection.keys_file = folder + "/keys";
  const Report some = run_export(std::move(options));
  EXPECT_EQ(some.counts, (Counts{.listed = 3, .selected = 3, .done = 2, .skipped = 1}));
}

TEST_F(TransferTest, AResumedExportIsTheUninterruptedOne) {
  fill(300);
  ExportOptions options;
  options.selection.pattern = "[02468]$";
  ASSERT_FALSE(run_export(options).ended_early);
  const std::string expected = read_file(out);
  for (std::uint64_t stop_at = 2; stop_at < 40; ++stop_at) {
    std::filesystem::remove(out);
    job_id.clear();
    Report report;
    for (int i = 0; i < 60; ++i) {
      begin_or_resume();
      std::uint64_t calls = 0;
      report = run_export(options, [&](const FaultyCall&) {
        // The first runs only: one that is stopped within its first page gets nowhere.
        if (i < 9 && ++calls == stop_at)
          stop->request({ErrorCode::interrupted, Retry::never, std::nullopt, "stop"});
        return Fault{};
      });
      if (!report.ended_early) break;
      EXPECT_FALSE(std::filesystem::exists(out)) << "only a complete file has its name";
    }
    ASSERT_FALSE(report.ended_early) << stop_at;
    EXPECT_EQ(read_file(out), expected) << stop_at;
    EXPECT_EQ(report.counts.done, 150u) << stop_at;
  }
}

TEST_F(TransferTest, AResumedJobGoesOnWhenItsCursorIsRefused) {
  fill(300);
  ASSERT_FALSE(run_export({}).ended_early);
  const std::string expected = read_file(out);
  std::filesystem::remove(out);
  begin_or_resume();
  std::uint64_t calls = 0;
  Report report = run_export({}, [&](const FaultyCall&) {
    if (++calls == 30) stop->request({ErrorCode::interrupted, Retry::never, std::nullopt, "stop"});
    return Fault{};
  });
  ASSERT_TRUE(report.ended_early);
  begin_or_resume();
  bool refused = false;
  report = run_export({}, [&](const FaultyCall& call) {
    Fault fault;
    if (call.operation == Operation::list && call.number == 1) {
      refused = !call.cursor.empty();
      fault.fails = error(ErrorCode::invalid_argument, Retry::never);
    }
    return fault;
  });
  EXPECT_TRUE(refused);
  ASSERT_FALSE(report.ended_early) << report.ended_early->message;
  EXPECT_EQ(read_file(out), expected);
}

TEST_F(TransferTest, CopyKeepsMetadataAndExpiry) {
  store::Block block;
  const std::int64_t later = 4'000'000'000;
  block.append({.key = "a",
                .value = "1",
                .metadata = R"({ "b" : 1.50,"a":"\u00e9" })",
                .expiration = later,
                .presence = store::Presence::present});
  block.append(
      {.key = "b", .value = std::string_view("\0\xff", 2), .presence = store::Presence::present});
  block.append({.key = "c", .presence = store::Presence::present});
  put(*backend, block);
  const auto target = store::make_memory_backend(narrow());
  const auto to = open(*target);
  Job with = job();
  const Report report = loop.run(copy(with, faulty(), *to, {}));
  EXPECT_EQ(report.counts, (Counts{.listed = 3, .selected = 3, .done = 3}));
  EXPECT_EQ(contents(*target), contents(*backend));
  EXPECT_EQ(contents(*target)["a"].metadata, R"({ "b" : 1.50,"a":"\u00e9" })");
}

TEST_F(TransferTest, CopyOfManyPutsFullBatches) {
  fill(500);
  const auto target = store::make_memory_backend(narrow());
  store::FaultyStore to(open(*target), {});
  Job with = job();
  const Report report = loop.run(copy(with, faulty(), to, {}));
  EXPECT_EQ(report.counts.done, 500u);
  EXPECT_EQ(to.calls(Operation::put), 17u) << "500 entries, 30 a call";
  EXPECT_EQ(contents(*target), contents(*backend));
}

TEST_F(TransferTest, ACopyThatIsStoppedAndResumedIsWhole) {
  fill(300);
  for (const std::uint64_t stop_at : {10u, 25u, 33u, 47u}) {
    const auto target = store::make_memory_backend(narrow());
    job_id.clear();
    Report report;
    for (int i = 0; i < 60; ++i) {
      begin_or_resume();
      const auto to = open(*target);
      std::uint64_t calls = 0;
      Job with = job();
      report = loop.run(copy(with, faulty([&](const FaultyCall&) {
                               if (i < 5 && ++calls == stop_at) {
                                 stop->request(
                                     {ErrorCode::interrupted, Retry::never, std::nullopt, "stop"});
                               }
                               return Fault{};
                             }),
                             *to, {}));
      if (!report.ended_early) break;
    }
    ASSERT_FALSE(report.ended_early) << stop_at;
    EXPECT_EQ(report.counts.done, 300u);
    EXPECT_EQ(contents(*target), contents(*backend));
  }
}

std::string many_lines(std::size_t lines) {
  std::string text;
  for (std::size_t i = 0; i < lines; ++i) {
    text +=
        fmt::format("{{\"key\":\"k{}\",\"value\":\"v{}\",\"metadata\":{{\"i\": {}}}}}\n", i, i, i);
  }
  return text;
}

TEST_F(TransferTest, ImportWritesEveryEntryInFullBatches) {
  const Report report = run_import(many_lines(1000), {});
  ASSERT_FALSE(report.ended_early) << report.ended_early->message;
  EXPECT_EQ(report.counts, (Counts{.listed = 1000, .selected = 1000, .done = 1000}));
  EXPECT_EQ(faulty_store->calls(Operation::put), 34u) << "1000 entries, 30 a call";
  const Contents all = contents(*backend);
  EXPECT_EQ(all.size(), 1000u);
  EXPECT_EQ(all.at("k77"), (StoredEntry{"v77", "{\"i\": 77}", 0}));
}

TEST_F(TransferTest, TheLaterEntryOfAKeyStaysAcrossBatches) {
  std::string text;
  for (int round = 0; round < 20; ++round) {
    for (int key = 0; key < 40; ++key)
      text += fmt::format("{{\"key\":\"k{}\",\"value\":\"{}\"}}\n", key, round);
  }
  std::mt19937 random(3);
  const Report report = run_import(text, {}, [&](const FaultyCall&) {
    Fault fault;
    // What is repeated comes late: an earlier value would overwrite a later one.
    if (random() % 2 == 0) fault.fails = error(ErrorCode::network, Retry::again);
    return fault;
  });
  ASSERT_FALSE(report.ended_early);
  for (const auto& [key, entry] : contents(*backend)) EXPECT_EQ(entry.value, "19") << key;
}

TEST_F(TransferTest, ABadRecordEndsTheImportWithItsLine) {
  const Report report = run_import(many_lines(3) + "{\"value\":\"no key\"}\n" + many_lines(1), {});
  ASSERT_TRUE(report.ended_early);
  EXPECT_EQ(report.ended_early->code, ErrorCode::invalid_argument);
  EXPECT_NE(report.ended_early->message.find("line 4"), std::string::npos)
      << report.ended_early->message;
}

TEST_F(TransferTest, SkipBadBoundsWhatIsSkipped) {
  const std::string text = many_lines(3) + "bad\n" + many_lines(3) + "{}\n" + many_lines(1);
  Report report = run_import(text, {.skip_bad = 2});
  ASSERT_FALSE(report.ended_early) << report.ended_early->message;
  EXPECT_EQ(report.counts, (Counts{.listed = 9, .selected = 9, .done = 7, .skipped = 2}));
  restart();
  report = run_import(text, {.skip_bad = 1});
  ASSERT_TRUE(report.ended_early);
  EXPECT_NE(report.ended_early->message.find("line 8"), std::string::npos)
      << report.ended_early->message;
}

TEST_F(TransferTest, ATruncatedFileIsAnErrorThatSaysSo) {
  const std::string text = many_lines(10);
  const Report report = run_import("[" + text.substr(0, 20), {});
  ASSERT_TRUE(report.ended_early);
  EXPECT_NE(exit_code(report), ExitCode::done);
}

TEST_F(TransferTest, AnImportThatIsStoppedAndResumedIsWhole) {
  // Long enough for several pieces of the feed.
  const std::string text = many_lines(20'000);
  for (const std::uint64_t stop_at : {1u, 40u, 400u, 660u}) {
    store::MemoryOptions options = narrow();
    backend = store::make_memory_backend(options);
    job_id.clear();
    Report report;
    for (int i = 0; i < 1000; ++i) {
      begin_or_resume();
      std::uint64_t calls = 0;
      report = run_import(text, {}, [&](const FaultyCall&) {
        if (i < 3 && ++calls == stop_at)
          stop->request({ErrorCode::interrupted, Retry::never, std::nullopt, "stop"});
        return Fault{};
      });
      if (!report.ended_early) break;
    }
    ASSERT_FALSE(report.ended_early);
    EXPECT_EQ(report.counts.done, 20'000u);
    const auto to = open(*backend);
    Job with = job();
    journal.reset();
    with.journal = nullptr;
    Stats stats;
    (void)loop.run(bulk::stats(with, *to, {}, stats));
    EXPECT_EQ(stats.entries, 20'000u);
  }
}

TEST_F(TransferTest, AResumedImportRepeatsOnlyWhatWasUnderWay) {
  std::string text;
  for (int i = 0; i < 300; ++i) {
    text += fmt::format("{{\"key\":\"k{:03}\",\"value\":\"v{}\"}}\n", i, i);
    if (i == 40 || i == 250) text += "[\"no entry\"]\n";
  }
  settings.concurrency = 1;
  std::size_t written = 0;
  ImportOptions options;
  options.skip_bad = 2;
  begin_or_resume();
  // All 300 come in one piece of the file; the sixth batch of 30 is the last that is seen to end.
  Report report = run_import(text, options, [&](const FaultyCall& call) -> Fault {
    if (call.number == 7) return {.fails = error(ErrorCode::unauthorized, Retry::fatal)};
    written += call.keys.size();
    return {};
  });
  ASSERT_TRUE(report.ended_early);
  EXPECT_EQ(written, 180u);
  begin_or_resume();
  EXPECT_EQ(journal->resumed_from()->counts,
            (Counts{.listed = 181, .selected = 181, .done = 180, .skipped = 1}));
  report = run_import(text, options, [&](const FaultyCall& call) -> Fault {
    written += call.keys.size();
    return {};
  });
  EXPECT_FALSE(report.ended_early);
  EXPECT_EQ(report.counts, (Counts{.listed = 302, .selected = 302, .done = 300, .skipped = 2}));
  EXPECT_EQ(written, 300u);
  EXPECT_EQ(contents(*backend).size(), 300u);
}

TEST_F(TransferTest, ListGivesPagesAndAsksForNothingElse) {
  fill(100);
  std::vector<std::string> keys;
  Job with = job();
  ListOptions options;
  options.selection.search = "T3";
  const auto sink = [&](const store::Block& page) -> io::Task<Result<>> {
    for (const store::EntryView& entry : page) keys.emplace_back(entry.key);
    co_return Result<>();
  };
  const Report report = loop.run(list_entries(with, faulty(), options, sink));
  EXPECT_EQ(report.counts.selected, 20u);
  EXPECT_EQ(keys.size(), 20u);
  EXPECT_TRUE(std::is_sorted(keys.begin(), keys.end()));
  EXPECT_EQ(faulty_store->calls(Operation::list), 5u);
  EXPECT_EQ(faulty_store->calls(Operation::get), 0u);
}

TEST_F(TransferTest, AShortKeysFileAndAConditionOnMetadataReadNoListing) {
  fill(100);
  std::ofstream(folder + "/keys") << "key:0003\nkey:0004\nkey:0006\n";
  std::vector<std::string> keys;
  Job with = job();
  ListOptions options;
  options.selection.keys_file = folder + "/keys";
  options.selection.tag_field = "tags";
  options.selection.tag_value = "old";
  const auto sink = [&](const store::Block& page) -> io::Task<Result<>> {
    for (const store::EntryView& entry : page) keys.emplace_back(entry.key);
    co_return Result<>();
  };
  (void)loop.run(list_entries(with, faulty(), options, sink));
  EXPECT_EQ(keys, (std::vector<std::string>{"key:0003", "key:0006"}));
  EXPECT_EQ(faulty_store->calls(Operation::get), 1u);
  EXPECT_EQ(faulty_store->calls(Operation::list), 0u);
}

TEST_F(TransferTest, StatsCountsAndLeavesUnknownWhatWouldCostRequests) {
  fill(100);
  Job with = job();
  Stats stats;
  ASSERT_FALSE(loop.run(bulk::stats(with, faulty(), {}, stats)).ended_early);
  EXPECT_EQ(stats.entries, 100u);
  EXPECT_EQ(stats.key_bytes, 800u);
  EXPECT_FALSE(stats.value_bytes);
  ASSERT_FALSE(loop.run(bulk::stats(with, faulty(), {.values = true}, stats)).ended_early);
  std::uint64_t bytes = 0;
  for (const auto& [key, entry] : contents(*backend)) bytes += entry.value.size();
  EXPECT_EQ(stats.value_bytes, bytes);
}

TEST_F(TransferTest, LargeValuesStayWithinTheBytesInFlight) {
  store::Block block;
  const std::string large(100'000, 'x');
  for (int i = 0; i < 60; ++i) {
    block.append(
        {.key = fmt::format("k{:02}", i), .value = large, .presence = store::Presence::present});
  }
  put(*backend, block);
  settings.in_flight_bytes = 500'000;
  const Report report = run_export({});
  EXPECT_EQ(report.counts.done, 60u);
  // The first answers tell how large values are; from then on a batch is at most half of the
  // budget.
  EXPECT_GE(faulty_store->calls(Operation::get), 15u);
}

}  // namespace
}  // namespace sluice::bulk
