// SqliteReaders: several connections that read one file at the same time.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "io/worker.h"
#include "store/sqlite/reader.h"

namespace sluice::store {

// Each reader has a thread and keeps its prepared statements. Every one but the first opens its
// connection when it is first needed, so that an idle server costs no more than a job. May be used
// by several loops at the same time.
class SqliteReaders {
 public:
  // `first` is open already: so a file that cannot be read is noticed at once. `count` is at least
  // 1.
  SqliteReaders(SqliteReader first, std::size_t count, const Capabilities& capabilities,
                std::shared_ptr<const std::atomic<bool>> give_up);

  // Runs `work(SqliteReader&)`, which returns a Result, on the reader with the least to do. The
  // calling coroutine is suspended meanwhile and resumed on its own loop.
  template <class Work>
  auto run(Work work) -> io::Task<std::invoke_result_t<Work&, SqliteReader&>> {
    Reader& reader = least_busy();
    auto job = [this, &reader,
                work = std::move(work)]() mutable -> std::invoke_result_t<Work&, SqliteReader&> {
      const Turn turn(reader);
      if (auto ready = connect(reader); !ready) return std::unexpected(std::move(ready.error()));
      return work(*reader.connection);
    };
    return reader.thread.run(std::move(job));
  }

 private:
  struct Reader {
    std::atomic<std::size_t> calls = 0;      // waiting or under way
    std::optional<SqliteReader> connection;  // used by `thread` only
    io::Worker thread;                       // ends before its connection does
  };
  // A call that is under way, and counted until it ends.
  struct Turn {
    explicit Turn(Reader& which) : reader(which) {}
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    ~Turn() { reader.calls.fetch_sub(1, std::memory_order_relaxed); }
    Reader& reader;
  };
  // Which file a path leads to.
  struct File {
    dev_t device = 0;
    ino_t number = 0;  // 0: to none
    bool operator==(const File&) const = default;
    static File at(const std::string& path);
  };
  // The call that is about to come is counted already.
  Reader& least_busy();
  // Makes the reader ready: all of them read the file that the first one has opened, or none does.
  Result<> connect(Reader& reader);

  const std::string path_;
  const File file_;
  const Capabilities& capabilities_;
  const std::shared_ptr<const std::atomic<bool>> give_up_;
  std::vector<std::unique_ptr<Reader>> readers_;
};

}  // namespace sluice::store
