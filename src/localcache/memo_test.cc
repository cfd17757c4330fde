#include "localcache/memo.h"

#include <rapidcheck.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <array>
#include <atomic>
#include <filesystem>
#include <thread>

#include "localcache/cache_test.h"
#include "localcache/statistics.h"

namespace sluice::localcache {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

class MemoTest : public CacheFixture {
 protected:
  MemoTest() {
    void* const memory =
        mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    runs_ = new (memory) std::atomic<int>(0);
    started_ = new (static_cast<char*>(memory) + 64) std::atomic<int>(0);
  }
  ~MemoTest() override { munmap(runs_, 4096); }
  Memo::Run run(int exit_code = 0) {
    return [this, exit_code]() -> Result<MemoResult> {
      return MemoResult{.exit_code = exit_code,
                        .output = "output " + std::to_string(++*runs_),
                        .errors = std::string("errors\0", 7),
                        .took = milliseconds(20)};
    };
  }
  // As a process does that needs nothing else.
  static Result<std::optional<Memo::Found>> find(Cache& cache, const MemoOptions& options = {}) {
    std::optional<Memo::Found> found;
    const auto entry = cache.get("k", Memo::looking(options.patience(), cache.now(), found));
    if (!entry) return std::unexpected(entry.error());
    return found;
  }
  std::atomic<int>* runs_;
  std::atomic<int>* started_;
};

TEST_F(MemoTest, KeysDifferWhereResultsMay) {
  const std::string file = (folder_ / "file").string();
  const MemoInput input{.arguments = {"ls", "-l"},
                        .working_directory = "/tmp",
                        .environment = {{"A", "1"}},
                        .files = {file}};
  const std::string key = *memo_key(input);
  EXPECT_TRUE(key.starts_with("exec:"));
  EXPECT_EQ(*memo_key(input), key);
  std::vector<MemoInput> others(7, input);
  others[0].arguments = {"ls -l"};
  others[1].arguments = {"ls", "-", "l"};
  others[2].working_directory = "/";
  others[3].environment = {{"A", "2"}};
  others[4].environment = {{"A", std::nullopt}};
  others[5].environment = {{"A1", ""}};
  others[6].files = {};
  for (const MemoInput& other : others) EXPECT_NE(*memo_key(other), key);
  std::ofstream(file) << "";
  const std::string empty = *memo_key(input);
  EXPECT_NE(empty, key);
  std::ofstream(file) << "content";
  EXPECT_NE(*memo_key(input), empty);
  MemoInput folder = input;
  folder.files = {folder_.string()};
  EXPECT_FALSE(memo_key(folder));
  // Nobody writes into it: opening it as usual would wait forever.
  const std::string pipe = (folder_ / "pipe").string();
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  folder.files = {pipe};
  const auto refused = memo_key(folder);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::invalid_argument);
  EXPECT_NE(refused.error().message.find("not a regular file"), std::string::npos);
}

TEST_F(MemoTest, ResultsAreReadBack) {
  rc::check([](int exit_code, const std::string& command, const std::string& output,
               const std::string& errors) {
    const MemoResult result{.exit_code = exit_code,
                            .output = output,
                            .errors = errors,
                            .took = milliseconds(5),
                            .ran_at = TimePoint(milliseconds(1'700'000'000'123)),
                            .command = command,
                            .ttl = minutes(1),
                            .stale = minutes(2)};
    const auto back = decode_memo(encode(result));
    RC_ASSERT(back.has_value());
    RC_ASSERT(back->command == command && memo_command(encode(result)) == command);
    RC_ASSERT(back->exit_code == exit_code && back->output == output && back->errors == errors);
    RC_ASSERT(back->ran_at == result.ran_at && back->ttl == result.ttl &&
              back->stale == result.stale && back->took == result.took);
  });
  const std::string bytes = encode({.output = "abc"});
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(decode_memo(bytes.substr(0, size))) << size;
    EXPECT_TRUE(size >= 72 || !memo_command(bytes.substr(0, size))) << size;
  }
  EXPECT_FALSE(decode_memo(bytes + "x"));
}

TEST_F(MemoTest, FreshStaleExpired) {
  const MemoResult result{.ran_at = now_, .ttl = seconds(60), .stale = seconds(600)};
  EXPECT_EQ(freshness(result, now_), Freshness::fresh);
  EXPECT_EQ(freshness(result, now_ + milliseconds(59'999)), Freshness::fresh);
  EXPECT_EQ(freshness(result, now_ + seconds(60)), Freshness::stale);
  EXPECT_EQ(freshness(result, now_ + milliseconds(659'999)), Freshness::stale);
  EXPECT_EQ(freshness(result, now_ + seconds(660)), Freshness::expired);
  EXPECT_EQ(freshness(result, now_ - seconds(1)), Freshness::fresh);
  EXPECT_EQ(freshness(result, now_ - seconds(3)), Freshness::expired);
  // Whoever asks for a younger one gets no older one, and nobody gets one older than it may be.
  const auto for_reader = [&](seconds age, seconds ttl, seconds stale) {
    return freshness(result, now_ + age, {.ttl = ttl, .stale = stale});
  };
  EXPECT_EQ(for_reader(seconds(4), seconds(5), seconds(0)), Freshness::fresh);
  EXPECT_EQ(for_reader(seconds(5), seconds(5), seconds(0)), Freshness::expired);
  EXPECT_EQ(for_reader(seconds(50), seconds(5), seconds(0)), Freshness::expired);
  EXPECT_EQ(for_reader(seconds(50), seconds(5), seconds(60)), Freshness::stale);
  EXPECT_EQ(for_reader(seconds(61), hours(1), hours(1)), Freshness::stale);
  EXPECT_EQ(for_reader(seconds(100), seconds(60), seconds(0)), Freshness::expired);
  EXPECT_EQ(for_reader(seconds(660), hours(1), hours(1)), Freshness::expired);
}

TEST_F(MemoTest, RunsOnceWhileFresh) {
  Cache cache = open();
  const MemoOptions options{.ttl = minutes(1), .stale = minutes(10)};
  Memo memo(cache, options);
  EXPECT_FALSE(find(cache, options)->has_value());
  auto got = memo.get("k", run(3));
  ASSERT_TRUE(got);
  EXPECT_TRUE(got->ran);
  got = memo.get("k", run());
  EXPECT_FALSE(got->ran);
  EXPECT_EQ(got->result.exit_code, 3);
  EXPECT_EQ(got->result.output, "output 1");
  EXPECT_EQ(got->result.errors, std::string("errors\0", 7));
  now_ += minutes(2);
  const auto stale = find(cache, options);
  ASSERT_TRUE(*stale);
  EXPECT_EQ((*stale)->freshness, Freshness::stale);
  const auto refreshed = memo.refresh("k", run());
  ASSERT_TRUE(refreshed && *refreshed);
  EXPECT_FALSE(memo.refresh("k", run())->has_value()) << "it is fresh by now";
  EXPECT_EQ((*find(cache, options))->result.output, "output 2");
  now_ += minutes(12);
  EXPECT_FALSE(find(cache, options)->has_value());
  EXPECT_EQ(*runs_, 2);
}

// However often it is looked at meanwhile, who asks once has hit or missed once.
TEST_F(MemoTest, EachUseCountsOnce) {
  Cache cache = open();
  MemoOptions options{.ttl = minutes(1), .stale = minutes(10), .discard_failures = true};
  const auto counted = [&] {
    const auto& counters = cache.statistics()->view().counters;
    return std::array{counters[static_cast<std::size_t>(Counter::hits)],
                      counters[static_cast<std::size_t>(Counter::stale_hits)],
                      counters[static_cast<std::size_t>(Counter::misses)]};
  };
  using Counted = std::array<std::uint64_t, 3>;
  Memo memo(cache, options);
  EXPECT_TRUE(memo.get("k", run())->ran);
  EXPECT_EQ(counted(), (Counted{0, 0, 1}));
  EXPECT_FALSE(memo.get("k", run())->ran);
  EXPECT_EQ(counted(), (Counted{1, 0, 1}));
  EXPECT_TRUE(memo.get("fails", run(1))->ran);
  EXPECT_TRUE(memo.get("fails", run(1))->ran);
  EXPECT_EQ(counted(), (Counted{1, 0, 3}));
  // Looked for, and then computed.
  options.counts = false;
  Memo again(cache, options);
  now_ += minutes(2);
  EXPECT_TRUE(*find(cache, options));
  EXPECT_TRUE(again.refresh("k", run())->has_value());
  EXPECT_EQ(counted(), (Counted{1, 1, 3}));
  now_ += hours(1);
  EXPECT_FALSE(*find(cache, options));
  EXPECT_TRUE(again.get("k", run())->ran);
  EXPECT_EQ(counted(), (Counted{1, 1, 4}));
  // One that takes no stored result has missed it.
  options = {.ttl = milliseconds(0)};
  EXPECT_TRUE(Memo(cache, options).get("k", run())->ran);
  EXPECT_EQ(counted(), (Counted{1, 1, 5}));
}

TEST_F(MemoTest, FailuresAreStoredUnlessDiscarded) {
  Cache cache = open();
  Memo memo(cache, {.discard_failures = true});
  EXPECT_EQ(memo.get("k", run(1))->result.exit_code, 1);
  EXPECT_TRUE(memo.get("k", run(0))->ran);
  EXPECT_FALSE(memo.get("k", run(0))->ran);
  const auto failed = memo.get("other", [] { return fail(ErrorCode::io, "cannot start"); });
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().message, "cannot start");
}

TEST_F(MemoTest, AResultThatCannotBeStoredIsGivenOut) {
  options_.limits = {.max_bytes = 1000};
  Cache cache = open();
  Memo memo(cache, {});
  const auto got = memo.get(
      "k", []() -> Result<MemoResult> { return MemoResult{.output = random_bytes(5000, 1)}; });
  ASSERT_TRUE(got);
  EXPECT_EQ(got->result.output.size(), 5000);
  ASSERT_TRUE(got->not_stored);
  EXPECT_EQ(got->not_stored->code, ErrorCode::too_large);
}

TEST_F(MemoTest, ADamagedResultIsReplacedOrDeleted) {
  Cache cache = open();
  Memo memo(cache, {.discard_failures = true});
  const auto large = [](int exit_code) {
    return [exit_code]() -> Result<MemoResult> {
      return MemoResult{.exit_code = exit_code, .output = random_bytes(200'000, 1)};
    };
  };
  for (const int exit_code : {0, 1}) {
    ASSERT_TRUE(memo.get("k", large(0)));
    std::filesystem::remove_all(location_.values());
    std::filesystem::create_directory(location_.values());
    ASSERT_FALSE(find(cache));
    const auto got = memo.get("k", large(exit_code));
    ASSERT_TRUE(got && got->damaged);
    EXPECT_EQ(got->damaged->code, ErrorCode::corrupt);
    EXPECT_EQ(got->stored, exit_code == 0);
    const auto found = find(cache);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->has_value(), exit_code == 0);
  }
}

TEST_F(MemoTest, NobodyIsKeptWaitingByATtlOfNothing) {
  Cache cache = open();
  Memo memo(cache, {.ttl = seconds(0)});
  const auto outer = memo.get("k", [&]() -> Result<MemoResult> {
    Cache other = open();
    Memo inside(other, {.ttl = seconds(0)});
    EXPECT_TRUE(inside.get("k", run())->ran);
    return MemoResult{};
  });
  EXPECT_TRUE(outer && !outer->stored);
  EXPECT_EQ(cache.size()->entries, 0);
}

// As many at once as machines bear; all but one wait.
TEST_F(MemoTest, OneProcessRunsWhileTheOthersWait) {
  constexpr int kProcesses = 40;
  options_.now = nullptr;
  std::vector<pid_t> children;
  for (int i = 0; i < kProcesses; ++i) {
    children.push_back(run_child([&] {
      Cache cache = open();
      Memo memo(cache, {});
      ++*started_;
      const auto got = memo.get("k", [&]() -> Result<MemoResult> {
        // Until all others have come; a minute is a hang.
        for (int n = 0; n < 60'000 && *started_ < kProcesses; ++n) {
          std::this_thread::sleep_for(milliseconds(1));
        }
        return MemoResult{.output = "output " + std::to_string(++*runs_)};
      });
      if (!got) return 1;
      return got->result.output == "output 1" ? 0 : 2;
    }));
  }
  for (const pid_t child : children) EXPECT_EQ(wait_for(child), 0);
  EXPECT_EQ(*runs_, 1);
}

TEST_F(MemoTest, ACrashedRunnerFreesTheOthers) {
  options_.now = nullptr;
  const pid_t runner = run_child([&] {
    Cache cache = open();
    Memo memo(cache, {});
    static_cast<void>(memo.get("k", [&]() -> Result<MemoResult> {
      ++*started_;
      pause();
      return MemoResult{};
    }));
    return 0;
  });
  while (*started_ == 0) std::this_thread::yield();
  std::vector<pid_t> children;
  for (int i = 0; i < 8; ++i) {
    children.push_back(run_child([&] {
      Cache cache = open();
      Memo memo(cache, {});
      ++*started_;
      const auto got = memo.get("k", run());
      return got && got->result.output == "output 1" ? 0 : 1;
    }));
  }
  while (*started_ < 9) std::this_thread::yield();
  {
    Cache cache = open();
    Memo memo(cache, {.wait = milliseconds(10)});
    EXPECT_EQ(memo.get("k", run()).error().code, ErrorCode::timeout);
    EXPECT_FALSE(memo.refresh("k", run())->has_value()) << "somebody is at it";
  }
  kill(runner, SIGKILL);
  wait_for(runner);
  for (const pid_t child : children) EXPECT_EQ(wait_for(child), 0);
  EXPECT_EQ(*runs_, 1);
}

}  // namespace
}  // namespace sluice::localcache
