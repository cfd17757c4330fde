// What the tests of the bulk jobs stand on: a store in memory, as narrow as a remote service,
// behind one that fails on command.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <string>

#include "bulk/job.h"
#include "bulk/job_log.h"
#include "store/faulty.h"
#include "store/memory/memory.h"

namespace sluice::bulk {

struct StoredEntry {
  std::string value;
  std::string metadata;
  std::int64_t expiration = 0;
  friend bool operator==(const StoredEntry&, const StoredEntry&) = default;
};
using Contents = std::map<std::string, StoredEntry>;

class JobFixture : public ::testing::Test {
 public:
  JobFixture() { std::filesystem::create_directory(folder); }
  ~JobFixture() override { std::filesystem::remove_all(folder); }

  // A backend that has to be asked as a remote one has to be.
  static store::MemoryOptions narrow() {
    store::MemoryOptions options;
    options.capabilities.list_page = 20;
    options.capabilities.get_keys = 7;
    options.capabilities.put_entries = 30;
    options.capabilities.erase_keys = 30;
    options.capabilities.lists_values = false;
    options.capabilities.seekable = false;
    options.capabilities.remote = true;
    return options;
  }

  std::unique_ptr<store::Store> open(store::Backend& from) {
    const auto body = [&]() -> io::Task<store::Namespace> {
      co_return *co_await from.find_namespace("default");
    };
    return from.open(loop.run(body()));
  }

  // The store through which the job under test goes.
  store::FaultyStore& faulty(store::FaultyStore::Hook with = {}) {
    faulty_store = std::make_unique<store::FaultyStore>(open(*backend), std::move(with));
    return *faulty_store;
  }

  // Entries "key:0000" and on, every third with the tag "old".
  void fill(std::size_t entries) {
    store::Block block;
    for (std::size_t i = 0; i < entries; ++i) {
      const std::string key = fmt::format("key:{:04}", i);
      const std::string value = fmt::format("value {}", i);
      const std::string metadata =
          fmt::format(R"({{ "tags":["t{}"{}], "n":{} }})", i % 5, i % 3 == 0 ? R"(,"old")" : "", i);
      block.append(
          {.key = key, .value = value, .metadata = metadata, .presence = store::Presence::present});
    }
    put(*backend, block);
  }

  void put(store::Backend& into, const store::Block& block) {
    const auto to = open(into);
    const auto body = [&]() -> io::Task<int> {
      const auto all = block.entries();
      for (std::size_t at = 0; at < all.size(); at += to->capabilities().put_entries) {
        const auto answer = co_await to->put(
            all.subspan(at, std::min(to->capabilities().put_entries, all.size() - at)));
        EXPECT_TRUE(answer && answer->failed.empty());
      }
      co_return 0;
    };
    loop.run(body());
  }

  // All that is in a backend's default namespace, read without the code under test.
  Contents contents(store::Backend& of) {
    const auto from = open(of);
    Contents all;
    const auto body = [&]() -> io::Task<int> {
      std::string cursor;
      do {
        auto page = co_await from->list({.cursor = cursor});
        for (const store::EntryView& entry : page->entries) {
          const std::string_view key = entry.key;
          auto answer = co_await from->get(std::span(&key, 1));
          all[std::string(key)] = {std::string(answer->entries[0].value),
                                   std::string(entry.metadata), entry.expiration};
        }
        cursor = page->cursor;
      } while (!cursor.empty());
      co_return 0;
    };
    loop.run(body());
    return all;
  }

  Job job() {
    return {.executor = loop.executor(),
            .stop = *stop,
            .log = log,
            .progress = progress,
            .retrier = *retrier,
            .settings = settings,
            .journal = journal ? &*journal : nullptr,
            .failure_path = failure_path};
  }

  // As a new process would: nothing of the last run is left but the journal and the files.
  void restart() {
    journal.reset();
    stop = std::make_unique<io::Stop>(loop.executor());
    retrier = std::make_unique<flow::Retrier>(*stop, kQuick, 1);
    progress = {};
  }

  // Begins a job with a journal; returns its id. Throws when it cannot.
  std::string begin_job() {
    journal.emplace(jobs.create({.command = "test", .identity = "x"}).value());
    return journal->header().id;
  }
  // Goes on with it, as a new process would.
  void resume_job(const std::string& id) {
    restart();
    journal.emplace(jobs.resume(id).value());
  }

  std::string read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  static constexpr flow::RetryPolicy kQuick{
      .attempts = 4, .base = std::chrono::milliseconds(0), .longest = std::chrono::milliseconds(0)};
  static Error error(ErrorCode code, Retry retry) {
    return {code, retry, std::nullopt, "made to fail"};
  }

  std::string folder = ::testing::TempDir() + "/sluice-bulk-" + std::to_string(::getpid());
  io::Loop loop;
  std::unique_ptr<io::Stop> stop = std::make_unique<io::Stop>(loop.executor());
  Log log{LogLevel::off};
  flow::Progress progress;
  std::unique_ptr<flow::Retrier> retrier = std::make_unique<flow::Retrier>(*stop, kQuick, 1);
  JobSettings settings;
  std::shared_ptr<store::Backend> backend = store::make_memory_backend(narrow());
  std::unique_ptr<store::FaultyStore> faulty_store;
  JobFolder jobs{folder + "/jobs"};
  std::optional<JobLog> journal;
  std::string failure_path;
};

}  // namespace sluice::bulk
