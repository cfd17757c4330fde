// ReadBuffer: the bytes of a connection that have come and were not consumed.
#pragma once

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>

namespace sluice::http {

// Small while a connection is idle (ten thousand of them are), and as large as a head needs
// meanwhile. What was consumed stays where it is until `prepare`, so views into it stay valid until
// then.
class ReadBuffer {
 public:
  static constexpr std::size_t kIdle = 2 * 1024;

  [[nodiscard]] std::string_view view() const { return {bytes_.get() + begin_, end_ - begin_}; }
  [[nodiscard]] bool empty() const { return begin_ == end_; }
  void consume(std::size_t bytes) { begin_ += bytes; }
  // Drops what is behind the first `bytes`.
  void truncate(std::size_t bytes) { end_ = begin_ + bytes; }

  // Room for at least one more byte behind the others.
  boost::asio::mutable_buffer prepare() {
    if (begin_ == end_) begin_ = end_ = 0;
    if (end_ == size_ && begin_ > 0) move_to_front();
    if (end_ == size_) resize(std::max(kIdle, 2 * size_));
    return {bytes_.get() + end_, size_ - end_};
  }
  void commit(std::size_t bytes) { end_ += bytes; }

  // Puts bytes that were read elsewhere behind the others.
  void append(std::string_view bytes) {
    while (size_ - end_ < bytes.size()) {
      if (begin_ > 0) {
        move_to_front();
      } else {
        resize(std::max(kIdle, 2 * size_));
      }
    }
    std::memcpy(bytes_.get() + end_, bytes.data(), bytes.size());
    end_ += bytes.size();
  }

  // Gives back what a large head has taken. Requires that it is empty.
  void shrink() {
    begin_ = end_ = 0;
    if (size_ > kIdle) resize(kIdle);
  }

 private:
  void move_to_front() {
    std::memmove(bytes_.get(), bytes_.get() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  void resize(std::size_t size) {
    std::unique_ptr<char[]> bytes = std::make_unique_for_overwrite<char[]>(size);
    if (end_ > 0) std::memcpy(bytes.get(), bytes_.get(), end_);
    bytes_ = std::move(bytes);
    size_ = size;
  }

  std::unique_ptr<char[]> bytes_;
  std::size_t size_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace sluice::http
