// RecordFeed: the records of a file, read ahead on a thread of its own.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "bulk/entry_file.h"
#include "io/stop.h"
#include "io/worker.h"

namespace sluice::bulk {

// Gives the records of an EntryFile in pieces of some hundred kilobytes; the next piece is read and
// parsed while the last one is worked on. A stop ends the reading, even a wait for a pipe, with the
// stop's reason. Always `co_await close()` before destroying a feed, and before the stop goes away.
// Belongs to one loop.
class RecordFeed {
 public:
  static Result<std::unique_ptr<RecordFeed>> open(io::Executor executor, io::Stop& stop,
                                                  const std::string& path,
                                                  const EntryFile::Options& options);

  struct Piece {
    Records records;
    bool end = false;  // nothing comes after these
  };
  // An error comes after the good records that precede it.
  io::Task<Result<Piece>> next();
  io::Task<> close();

  // The length of the file in bytes, if it is known.
  [[nodiscard]] std::uint64_t size() const { return file_.input().size(); }

 private:
  RecordFeed(io::Executor executor, io::Stop& stop, EntryFile file)
      : executor_(executor),
        stop_(stop),
        file_(std::move(file)),
        on_stop_(stop, [this] { file_.interrupt(); }) {
    if (stop.requested()) file_.interrupt();
  }

  static io::Task<Result<Piece>> read(RecordFeed& feed);
  Result<Piece> read_piece();

  io::Executor executor_;
  io::Stop& stop_;
  EntryFile file_;
  std::optional<Error> error_;  // found behind the last piece
  bool ended_ = false;
  std::optional<io::Started<Result<Piece>>> ahead_;
  io::Stop::Listener on_stop_;
  io::Worker worker_;
};

}  // namespace sluice::bulk
