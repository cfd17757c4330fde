#include "bulk/record_feed.h"

#include <utility>

namespace sluice::bulk {

namespace {
// Worth a change of threads, and little beside the bytes that may be in flight.
constexpr std::size_t kPiece = std::size_t{256} << 10;
}  // namespace

Result<std::unique_ptr<RecordFeed>> RecordFeed::open(io::Executor executor, io::Stop& stop,
                                                     const std::string& path,
                                                     const EntryFile::Options& options) {
  auto file = EntryFile::open(path, options);
  if (!file) return std::unexpected(file.error());
  return std::unique_ptr<RecordFeed>(new RecordFeed(executor, stop, std::move(*file)));
}

Result<RecordFeed::Piece> RecordFeed::read_piece() {
  if (error_) return std::unexpected(*error_);
  Piece piece;
  while (!ended_ && piece.records.entries.bytes() < kPiece) {
    auto more = file_.read(piece.records);
    if (!more) {
      error_ = more.error();
      break;
    }
    ended_ = !*more;
  }
  if (error_ && piece.records.entries.empty() && piece.records.bad.empty()) {
    return std::unexpected(*error_);
  }
  piece.end = ended_;
  return piece;
}

io::Task<Result<RecordFeed::Piece>> RecordFeed::read(RecordFeed& feed) {
  co_return co_await feed.worker_.run([&feed] { return feed.read_piece(); });
}

io::Task<Result<RecordFeed::Piece>> RecordFeed::next() {
  if (!ahead_) ahead_.emplace(executor_, read(*this));
  auto piece = co_await ahead_->get();
  ahead_.reset();
  if (piece && !piece->end) {
    ahead_.emplace(executor_, read(*this));
    co_await io::yield();
  }
  if (!piece && piece.error().code == ErrorCode::interrupted && stop_.requested()) {
    co_return std::unexpected(stop_.reason());
  }
  co_return piece;
}

io::Task<> RecordFeed::close() {
  if (!ahead_) co_return;
  file_.interrupt();
  (void)co_await std::exchange(ahead_, std::nullopt)->get();
}

}  // namespace sluice::bulk
