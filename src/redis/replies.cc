#include "redis/replies.h"

#include <hiredis/read.h>

#include <algorithm>
#include <cstring>

namespace sluice::redis {

namespace {

constexpr std::size_t kChunk = 64 * 1024;
// Replies of one round trip: far more than any of ours asks for, and 32 MB.
constexpr std::size_t kMostReplies = 1'000'000;
// hiredis moves the rest of its buffer to the front each time it has read 1 KB of it, so it is
// given little at a time.
constexpr std::size_t kBite = 16 * 1024;

const Reply kNothing;

}  // namespace

const Reply& Replies::next() {
  return at_ < list_.size() ? list_[at_++] : kNothing;
}

void Replies::skip() {
  for (std::int64_t left = 1; left > 0 && at_ < list_.size(); --left) {
    const Reply& reply = list_[at_++];
    if (reply.kind == ReplyKind::array) left += reply.integer;
  }
}

char* Replies::allocate(std::size_t size) {
  if (size > room_) {
    if (size > kChunk / 4) {
      // A chunk of its own; what is left of the current one stays in use.
      return chunks_.emplace_back(std::make_unique_for_overwrite<char[]>(size)).get();
    }
    free_ = chunks_.emplace_back(std::make_unique_for_overwrite<char[]>(kChunk)).get();
    room_ = kChunk;
  }
  room_ -= size;
  return std::exchange(free_, free_ + size);
}

// The C side. hiredis builds its replies through these functions; ours append to the list instead,
// and return a pointer that only has to differ from null.
struct ReplyReader::Hiredis {
  explicit Hiredis(ReplyReader& owner) : reader(redisReaderCreateWithFunctions(&functions)) {
    if (reader == nullptr) throw std::bad_alloc();
    reader->privdata = &owner;
  }
  ~Hiredis() { redisReaderFree(reader); }
  Hiredis(const Hiredis&) = delete;
  Hiredis& operator=(const Hiredis&) = delete;

  // Null, which hiredis takes for a lack of memory, if there are too many.
  static Reply* append(const redisReadTask* task, Reply reply) {
    auto& owner = *static_cast<ReplyReader*>(task->privdata);
    if (owner.replies_.list_.size() >= kMostReplies) {
      owner.too_many_ = true;
      return nullptr;
    }
    return &owner.replies_.list_.emplace_back(reply);
  }
  static void* text(const redisReadTask* task, char* bytes, std::size_t size) {
    ReplyKind kind = ReplyKind::text;
    if (task->type == REDIS_REPLY_STATUS) kind = ReplyKind::status;
    if (task->type == REDIS_REPLY_ERROR) kind = ReplyKind::error;
    Reply* const reply = append(task, {.kind = kind});
    if (reply != nullptr && size > 0) {
      char* const copy = static_cast<ReplyReader*>(task->privdata)->replies_.allocate(size);
      std::memcpy(copy, bytes, size);
      reply->text = {copy, size};
    }
    return reply;
  }
  static void* array(const redisReadTask* task, int elements) {
    return append(task, {.kind = ReplyKind::array, .integer = elements});
  }
  static void* integer(const redisReadTask* task, long long number) {  // NOLINT(google-runtime-int)
    return append(task, {.kind = ReplyKind::integer, .integer = number});
  }
  static void* nil(const redisReadTask* task) { return append(task, {.kind = ReplyKind::nil}); }

  static redisReplyObjectFunctions functions;
  redisReader* reader;
};

redisReplyObjectFunctions ReplyReader::Hiredis::functions = {
    .createString = text,
    .createArray = array,
    .createInteger = integer,
    .createNil = nil,
    .freeObject = [](void*) {},
};

ReplyReader::ReplyReader() : hiredis_(std::make_unique<Hiredis>(*this)) {}
ReplyReader::~ReplyReader() = default;

void ReplyReader::expect(std::size_t count, std::size_t most_bytes) {
  replies_ = {};
  expected_ = count;
  whole_ = 0;
  most_bytes_ = most_bytes;
  bytes_ = 0;
}

Result<> ReplyReader::feed(std::string_view bytes) {
  bytes_ += bytes.size();
  if (bytes_ > most_bytes_) {
    return fail(ErrorCode::too_large, Retry::smaller, "the answer is larger than {} bytes",
                most_bytes_);
  }
  while (!bytes.empty()) {
    const std::string_view bite = bytes.substr(0, kBite);
    bytes.remove_prefix(bite.size());
    if (redisReaderFeed(hiredis_->reader, bite.data(), bite.size()) != REDIS_OK) {
      return fail(ErrorCode::protocol, "the answer cannot be buffered");
    }
    if (auto parsed = parse(); !parsed) return parsed;
  }
  return {};
}

Result<> ReplyReader::parse() {
  for (;;) {
    void* reply = nullptr;
    if (redisReaderGetReply(hiredis_->reader, &reply) != REDIS_OK) {
      if (too_many_) return fail(ErrorCode::protocol, "the answer has too many parts");
      return fail(ErrorCode::protocol, "the answer is not RESP2: {}", hiredis_->reader->errstr);
    }
    if (reply == nullptr) return {};
    if (++whole_ > expected_) {
      return fail(ErrorCode::protocol, "there are more answers than commands");
    }
  }
}

Replies ReplyReader::take() {
  expected_ = whole_ = 0;
  return std::exchange(replies_, {});
}

}  // namespace sluice::redis
