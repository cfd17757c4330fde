// Measures the local cache within a process, and prints one JSON object of figures.
// usage: localcache_bench FOLDER ENTRIES      FOLDER is made, and must not exist
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "localcache/cache.h"
#include "localcache/lock.h"

namespace {

using namespace sluice::localcache;

template <class T>
T must(sluice::Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "%s\n", result.error().message.c_str());
    std::exit(1);
  }
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

std::string random_value(std::mt19937_64& random, std::size_t size) {
  std::string value(size, '\0');
  for (char& byte : value) byte = static_cast<char>(random());
  return value;
}

double wall() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}
double cpu() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

void figure(const char* name, double value) {
  static bool first = true;
  std::printf("%s\"%s\":%.6g", first ? "{" : ",", name, value);
  first = false;
}

// What one of `times` calls takes, of the CPU and of the clock: on average, half and 99.9 % of
// them.
template <class Body>
void each(const std::string& name, int times, Body body) {
  std::vector<double> waits;
  std::vector<double> works;
  const double cpu_before = cpu();
  const double before = wall();
  for (int i = 0; i < times; ++i) {
    const double began = wall();
    const double began_cpu = cpu();
    body(i);
    works.push_back(cpu() - began_cpu);
    waits.push_back(wall() - began);
  }
  figure((name + "_cpu_us").c_str(), (cpu() - cpu_before) / times * 1e6);
  figure((name + "_us").c_str(), (wall() - before) / times * 1e6);
  std::sort(waits.begin(), waits.end());
  std::sort(works.begin(), works.end());
  figure((name + "_p999_cpu_us").c_str(), works[works.size() * 999 / 1000] * 1e6);
  figure((name + "_p50_us").c_str(), waits[waits.size() / 2] * 1e6);
  figure((name + "_p999_us").c_str(), waits[waits.size() * 999 / 1000] * 1e6);
  figure((name + "_max_us").c_str(), waits.back() * 1e6);
}

std::string key_of(int number) {
  return "a key of a script: " + std::to_string(number);
}

void fill(Cache& cache, int from, int to, std::mt19937_64& random) {
  constexpr int kBatch = 10'000;
  for (int begin = from; begin < to; begin += kBatch) {
    const int end = std::min(begin + kBatch, to);
    std::vector<std::string> keys;
    std::vector<std::string> values;
    for (int i = begin; i < end; ++i) {
      keys.push_back(key_of(i));
      values.push_back(random_value(random, 1000));
    }
    std::vector<Operation> sets;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      sets.push_back({.kind = Operation::Kind::set, .key = keys[i], .value = values[i]});
    }
    must(cache.batch(sets));
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const std::string folder = argv[1];
  const int entries = std::atoi(argv[2]);
  std::mt19937_64 random(1);
  const std::string value = random_value(random, 1000);

  {  // Few entries.
    Cache cache = must(
        Cache::open({.root = folder, .name = "small"}, {.limits = {.max_bytes = 1'000'000'000}}));
    fill(cache, 0, 1000, random);
    each("get", 50'000, [&](int i) { must(cache.get(key_of(i % 1000))); });
    each("set", 20'000, [&](int i) { must(cache.set(key_of(i % 1000), value)); });
    each("set_new", 20'000, [&](int i) { must(cache.set(key_of(10'000 + i), value)); });
  }
  {  // Batches.
    Cache cache = must(
        Cache::open({.root = folder, .name = "batch"}, {.limits = {.max_bytes = 1'000'000'000}}));
    std::vector<std::string> keys;
    for (int i = 0; i < 10'000; ++i) keys.push_back(key_of(i));
    std::vector<Operation> sets;
    for (const std::string& key : keys) {
      sets.push_back({.kind = Operation::Kind::set, .key = key, .value = "a value of a script"});
    }
    const double began = wall();
    must(cache.batch(sets));
    figure("batch_entries_per_s", 10'000 / (wall() - began));
    const double again = wall();
    must(cache.batch(sets));
    figure("batch_again_entries_per_s", 10'000 / (wall() - again));
    each("batch_of_100", 50, [&](int i) {
      must(cache.batch(std::span(sets).subspan(static_cast<std::size_t>(i) * 100, 100)));
    });
    each("set_short", 5000,
         [&](int i) { must(cache.set(keys[static_cast<std::size_t>(i)], "a value of a script")); });
  }
  {  // Many entries, at the limit.
    const auto entry_bytes = static_cast<std::uint64_t>(1000 + key_of(entries / 2).size());
    const Location large{.root = folder, .name = "large"};
    {
      Cache cache = must(Cache::open(
          large, {.limits = {.max_bytes = entry_bytes * static_cast<std::uint64_t>(entries)}}));
      const double began = wall();
      fill(cache, 0, entries, random);
      figure("fill_entries_per_s", entries / (wall() - began));
    }
    const auto space = [&](const char* name) {
      const Size size = must(must(Cache::open(large)).size());
      figure(name, static_cast<double>(size.disk_bytes) / static_cast<double>(size.bytes));
    };
    space("space");
    {
      Cache cache = must(Cache::open(large));
      figure("entries", static_cast<double>(must(cache.size()).entries));
      each("get_of_many", 20'000, [&](int) {
        must(cache.get(key_of(static_cast<int>(random() % static_cast<std::uint64_t>(entries)))));
      });
      each("set_at_limit", 100'000,
           [&](int i) { must(cache.set(key_of(2 * entries + i), value)); });
      figure("entries_after", static_cast<double>(must(cache.size()).entries));
    }
    space("space_after");
    {  // What eviction takes, without what the disk takes.
      Cache cache = must(Cache::open(large, {.sync = Sync::off}));
      each("set_at_limit_unsynced", 100'000,
           [&](int i) { must(cache.set(key_of(3 * entries + i), value)); });
    }
    // In turns, so that both see the same machine.
    Cache few = must(Cache::open({.root = folder, .name = "few"}));
    fill(few, 0, 1000, random);
    Cache many = must(Cache::open(large));
    std::vector<double> ratios;
    for (int i = 0; i < 20'000; ++i) {
      const double began = wall();
      must(few.size());
      const double between = wall();
      must(many.size());
      ratios.push_back((wall() - between) / (between - began));
    }
    std::sort(ratios.begin(), ratios.end());
    figure("size_ratio", ratios[ratios.size() / 2]);
  }
  {  // Eight who take turns of 20 ms.
    constexpr auto kTurn = std::chrono::milliseconds(20);
    const Location location{.root = folder, .name = "small"};
    const double began = wall();
    {
      std::vector<std::jthread> contenders;
      for (int i = 0; i < 8; ++i) {
        contenders.emplace_back([&] {
          const Lock lock = must(Lock::take(location, "a lock"));
          std::this_thread::sleep_for(kTurn);
        });
      }
    }
    figure("lock_ratio", (wall() - began) / (8 * std::chrono::duration<double>(kTurn).count()));
  }
  std::printf("}\n");
  return 0;
}
