#include "bulk/entry_file.h"

#include <algorithm>
#include <string_view>

namespace sluice::bulk {

namespace {
// With the shortest records there are, a piece is about 30,000 entries: 3 MB.
constexpr std::size_t kPiece = std::size_t{64} << 10;
}  // namespace

Result<EntryFile> EntryFile::open(std::string path, const Options& options) {
  Result<std::unique_ptr<Input>> input = Input::open(std::move(path));
  if (!input) return std::unexpected(std::move(input.error()));
  return EntryFile(std::move(*input), options);
}

std::unexpected<Error> EntryFile::named(Error error) const {
  error.message.insert(0, input_->name() + ": ");
  return std::unexpected(std::move(error));
}

// Fills piece_ with the next bytes. False: there are none.
Result<bool> EntryFile::fill() {
  Result<std::size_t> size = input_->read(piece_);
  if (!size) return std::unexpected(std::move(size.error()));
  size_ = *size;
  return size_ != 0;
}

Result<> EntryFile::start() {
  piece_.resize(kPiece);
  Result<bool> more = fill();
  const bool detecting = !options_.format;
  // The format shows at the first byte that is not white space; an input that has none within a
  // whole piece is read as what it will turn out not to be.
  while (more && *more && !options_.format) {
    options_.format = detect_format({piece_.data(), size_});
    if (options_.format) break;
    if (size_ == piece_.size()) {
      options_.format = Format::ndjson;
      break;
    }
    Result<std::size_t> size = input_->read(std::span(piece_).subspan(size_));
    if (!size) return std::unexpected(std::move(size.error()));
    if (*size == 0) break;
    size_ += *size;
  }
  if (!more) return std::unexpected(std::move(more.error()));
  if (detecting && options_.or_else && options_.format.value_or(Format::csv) == Format::csv) {
    options_.format = options_.or_else;
  }
  const Format format = options_.format.value_or(Format::ndjson);
  reader_ = format == Format::keys ? make_keys_reader(options_.nul, options_.reader)
                                   : make_entry_reader(format, options_.reader);
  if (options_.from == 0) return {};
  options_.format = format;
  return go_on();
}

// Moves to options_.from. Lines are counted on the way, so that messages tell the right ones.
Result<> EntryFile::go_on() {
  std::uint64_t line = 1;
  Records passed;
  while (size_ != 0) {
    const std::uint64_t begin = input_->offset() - size_;
    const std::size_t before = std::min<std::uint64_t>(size_, options_.from - begin);
    const std::string_view text(piece_.data(), before);
    if (options_.format == Format::json) {
      // No lines to count: what is left of the way may be jumped over.
      if (options_.from > input_->offset()) {
        if (Result<> moved = input_->skip_to(options_.from); !moved) return moved;
        size_ = 0;
        break;
      }
    } else if (reader_->needs_header()) {
      if (Result<> fed = reader_->feed(text, passed); !fed) return named(std::move(fed.error()));
      passed.clear();
    }
    const char line_end = options_.format == Format::keys && options_.nul ? '\0' : '\n';
    line += static_cast<std::uint64_t>(std::count(text.begin(), text.end(), line_end));
    if (begin + before == options_.from) {
      std::copy(piece_.begin() + static_cast<std::ptrdiff_t>(before),
                piece_.begin() + static_cast<std::ptrdiff_t>(size_), piece_.begin());
      size_ -= before;
      break;
    }
    if (Result<bool> more = fill(); !more) return std::unexpected(std::move(more.error()));
  }
  if (input_->offset() < options_.from || reader_->needs_header()) {
    return fail(
        ErrorCode::invalid_argument,
        "{}: it ends before byte {}, at which reading was to go on; it is not the file that "
        "was read before.",
        input_->name(), options_.from);
  }
  reader_->resume(options_.from, line);
  return {};
}

Result<bool> EntryFile::read(Records& out) {
  if (ended_) return false;
  if (reader_ == nullptr) {
    if (Result<> begun = start(); !begun) return std::unexpected(std::move(begun.error()));
  }
  if (size_ == 0) {
    if (Result<bool> more = fill(); !more) return more;
  }
  ended_ = size_ == 0;
  Result<> read = ended_ ? reader_->finish(out) : reader_->feed({piece_.data(), size_}, out);
  size_ = 0;
  if (!read) return named(std::move(read.error()));
  return true;
}

}  // namespace sluice::bulk
