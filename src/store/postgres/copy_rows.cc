#include "store/postgres/copy_rows.h"

#include <utility>

#include "postgres/binary.h"

namespace sluice::store::pg {

namespace {

constexpr std::size_t kPiece = std::size_t{128} << 10;
// From here on a value is not copied.
constexpr std::size_t kLargeValue = std::size_t{32} << 10;
constexpr std::int16_t kFields = 4;
constexpr std::int32_t kNull = -1;

void append_field(std::string& out, std::string_view bytes) {
  postgres::append_int32(out, static_cast<std::int32_t>(bytes.size()));
  out += bytes;
}

}  // namespace

void CopyRows::restart() {
  value_ = {};
  at_ = 0;
  begun_ = ended_ = false;
}

std::string_view CopyRows::next() {
  if (!value_.empty()) return std::exchange(value_, {});
  buffer_.clear();
  if (!begun_) {
    buffer_ += postgres::kCopyHeader;
    begun_ = true;
  }
  while (at_ < places_.size() && buffer_.size() < kPiece) {
    const EntryView& entry = entries_[places_[at_++]];
    postgres::append_int16(buffer_, kFields);
    append_field(buffer_, entry.key);
    if (entry.expiration != 0) {
      postgres::append_int32(buffer_, sizeof(std::int64_t));
      postgres::append_int64(buffer_, postgres::to_timestamp(entry.expiration));
    } else {
      postgres::append_int32(buffer_, kNull);
    }
    if (entry.metadata.empty()) {
      postgres::append_int32(buffer_, kNull);
    } else {
      append_field(buffer_, entry.metadata);
    }
    if (entry.value.size() >= kLargeValue) {
      postgres::append_int32(buffer_, static_cast<std::int32_t>(entry.value.size()));
      value_ = entry.value;
      return buffer_;
    }
    append_field(buffer_, entry.value);
  }
  if (at_ == places_.size() && !std::exchange(ended_, true)) buffer_ += postgres::kCopyTrailer;
  return buffer_;
}

}  // namespace sluice::store::pg
