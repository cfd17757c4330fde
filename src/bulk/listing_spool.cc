#include "bulk/listing_spool.h"

#include <filesystem>
#include <utility>
#include <vector>

#include "sqlite/database.h"
#include "store/sqlite/sqlite.h"

namespace sluice::bulk {

namespace {

// The namespaces of the spool's file: the entries, and one that is made when all are there.
constexpr std::string_view kEntries = "default";
constexpr std::string_view kComplete = "complete";

}  // namespace

io::Task<Result<std::unique_ptr<ListingSpool>>> ListingSpool::open(Job& job, std::string path) {
  std::unique_ptr<ListingSpool> spool(new ListingSpool);
  std::error_code ignored;
  const bool found = !path.empty() && std::filesystem::exists(path, ignored);
  auto begun = co_await spool->begin(job, path);
  if (begun && found && !spool->complete_) {
    // What a listing that was cut off has collected may be gone or no longer selected by now.
    spool = std::unique_ptr<ListingSpool>(new ListingSpool);
    sqlite::remove_database(path);
    begun = co_await spool->begin(job, std::move(path));
  }
  if (!begun) co_return std::unexpected(begun.error());
  co_return spool;
}

io::Task<Result<>> ListingSpool::begin(Job& job, std::string path) {
  if (path.empty()) {
    auto folder = io::TemporaryFolder::create("listing");
    if (!folder) co_return std::unexpected(std::move(folder.error()));
    path = folder->path() + "/listing";
    temporary_.emplace(std::move(*folder));
  }
  const store::Environment environment{.executor = job.executor,
                                       .stop = job.stop,
                                       .log = job.log,
                                       .setting = {},
                                       .data_folder = {},
                                       .gate = {},
                                       .retry = {}};
  auto opened = store::open_sqlite(path, environment);
  if (!opened) co_return std::unexpected(opened.error());
  backend_ = std::move(opened->backend);
  auto entries = co_await backend_->find_namespace(kEntries);
  if (!entries) co_return std::unexpected(entries.error());
  store_ = backend_->open(*entries);
  auto complete = co_await backend_->find_namespace(kComplete);
  if (!complete && complete.error().code != ErrorCode::not_found) {
    co_return std::unexpected(complete.error());
  }
  complete_ = complete.has_value();
  co_return Result<>();
}

io::Task<Result<>> ListingSpool::put(const store::Block& entries) {
  const store::Capabilities& can = store_->capabilities();
  std::vector<store::EntryView> batch;
  std::size_t bytes = 0;
  for (std::size_t next = 0; next < entries.size();) {
    const store::EntryView& entry = entries[next];
    const std::size_t size = entry.key.size() + entry.metadata.size();
    const bool full =
        !batch.empty() && (batch.size() == can.put_entries || bytes + size > can.put_bytes);
    if (!full) {
      batch.push_back({.key = entry.key,
                       .metadata = entry.metadata,
                       .expiration = entry.expiration,
                       .presence = store::Presence::present});
      bytes += size;
      ++next;
    }
    if (full || next == entries.size()) {
      auto answer = co_await store_->put(batch);
      if (!answer) co_return std::unexpected(answer.error());
      if (!answer->failed.empty()) co_return std::unexpected(answer->failed.front().error);
      batch.clear();
      bytes = 0;
    }
  }
  co_return Result<>();
}

io::Task<Result<>> ListingSpool::set_complete() {
  auto made = co_await backend_->create_namespace(kComplete);
  if (!made) co_return std::unexpected(made.error());
  complete_ = true;
  co_return Result<>();
}

}  // namespace sluice::bulk
