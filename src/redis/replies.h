// Replies and ReplyReader: what a Redis server answers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace sluice::redis {

enum class ReplyKind : std::uint8_t { text, status, error, integer, nil, array };

struct Reply {
  ReplyKind kind = ReplyKind::nil;
  std::int64_t integer =
      0;                  // of an integer; of an array: how many replies follow that belong to it
  std::string_view text;  // of a text, status or error; lies in the Replies

  [[nodiscard]] bool is_error() const { return kind == ReplyKind::error; }
  // As an array of exactly `size`.
  [[nodiscard]] bool is_array(std::size_t size) const {
    return kind == ReplyKind::array && integer == static_cast<std::int64_t>(size);
  }
};

// The replies of one round trip, read from the first to the last. An array is followed by its
// elements, which may be arrays. Whoever knows what was asked reads them in one pass; reading past
// the end gives replies of the kind nil, so that a wrong shape shows as a wrong kind.
class Replies {
 public:
  Replies() = default;
  Replies(Replies&&) = default;
  Replies& operator=(Replies&&) = default;

  const Reply& next();
  // Passes over the next reply with all that belongs to it.
  void skip();
  void rewind() { at_ = 0; }
  [[nodiscard]] bool at_end() const { return at_ == list_.size(); }
  // All of them, flat: an array and then its elements.
  [[nodiscard]] const std::vector<Reply>& all() const { return list_; }

 private:
  friend class ReplyReader;
  char* allocate(std::size_t size);

  std::vector<Reply> list_;
  std::size_t at_ = 0;
  // The texts, in chunks that never move.
  std::vector<std::unique_ptr<char[]>> chunks_;
  char* free_ = nullptr;
  std::size_t room_ = 0;
};

// Parses RESP2 as it arrives (hiredis's redisReader). What the other side announces is believed
// only as far as the bounds of the round trip go: no more bytes, and no more replies, than were
// asked for. Nothing is allocated for what is only announced. Not usable after an error.
class ReplyReader {
 public:
  ReplyReader();
  ~ReplyReader();
  ReplyReader(const ReplyReader&) = delete;
  ReplyReader& operator=(const ReplyReader&) = delete;

  // Begins a round trip: `count` replies, of at most `most_bytes` on the wire.
  void expect(std::size_t count, std::size_t most_bytes);
  // Takes what has arrived. Fails with too_large when it is more than was expected, and with
  // protocol when it is no RESP2 or a reply that nobody asked for.
  Result<> feed(std::string_view bytes);
  [[nodiscard]] bool complete() const { return whole_ == expected_; }
  Replies take();

 private:
  struct Hiredis;
  Result<> parse();

  std::unique_ptr<Hiredis> hiredis_;
  Replies replies_;
  std::size_t expected_ = 0;
  std::size_t whole_ = 0;
  std::size_t most_bytes_ = 0;
  std::size_t bytes_ = 0;
  bool too_many_ = false;
};

}  // namespace sluice::redis
