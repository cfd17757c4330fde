// Conformance: a backend that several loops use at the same time, each in a thread of its own.
#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <latch>
#include <map>
#include <optional>
#include <random>
#include <thread>

#include "store/conformance.h"

namespace sluice::store::conformance {

namespace {

constexpr std::size_t kLoops = 4;
constexpr std::size_t kOwnKeys = 60;       // of each loop: nobody else touches them
constexpr std::size_t kSharedKeys = 12;    // all loops write and erase them
constexpr std::size_t kStayingKeys = 150;  // all loops overwrite them, and nobody erases one

// A value that tells whether it is whole: the hash of what follows, and then the key, who wrote it
// at which step, and some filling.
std::string sealed(std::string_view key, std::size_t loop, std::size_t step, std::size_t filling) {
  const std::string text = fmt::format("{} {} {} {}", key, loop, step, std::string(filling, 'x'));
  return fmt::format("{:016x} {}", XXH3_64bits(text.data(), text.size()), text);
}
std::string signature(std::size_t loop, std::size_t step) {
  return fmt::format("[{},{}]", loop, step);
}

struct Written {
  std::size_t loop = 0;
  std::size_t step = 0;
};

// Who wrote the entry; none if it is not one whole entry of one put.
std::optional<Written> seal_of(const EntryView& entry) {
  if (entry.value.size() < 17) return std::nullopt;
  const std::string_view text = entry.value.substr(17);
  if (fmt::format("{:016x}", XXH3_64bits(text.data(), text.size())) != entry.value.substr(0, 16) ||
      !text.starts_with(entry.key)) {
    return std::nullopt;
  }
  Written by;
  if (std::sscanf(std::string(text.substr(entry.key.size())).c_str(), " %zu %zu ", &by.loop,
                  &by.step) != 2 ||
      entry.metadata != signature(by.loop, by.step)) {
    return std::nullopt;
  }
  return by;
}

// What one loop does, and what it knows must be there.
class Worker {
 public:
  Worker(std::size_t number, Store& store, std::size_t steps)
      : number_(number), store_(store), steps_(steps), random_(number) {}

  io::Task<bool> work() {
    const std::thread::id mine = std::this_thread::get_id();
    for (step_ = 1; step_ <= steps_ && !testing::Test::HasFailure(); ++step_) {
      switch (random_() % 8) {
        case 0:
        case 1:
        case 2:
          co_await put();
          break;
        case 3:
          co_await erase();
          break;
        case 4:
          co_await list();
          break;
        default:
          co_await get();
      }
      EXPECT_EQ(std::this_thread::get_id(), mine) << "resumed on another loop";
    }
    co_return true;
  }

  // What this loop did last to a shared key: written at a step, erased (0), or nothing.
  [[nodiscard]] std::optional<std::size_t> last(const std::string& key) const {
    const auto found = shared_.find(key);
    return found != shared_.end() ? std::optional(found->second) : std::nullopt;
  }
  [[nodiscard]] const std::map<std::string, std::size_t>& own() const { return own_; }
  [[nodiscard]] std::size_t listings() const { return listings_; }

  static std::string staying_key(std::size_t i) { return fmt::format("{:02}:stay", i); }
  static std::string shared_key(std::size_t i) { return fmt::format("{:02}:shared", i); }

 private:
  std::string own_key() { return fmt::format("{:02}:own:{}", random_() % kOwnKeys, number_); }

  io::Task<> put() {
    std::vector<std::string> keys;
    for (int i = 0; i < 4; ++i) keys.push_back(own_key());
    keys.push_back(shared_key(random_() % kSharedKeys));
    keys.push_back(staying_key(random_() % kStayingKeys));
    keys.push_back(keys.front());  // twice: the later one stays
    std::vector<std::string> values;
    for (const std::string& key : keys) {
      const bool large = random_() % 8 == 0;
      values.push_back(sealed(key, number_, step_, random_() % (large ? 20'000 : 200)));
    }
    const std::string by = signature(number_, step_);
    std::vector<EntryView> entries;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      entries.push_back({keys[i], values[i], by, 0, Presence::present});
    }
    entries.front().metadata = "\"the later one stays\"";
    const auto answer = co_await store_.put(entries);
    EXPECT_TRUE(answer && answer->failed.empty());
    for (const std::string& key : keys) {
      if (key.find(":own:") != std::string::npos) own_[key] = step_;
      if (key.find(":shared") != std::string::npos) shared_[key] = step_;
    }
  }

  io::Task<> erase() {
    std::vector<std::string> keys;
    for (int i = 0; i < 3; ++i) keys.push_back(own_key());
    keys.push_back(shared_key(random_() % kSharedKeys));
    const std::vector<std::string_view> views(keys.begin(), keys.end());
    const auto answer = co_await store_.erase(views);
    EXPECT_TRUE(answer && answer->failed.empty());
    for (std::size_t i = 0; i < 3; ++i) own_.erase(keys[i]);
    shared_[keys.back()] = 0;
  }

  io::Task<> get() {
    std::vector<std::string> keys;
    for (int i = 0; i < 3; ++i) keys.push_back(own_key());
    keys.push_back(shared_key(random_() % kSharedKeys));
    keys.push_back(staying_key(random_() % kStayingKeys));
    const std::vector<std::string_view> views(keys.begin(), keys.end());
    const auto answer = co_await store_.get(views);
    EXPECT_TRUE(answer);
    if (!answer) co_return;
    for (const EntryView& entry : answer->entries) {
      const bool is_own = entry.key.find(":own:") != std::string_view::npos;
      const auto expected = own_.find(std::string(entry.key));
      if (entry.presence == Presence::missing) {
        EXPECT_FALSE(entry.key.ends_with(":stay")) << entry.key;
        if (is_own) EXPECT_TRUE(expected == own_.end()) << "lost: " << entry.key;
        continue;
      }
      const auto by = seal_of(entry);
      EXPECT_TRUE(by) << "torn: " << entry.key << " = " << entry.value.substr(0, 60);
      if (!is_own || !by) continue;
      EXPECT_EQ(by->loop, number_);
      EXPECT_EQ(by->step, expected != own_.end() ? expected->second : 0) << entry.key;
    }
  }

  // In order, each staying key once, and of this loop's own keys, which nobody changes meanwhile,
  // exactly those that it knows.
  io::Task<> list() {
    std::string before;
    std::string cursor;
    std::size_t staying = 0;
    std::vector<std::string> mine;
    const std::size_t limit = 10 + random_() % 90;
    do {
      const ListRequest request{.cursor = cursor, .limit = limit};
      const auto page = co_await store_.list(request);
      EXPECT_TRUE(page);
      if (!page) co_return;
      for (const EntryView& entry : page->entries) {
        EXPECT_LT(before, entry.key);
        before = entry.key;
        if (entry.key.ends_with(":stay")) ++staying;
        if (entry.key.ends_with(fmt::format(":own:{}", number_))) mine.emplace_back(entry.key);
      }
      cursor = page->cursor;
    } while (!cursor.empty());
    EXPECT_EQ(staying, kStayingKeys);
    std::vector<std::string> known;
    for (const auto& [key, step] : own_) known.push_back(key);
    EXPECT_EQ(mine, known);
    ++listings_;
  }

  const std::size_t number_;
  Store& store_;
  const std::size_t steps_;
  std::mt19937 random_;
  std::size_t step_ = 0;
  std::size_t listings_ = 0;
  std::map<std::string, std::size_t> own_;     // keys that are there, and the step that wrote them
  std::map<std::string, std::size_t> shared_;  // see `last`
};

}  // namespace

TEST_P(Conformance, SeveralLoopsAtOnceLoseAndTearNothing) {
  if (!GetParam().any_loop) GTEST_SKIP() << "belongs to one loop";
  auto made = run(backend().create_namespace("several loops"));
  ASSERT_TRUE(made);
  const auto store = backend().open(*made);
  std::vector<Entry> staying;
  for (std::size_t i = 0; i < kStayingKeys; ++i) {
    const std::string key = Worker::staying_key(i);
    staying.push_back({key, sealed(key, 0, 0, 10), signature(0, 0), 0});
  }
  put(*store, staying);

  // Some loops share one Store, the others have their own.
  std::vector<std::unique_ptr<Store>> stores;
  std::vector<std::unique_ptr<Worker>> workers;
  for (std::size_t i = 0; i < kLoops; ++i) {
    if (i % 2 == 1) stores.push_back(backend().open(*made));
    workers.push_back(
        std::make_unique<Worker>(i, i % 2 == 1 ? *stores.back() : *store, GetParam().loop_steps));
  }
  std::latch begin(kLoops);
  {
    std::vector<std::jthread> threads;
    for (const auto& worker : workers) {
      threads.emplace_back([&begin, &worker] {
        io::Loop loop;
        begin.arrive_and_wait();
        EXPECT_TRUE(loop.run(worker->work()));
      });
    }
  }

  std::size_t listings = 0;
  std::map<std::string, std::size_t> own;
  for (const auto& worker : workers) {
    own.insert(worker->own().begin(), worker->own().end());
    listings += worker->listings();
  }
  EXPECT_GT(listings, 0u);
  const auto listed = list(*store, {}, 0, true);
  std::size_t found_own = 0;
  std::map<std::string, Written> found_shared;
  for (const Entry& entry : listed) {
    const auto by = seal_of(view(entry));
    ASSERT_TRUE(by) << entry;
    if (entry.key.find(":own:") != std::string::npos) {
      ++found_own;
      EXPECT_EQ(own[entry.key], by->step) << entry.key;
    }
    if (entry.key.ends_with(":shared")) found_shared[entry.key] = *by;
  }
  EXPECT_EQ(found_own, own.size());
  // A shared key is as one of the loops left it: in the end, somebody was the last.
  for (std::size_t i = 0; i < kSharedKeys; ++i) {
    const std::string key = Worker::shared_key(i);
    const auto found = found_shared.find(key);
    if (found != found_shared.end()) {
      EXPECT_EQ(workers[found->second.loop]->last(key), found->second.step) << key;
    } else {
      const auto erased = [&](const auto& worker) { return worker->last(key) == 0; };
      const auto untouched = [&](const auto& worker) { return !worker->last(key); };
      EXPECT_TRUE(std::ranges::any_of(workers, erased) || std::ranges::all_of(workers, untouched))
          << "lost: " << key;
    }
  }
}

TEST_P(Conformance, SeveralLoopsAtOnceMakeAndDeleteNamespaces) {
  if (!GetParam().any_loop) GTEST_SKIP() << "belongs to one loop";
  const auto before = run(backend().namespaces());
  ASSERT_TRUE(before);
  const auto cycle = [&](std::string title) -> io::Task<bool> {
    const auto made = co_await backend().create_namespace(title);
    if (!made) co_return false;
    const auto store = backend().open(*made);
    const Entry entry{"k", title, "", 0};
    const std::vector<EntryView> entries = {view(entry)};
    const auto written = co_await store->put(entries);
    const std::string other = title + ", renamed";
    const auto renamed = co_await backend().rename_namespace(*made, other);
    const auto found = co_await backend().find_namespace(other);
    const std::vector<std::string_view> keys = {"k"};
    const auto got = co_await store->get(keys);
    const auto deleted = co_await backend().delete_namespace(*made);
    const auto gone = co_await store->get(keys);
    co_return written&& renamed&& found && found->id == made->id&& got &&
        got->entries[0].value == title&& deleted && !gone &&
        gone.error().code == ErrorCode::not_found;
  };
  {
    std::latch begin(kLoops);
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < kLoops; ++i) {
      threads.emplace_back([&, i] {
        io::Loop loop;
        begin.arrive_and_wait();
        for (int time = 0; time < 5; ++time) {
          EXPECT_TRUE(loop.run(cycle(fmt::format("of loop {}, {}", i, time))));
        }
      });
    }
  }
  const auto after = run(backend().namespaces());
  ASSERT_TRUE(after);
  EXPECT_EQ(after->size(), before->size());
}

}  // namespace sluice::store::conformance
