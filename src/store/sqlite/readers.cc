#include "store/sqlite/readers.h"

#include <sys/stat.h>

#include <algorithm>

namespace sluice::store {

SqliteReaders::SqliteReaders(SqliteReader first, std::size_t count,
                             const Capabilities& capabilities,
                             std::shared_ptr<const std::atomic<bool>> give_up)
    : path_(first.path()),
      file_(File::at(path_)),
      capabilities_(capabilities),
      give_up_(std::move(give_up)) {
  for (std::size_t i = 0; i < std::max<std::size_t>(count, 1); ++i) {
    readers_.push_back(std::make_unique<Reader>());
  }
  readers_.front()->connection.emplace(std::move(first));
}

// Two loops may take the same one at the same moment: then one of the calls waits for the other,
// which is no more than a pity.
SqliteReaders::Reader& SqliteReaders::least_busy() {
  Reader* best = nullptr;
  std::size_t least = SIZE_MAX;
  for (const auto& reader : readers_) {
    const std::size_t calls = reader->calls.load(std::memory_order_relaxed);
    if (calls >= least) continue;
    best = reader.get();
    least = calls;
    if (calls == 0) break;
  }
  best->calls.fetch_add(1, std::memory_order_relaxed);
  return *best;
}

SqliteReaders::File SqliteReaders::File::at(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) return {};
  return {.device = status.st_dev, .number = status.st_ino};
}

Result<> SqliteReaders::connect(Reader& reader) {
  if (reader.connection) return reader.connection->check_in_place();
  auto opened = SqliteReader::open(path_, capabilities_, give_up_);
  if (File::at(path_) != file_) return std::unexpected(sqlite::moved(path_));
  if (!opened) return std::unexpected(std::move(opened.error()));
  reader.connection.emplace(std::move(*opened));
  return {};
}

}  // namespace sluice::store
