#include "flow/budget.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>
#include <vector>

namespace sluice::flow {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

struct BudgetTest : ::testing::Test {
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "budget-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    top = pattern;
    folder = top + "/sluice";
  }
  void TearDown() override { fs::remove_all(top); }

  std::unique_ptr<Budget> share(std::string_view key = "key") {
    auto budget = Budget::share(folder, key);
    EXPECT_TRUE(budget) << budget.error().message;
    return budget ? std::move(*budget) : nullptr;
  }
  std::string the_file() const { return fs::directory_iterator(folder)->path().string(); }

  static bool send(Budget& budget, const Pace& pace, TimePoint now) {
    const auto place = budget.log().reserve({&pace, 1}, now);
    return place.number && budget.log().commit(*place.number, now);
  }

  std::string top;
  std::string folder;
};

Quotas quotas(Quota one) {
  Quotas all;
  all.add(one);
  return all;
}

TEST_F(BudgetTest, ThoseOfOneKeyShareAndOthersDoNot) {
  const auto one = share();
  const auto two = share();
  const auto other = share("another key");
  const TimePoint now = std::chrono::steady_clock::now();
  const Pace pace{1, 10s};
  EXPECT_TRUE(send(*one, pace, now));
  EXPECT_FALSE(send(*two, pace, now));
  EXPECT_TRUE(send(*other, pace, now));

  one->close_until(now + 3s);
  one->close_until(now + 2s);
  EXPECT_EQ(two->closed_until(), now + 3s);
  EXPECT_LT(other->closed_until(), now);

  Quotas told = quotas({1200, 300s});
  told.add({10, 1s});
  one->learn(told, now);
  EXPECT_EQ(two->learned(now), told);
  EXPECT_TRUE(two->learned(now + Budget::learned_lasts + 1s).empty());
  two->learn(quotas({5, 1s}), now);
  EXPECT_EQ(one->learned(now), quotas({5, 1s}));
  EXPECT_TRUE(other->learned(now).empty());
}

TEST_F(BudgetTest, OutlivesItsProcess) {
  const TimePoint now = std::chrono::steady_clock::now();
  const Pace pace{1, 10s};
  share()->close_until(now + 3s);
  EXPECT_TRUE(send(*share(), pace, now));
  EXPECT_EQ(share()->closed_until(), now + 3s);
  EXPECT_FALSE(send(*share(), pace, now));
}

TEST_F(BudgetTest, NobodyElseHasAccessAndNoNameTellsTheKey) {
  share("https://example.com secret");
  struct stat status{};
  ASSERT_EQ(::stat(folder.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777u, 0700u);
  ASSERT_EQ(::stat(the_file().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777u, 0600u);
  std::ifstream file(the_file(), std::ios::binary);
  const std::string content((std::istreambuf_iterator<char>(file)), {});
  for (const std::string_view word : {"secret", "example"}) {
    EXPECT_EQ(the_file().find(word), std::string::npos);
    EXPECT_EQ(content.find(word), std::string::npos);
  }
}

TEST_F(BudgetTest, RefusesFoldersAndFilesThatOthersMayChange) {
  const auto refusal = [&] {
    const auto budget = Budget::share(folder, "key");
    return budget ? std::string() : budget.error().message;
  };
  fs::create_directory(folder);
  ASSERT_EQ(::chmod(folder.c_str(), 0755), 0);
  EXPECT_NE(refusal().find("is open to others"), std::string::npos);
  fs::remove(folder);

  fs::create_directory(top + "/elsewhere");
  fs::create_directory_symlink(top + "/elsewhere", folder);
  EXPECT_FALSE(refusal().empty()) << "a link may lead anywhere";
  fs::remove(folder);

  share();
  const std::string file = the_file();
  ASSERT_EQ(::chmod(file.c_str(), 0644), 0);
  EXPECT_NE(refusal().find("is open to others"), std::string::npos);
  fs::remove(file);
  fs::create_symlink(top + "/elsewhere/file", file);
  EXPECT_FALSE(refusal().empty());
  EXPECT_FALSE(fs::exists(top + "/elsewhere/file"));
  fs::remove(file);
  ASSERT_EQ(::mkfifo(file.c_str(), 0600), 0);
  EXPECT_NE(refusal().find("is of the wrong kind"), std::string::npos);

  EXPECT_FALSE(Budget::share(top + "/no/such/folder", "key"));
}

TEST_F(BudgetTest, BeginsADamagedFileAnew) {
  const TimePoint now = std::chrono::steady_clock::now();
  const Pace pace{1, 10s};
  ASSERT_TRUE(send(*share(), pace, now));
  const std::string file = the_file();
  std::string whole;
  {
    std::ifstream in(file, std::ios::binary);
    whole.assign(std::istreambuf_iterator<char>(in), {});
  }
  std::string other_boot = whole;
  other_boot[8] = other_boot[8] == 'x' ? 'y' : 'x';
  std::string closed_for_ever = whole;
  closed_for_ever[48 + 7] = '\x7f';
  for (const std::string& content :
       {std::string(), std::string("short"), whole + "long", std::string(whole.size(), '\0'),
        std::string(whole.size(), '\xff'), other_boot, closed_for_ever}) {
    std::ofstream(file, std::ios::binary | std::ios::trunc) << content;
    const auto budget = share();
    ASSERT_TRUE(budget);
    EXPECT_LT(budget->closed_until(), now);
    EXPECT_TRUE(send(*budget, pace, now)) << "begun anew, and open";
    EXPECT_FALSE(send(*share(), pace, now)) << "and shared";
  }
  // What was whole is not touched.
  std::ofstream(file, std::ios::binary | std::ios::trunc) << whole;
  EXPECT_FALSE(send(*share(), pace, now));
}

TEST_F(BudgetTest, AStoppedMakerIsNotWaitedFor) {
  share();
  const std::string file = the_file();
  ASSERT_EQ(::truncate(file.c_str(), 0), 0);
  const int holder = ::open(file.c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(::flock(holder, LOCK_EX), 0);
  const auto budget = Budget::share(folder, "key");
  ASSERT_FALSE(budget);
  EXPECT_NE(budget.error().message.find("is held by another process"), std::string::npos);
  ::close(holder);
  EXPECT_TRUE(Budget::share(folder, "key"));
}

TEST_F(BudgetTest, WhoHasMadeItHoldsNothing) {
  const auto maker = share();
  const int other = ::open(the_file().c_str(), O_RDWR | O_CLOEXEC);
  EXPECT_EQ(::flock(other, LOCK_EX | LOCK_NB), 0) << "a mapping keeps the lock of its file";
  ::close(other);
}

TEST_F(BudgetTest, SeveralMayMakeItAtTheSameTime) {
  for (int round = 0; round < 50; ++round) {
    const std::string key = fmt::format("key {}", round);
    std::vector<std::unique_ptr<Budget>> budgets(4);
    std::vector<std::thread> threads;
    for (auto& budget : budgets) {
      threads.emplace_back([&] {
        if (auto made = Budget::share(folder, key)) budget = std::move(*made);
      });
    }
    for (std::thread& thread : threads) thread.join();
    const TimePoint now = std::chrono::steady_clock::now();
    std::size_t sent = 0;
    for (const auto& budget : budgets) {
      ASSERT_TRUE(budget);
      sent += send(*budget, {.requests = 1, .span = 10s}, now) ? 1u : 0u;
    }
    ASSERT_EQ(sent, 1u) << "they share it";
  }
}

TEST_F(BudgetTest, FolderIsTheUsersOwn) {
  EXPECT_EQ(Budget::folder(top, "/tmp"), top + "/sluice");
  const std::string own = fmt::format("/sluice-{}", ::geteuid());
  EXPECT_EQ(Budget::folder("", "/var/tmp"), "/var/tmp" + own);
  EXPECT_EQ(Budget::folder("relative", ""), "/tmp" + own);
  EXPECT_EQ(Budget::folder(top + "/absent", ""), "/tmp" + own);
}

// Real processes, killed at random: what they have sent is read off what each wrote down of it.
TEST_F(BudgetTest, KilledProcessesHoldNobodyUpAndNoneExceeds) {
  const Pace pace = pace_of({200, 50ms});
  const std::string record = top + "/sends";
  const int log = ::open(record.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  ASSERT_GE(log, 0);

  const auto start = [&] {
    const pid_t child = ::fork();
    if (child != 0) return child;
    // Every process makes or opens the file by itself.
    auto budget = Budget::share(folder, "key");
    if (!budget) ::_exit(1);
    for (;;) {
      const auto place = (*budget)->log().reserve({&pace, 1}, std::chrono::steady_clock::now());
      if (!place.number) {
        std::this_thread::sleep_until(place.open_at);
        continue;
      }
      const TimePoint now = std::chrono::steady_clock::now();
      if (!(*budget)->log().commit(*place.number, now)) continue;
      const auto time = now.time_since_epoch().count();
      if (::write(log, &time, sizeof time) != sizeof time) ::_exit(1);
    }
  };
  const auto sent = [&] { return fs::file_size(record) / sizeof(Duration::rep); };

  std::vector<pid_t> children;
  for (int i = 0; i < 4; ++i) children.push_back(start());
  std::mt19937 random(1);
  const auto give_up = std::chrono::steady_clock::now() + 60s;
  int kills = 0;
  while ((sent() < 6000 || kills < 50) && std::chrono::steady_clock::now() < give_up) {
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 8000));
    pid_t& child = children[random() % children.size()];
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "a child ended by itself: " << status;
    ++kills;
    child = start();
  }
  for (const pid_t child : children) {
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
  }
  ::close(log);
  ASSERT_GE(sent(), 6000u) << "the budget stood still after " << kills << " kills";
  EXPECT_GE(kills, 50);

  std::vector<Duration::rep> times(sent());
  std::ifstream(record, std::ios::binary)
      .read(reinterpret_cast<char*>(times.data()),
            static_cast<std::streamsize>(times.size() * sizeof(times[0])));
  std::ranges::sort(times);
  for (std::size_t i = pace.requests; i < times.size(); ++i) {
    ASSERT_GE(Duration(times[i] - times[i - pace.requests]), pace.span) << i;
  }
}

}  // namespace
}  // namespace sluice::flow
