#include "localcache/lock.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <atomic>
#include <thread>

#include "localcache/cache_test.h"
#include "localcache/holder_record.h"
#include "localcache/lock_place.h"
#include "localcache/process.h"

namespace sluice::localcache {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using Clock = std::chrono::steady_clock;

// Numbers that processes share.
struct Shared {
  std::atomic<int> inside{0};
  std::atomic<int> most_inside{0};
  std::atomic<int> turns{0};
  std::atomic<int> ready{0};
  std::atomic<int> order[64]{};
};

class LockTest : public CacheFixture, public testing::WithParamInterface<LockOptions> {
 protected:
  LockTest() {
    void* const memory =
        mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    shared_ = new (memory) Shared;
  }
  ~LockTest() override { munmap(shared_, sizeof(Shared)); }
  Result<Lock> take(std::optional<milliseconds> timeout = seconds(60),
                    LockMode mode = LockMode::exclusive, std::string command = "a test") const {
    LockOptions options = how_;
    options.timeout = timeout;
    options.mode = mode;
    options.command = std::move(command);
    return Lock::take(location_, "the lock", options);
  }
  // How many tickets were ever taken: the file says so.
  [[nodiscard]] std::uint64_t tickets() const {
    std::ifstream file(lock_path(location_, "the lock"), std::ios::binary);
    char head[16] = {};
    file.read(head, sizeof head);
    std::uint64_t number = 0;
    std::memcpy(&number, head + 8, 8);
    return number;
  }
  // Waits for what other processes do; a minute is a hang.
  static bool becomes(const std::function<bool()>& done) {
    const auto give_up = Clock::now() + seconds(60);
    while (!done()) {
      if (Clock::now() > give_up) return false;
      std::this_thread::sleep_for(milliseconds(1));
    }
    return true;
  }
  Shared* shared_;
  LockOptions how_;
};

class AnyLockTest : public LockTest {
 protected:
  AnyLockTest() { how_ = GetParam(); }
};

TEST_P(AnyLockTest, ExcludesOthersAndNamesTheHolder) {
  auto held = take();
  ASSERT_TRUE(held) << held.error().message;
  const auto other = take(milliseconds(0));
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, ErrorCode::timeout);
  EXPECT_NE(other.error().message.find("process " + std::to_string(getpid())), std::string::npos)
      << other.error().message;
  EXPECT_NE(other.error().message.find("a test"), std::string::npos);
  const auto began = Clock::now();
  EXPECT_FALSE(take(milliseconds(50)));
  EXPECT_GE(Clock::now() - began, milliseconds(50));
  EXPECT_EQ((*lock_holder(location_, "the lock"))->command, "a test");
  EXPECT_TRUE(Lock::take(location_, "another lock", how_));
  {
    const Lock gone = std::move(*held);
  }
  EXPECT_TRUE(take(milliseconds(0)));
  EXPECT_FALSE(lock_holder(location_, "the lock")->has_value());
}

TEST_P(AnyLockTest, NobodyIsInsideWithSomebodyElse) {
  constexpr int kProcesses = 8;
  constexpr int kTurns = 25;
  std::vector<pid_t> children;
  for (int i = 0; i < kProcesses; ++i) {
    children.push_back(run_child([&] {
      for (int turn = 0; turn < kTurns; ++turn) {
        const auto lock = take();
        if (!lock) return 1;
        const int inside = ++shared_->inside;
        if (inside > shared_->most_inside) shared_->most_inside = inside;
        std::this_thread::yield();
        ++shared_->turns;
        --shared_->inside;
      }
      return 0;
    }));
  }
  for (const pid_t child : children) EXPECT_EQ(wait_for(child), 0);
  EXPECT_EQ(shared_->most_inside, 1);
  EXPECT_EQ(shared_->turns, kProcesses * kTurns);
}

TEST_P(AnyLockTest, ADeadHolderLetsGo) {
  for (int round = 0; round < 5; ++round) {
    const pid_t child = run_child([&] {
      const auto lock = take();
      if (!lock) return 1;
      ++shared_->ready;
      pause();
      return 0;
    });
    ASSERT_TRUE(becomes([&] { return shared_->ready == round + 1; }));
    EXPECT_FALSE(take(milliseconds(0)));
    kill(child, SIGKILL);
    EXPECT_EQ(wait_for(child), 128 + SIGKILL);
    EXPECT_TRUE(take());
  }
}

INSTANTIATE_TEST_SUITE_P(Ways, AnyLockTest,
                         testing::Values(LockOptions{.wait = LockWait::kernel},
                                         LockOptions{.wait = LockWait::exponential},
                                         LockOptions{.wait = LockWait::linear},
                                         LockOptions{.without_kernel_locks = true}),
                         [](const auto& info) {
                           return info.param.without_kernel_locks            ? "WithoutKernelLocks"
                                  : info.param.wait == LockWait::kernel      ? "Kernel"
                                  : info.param.wait == LockWait::exponential ? "Exponential"
                                                                             : "Linear";
                         });

TEST_F(LockTest, SharedHoldersAreTogetherAndAlone) {
  const auto one = take(seconds(60), LockMode::shared);
  auto two = take(milliseconds(0), LockMode::shared);
  ASSERT_TRUE(one && two);
  EXPECT_FALSE(take(milliseconds(0)));
  {
    const Lock gone = std::move(*two);
  }
  EXPECT_FALSE(take(milliseconds(0)));
}

// Of those who share it, one is named that still has it, however the others have gone.
TEST_F(LockTest, NamesAHolderThatLives) {
  const auto one = take(seconds(60), LockMode::shared, "the first");
  ASSERT_TRUE(one);
  const pid_t killed = run_child([&] {
    const auto lock = take(seconds(60), LockMode::shared, "was killed");
    ++shared_->ready;
    pause();
    return 0;
  });
  ASSERT_TRUE(becomes([&] { return shared_->ready == 1; }));
  const auto expect_first = [&] {
    const auto refused = take(milliseconds(0));
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("the first"), std::string::npos)
        << refused.error().message;
    const auto holder = lock_holder(location_, "the lock");
    ASSERT_TRUE(holder && *holder);
    EXPECT_EQ((*holder)->command, "the first");
  };
  expect_first();
  kill(killed, SIGKILL);
  wait_for(killed);
  expect_first();
  {
    const auto gone = take(milliseconds(0), LockMode::shared, "has let go");
    ASSERT_TRUE(gone);
  }
  expect_first();
  // The first one goes, and a later one stays; more than the file has room for.
  std::vector<Lock> later;
  for (int i = 0; i < 100; ++i) {
    later.push_back(*take(milliseconds(0), LockMode::shared, "later " + std::to_string(i)));
  }
  later.erase(later.begin(), later.begin() + 99);
  {
    Lock gone = std::move(const_cast<Lock&>(*one));
  }
  EXPECT_EQ((*lock_holder(location_, "the lock"))->command, "later 99");
}

// Whoever can write in the folder of a group's cache must not lead others to files of theirs, nor
// make them wait.
// Who releases a lock ends a process: only one that does hold it, whatever the file says, which a
// group may write.
TEST_F(LockTest, AProcessThatHoldsNothingIsNotTakenForTheHolder) {
  const pid_t innocent = run_child([] { return ::pause(); });
  const auto lock = take(seconds(60), LockMode::exclusive, "held");
  ASSERT_TRUE(lock);
  EXPECT_EQ(*process_with_lock(location_, "the lock", "held"), getpid());
  EXPECT_EQ(*process_with_lock(location_, "the lock", "another"), std::nullopt);
  EXPECT_EQ(*process_with_lock(location_, "another", "held"), std::nullopt);
  const LockHolder claim{.pid = innocent,
                         .host = this_holder("").holder.host,
                         .command = "held",
                         .since = std::chrono::system_clock::now()};
  {
    std::fstream file(lock_path(location_, "the lock"),
                      std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(1024 + sizeof(std::uint64_t));
    file << format_holder(claim, start_of_process(innocent));
  }
  EXPECT_EQ((*lock_holder(location_, "the lock"))->pid, innocent) << "the claim is there";
  EXPECT_EQ(*process_with_lock(location_, "the lock", "held"), std::nullopt);
  kill(innocent, SIGKILL);
  wait_for(innocent);
}

TEST_F(LockTest, FilesThatAreNoneAreNotUsed) {
  const std::filesystem::path mine = folder_ / "mine";
  std::ofstream(mine) << "untouched";
  ASSERT_TRUE(take());
  for (const bool without_kernel_locks : {false, true}) {
    how_.without_kernel_locks = without_kernel_locks;
    const std::string path =
        lock_path(location_, "the lock") + (without_kernel_locks ? ".held" : "");
    std::filesystem::create_symlink(mine, path);
    EXPECT_FALSE(take(milliseconds(0)));
    static_cast<void>(lock_holder(location_, "the lock"));
    std::filesystem::remove(path);
    ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
    EXPECT_FALSE(take(milliseconds(0)));
    static_cast<void>(lock_holder(location_, "the lock"));
    std::filesystem::remove(path);
  }
  how_.without_kernel_locks = false;
  // The folder itself, and the one around it.
  std::filesystem::create_directories(folder_ / "elsewhere" / "locks");
  for (const std::string& folder : {location_.locks(), location_.folder()}) {
    std::filesystem::rename(folder, folder + ".real");
    std::filesystem::create_directory_symlink(
        folder == location_.locks() ? folder_ / "elsewhere" / "locks" : folder_ / "elsewhere",
        folder);
    EXPECT_FALSE(take(milliseconds(0)));
    EXPECT_FALSE(lock_place(location_, "the lock"));
    EXPECT_FALSE(lock_holder(location_, "the lock"));
    std::filesystem::remove(folder);
    std::filesystem::rename(folder + ".real", folder);
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder_ / "elsewhere" / "locks"));
  std::ifstream file(mine);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), "untouched");
}

// An exclusive waiter keeps later ones that would share it behind itself.
TEST_F(LockTest, NobodyOvertakes) {
  std::optional<Lock> holder = std::move(*take(seconds(60), LockMode::shared));
  std::vector<pid_t> children;
  constexpr int kWaiting = 12;
  for (int i = 0; i < kWaiting; ++i) {
    children.push_back(run_child([&, i] {
      const auto lock = take(seconds(60), i % 3 == 0 ? LockMode::exclusive : LockMode::shared);
      if (!lock) return 1;
      shared_->order[i] = ++shared_->turns;
      // Those who share it may come in any order among themselves.
      return 0;
    }));
    // The next one comes when this one is in the queue.
    ASSERT_TRUE(becomes([&] { return tickets() == static_cast<std::uint64_t>(i) + 2; }));
  }
  EXPECT_EQ(shared_->turns, 0) << "the first of those who wait wants it alone";
  holder.reset();
  for (const pid_t child : children) EXPECT_EQ(wait_for(child), 0);
  for (int i = 0; i < kWaiting; ++i) {
    const int group = i / 3 * 3;
    EXPECT_GT(shared_->order[i], group) << i;
    EXPECT_LE(shared_->order[i], i % 3 == 0 ? group + 1 : group + 3) << i;
  }
}

// Ctrl-Z on a script that waits: when its turn comes it does not know, and can say nothing.
TEST_F(LockTest, NamesAProcessThatWasStoppedBeforeItsTurn) {
  std::optional<Lock> holder = std::move(*take());
  const pid_t stopped = run_child([&] { return take() ? 0 : 1; });
  ASSERT_TRUE(becomes([&] { return tickets() == 2; }));
  kill(stopped, SIGSTOP);
  ASSERT_TRUE(becomes([&] { return is_stopped(stopped); }));
  // Behind one that holds it, the holder is named.
  const auto behind = take(milliseconds(20));
  ASSERT_FALSE(behind);
  EXPECT_THAT(behind.error().message, HasSubstr(fmt::format("process {} on", getpid())));
  EXPECT_THAT(behind.error().message, Not(HasSubstr("-CONT")));
  holder.reset();
  const auto late = take(milliseconds(20));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, ErrorCode::timeout);
  EXPECT_THAT(late.error().message, HasSubstr(fmt::format("the turn of process {} ", stopped)));
  EXPECT_THAT(late.error().message, HasSubstr("localcache_test"));  // what it runs
  EXPECT_THAT(late.error().message, HasSubstr(fmt::format("`kill -CONT {}`", stopped)));
  kill(stopped, SIGCONT);
  EXPECT_EQ(wait_for(stopped), 0);
  EXPECT_TRUE(take(seconds(60)));
}

TEST_F(LockTest, SaysThatAHolderIsStopped) {
  const pid_t stopped = run_child([&] {
    const auto lock = take();
    ++shared_->ready;
    ::pause();
    return 1;
  });
  ASSERT_TRUE(becomes([&] { return shared_->ready == 1; }));
  kill(stopped, SIGSTOP);
  ASSERT_TRUE(becomes([&] { return is_stopped(stopped); }));
  const auto late = take(milliseconds(20));
  ASSERT_FALSE(late);
  EXPECT_THAT(late.error().message,
              AllOf(HasSubstr(fmt::format("process {} on", stopped)), HasSubstr("a test"),
                    HasSubstr(fmt::format("`kill -CONT {}`", stopped))));
  kill(stopped, SIGKILL);
  EXPECT_EQ(wait_for(stopped), 128 + SIGKILL);
  EXPECT_TRUE(take(seconds(60)));
}

TEST_F(LockTest, WaitersThatAreKilledOrGiveUpAreSkipped) {
  std::optional<Lock> holder = std::move(*take());
  std::vector<pid_t> killed;
  for (int i = 0; i < 5; ++i) {
    killed.push_back(run_child([&] {
      ++shared_->ready;
      return take() ? 0 : 1;
    }));
  }
  const pid_t gives_up = run_child([&] { return take(milliseconds(30)) ? 1 : 0; });
  ASSERT_TRUE(becomes([&] { return shared_->ready == 5; }));
  EXPECT_EQ(wait_for(gives_up), 0);
  const pid_t last = run_child([&] { return take() ? 0 : 1; });
  for (const pid_t child : killed) kill(child, SIGKILL);
  for (const pid_t child : killed) EXPECT_EQ(wait_for(child), 128 + SIGKILL);
  holder.reset();
  EXPECT_EQ(wait_for(last), 0);
}

// Holders and waiters are killed at any moment: the lock is never held twice, and never stuck.
TEST_F(LockTest, SurvivesKillsUnderContention) {
  constexpr int kProcesses = 6;
  std::vector<pid_t> children(kProcesses, -1);
  const auto start = [&] {
    return run_child([&] {
      for (;;) {
        const auto lock = take();
        if (!lock) return 1;
        // A holder that is killed leaves its pid here; the next one must find it dead.
        const int before = shared_->inside.exchange(getpid());
        if (before != 0 && kill(before, 0) == 0) {
          std::ifstream stat("/proc/" + std::to_string(before) + "/stat");
          std::string line;
          std::getline(stat, line);
          const std::size_t end = line.rfind(')');
          // A zombie holds nothing.
          if (end != std::string::npos && line.substr(end + 2, 1) != "Z") return 2;
        }
        ++shared_->turns;
        shared_->inside = 0;
      }
    });
  };
  for (pid_t& child : children) child = start();
  for (int round = 0; round < 60; ++round) {
    const int turns = shared_->turns;
    ASSERT_TRUE(becomes([&] { return shared_->turns > turns + 3; })) << "nobody gets the lock";
    pid_t& victim = children[static_cast<std::size_t>(round % kProcesses)];
    kill(victim, SIGKILL);
    EXPECT_EQ(wait_for(victim), 128 + SIGKILL) << "it found two holders";
    victim = start();
  }
  for (const pid_t child : children) {
    kill(child, SIGKILL);
    EXPECT_EQ(wait_for(child), 128 + SIGKILL);
  }
  EXPECT_TRUE(take(seconds(30)));
}

TEST_F(LockTest, LeavesNoFilesBehind) {
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(Lock::take(location_, "name " + std::to_string(i), how_));
    ASSERT_TRUE(Lock::take(location_, std::string(5000, 'n') + std::to_string(i), how_));
  }
  EXPECT_TRUE(std::filesystem::is_empty(location_.locks()));
}

TEST_F(LockTest, GcRemovesTheFilesOfDeadHoldersOnly) {
  Cache cache = open();
  const pid_t child = run_child([&] {
    const auto lock = Lock::take(location_, "dead", how_);
    ++shared_->ready;
    pause();
    return 0;
  });
  ASSERT_TRUE(becomes([&] { return shared_->ready == 1; }));
  kill(child, SIGKILL);
  wait_for(child);
  const auto held = take();
  EXPECT_TRUE(std::filesystem::exists(lock_path(location_, "dead")));
  ASSERT_TRUE(cache.gc());
  EXPECT_FALSE(std::filesystem::exists(lock_path(location_, "dead")));
  EXPECT_FALSE(take(milliseconds(0))) << "that one is held";
}

TEST_F(LockTest, ADamagedLockFileIsNoObstacle) {
  const auto held = take();
  for (const std::string& content : {std::string(), std::string("x"), std::string(3000, '\xff'),
                                     "SLCLOCK2" + std::string(3000, '\xff')}) {
    std::ofstream(lock_path(location_, "the lock"), std::ios::binary) << content;
    EXPECT_FALSE(take(milliseconds(0)));
  }
}

TEST_F(LockTest, StrategiesHaveNames) {
  EXPECT_EQ(*parse_lock_wait("kernel"), LockWait::kernel);
  EXPECT_EQ(*parse_lock_wait("exponential"), LockWait::exponential);
  EXPECT_EQ(*parse_lock_wait("linear"), LockWait::linear);
  EXPECT_EQ(parse_lock_wait("fast").error().code, ErrorCode::invalid_argument);
}

TEST_F(LockTest, HoldersAreReadBack) {
  const LockHolder holder{.pid = 42,
                          .host = "a host",
                          .command = std::string(3000, 'c'),
                          .since = std::chrono::system_clock::time_point(seconds(1'700'000'000))};
  const std::string bytes = format_holder(holder, 7);
  EXPECT_LE(bytes.size(), kHolderBytes);
  const auto record = parse_holder(bytes);
  ASSERT_TRUE(record);
  EXPECT_EQ(record->holder.pid, 42);
  EXPECT_EQ(record->holder.host, "a host");
  EXPECT_TRUE(holder.command.starts_with(record->holder.command));
  EXPECT_EQ(record->holder.since, holder.since);
  EXPECT_EQ(record->process_start, 7);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(parse_holder(bytes.substr(0, size))) << size;
  }
  EXPECT_FALSE(is_dead(this_holder("me")));
}

}  // namespace
}  // namespace sluice::localcache
