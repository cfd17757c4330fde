// Input: the bytes of a file or of stdin, decompressed.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "bulk/decompressor.h"

namespace sluice::bulk {

// Reads a file, or stdin, from its beginning to its end. What is compressed with gzip (also of
// several members) or zstd (also of several frames) is recognized by its first bytes and
// decompressed; a stream that is cut, or has something else behind it, is an error, never an early
// end.
//
// It blocks, so the loop runs it on an io::Worker. Belongs to one thread at a time, but for
// `interrupt`. Every message begins with the name of the input.
class Input {
 public:
  // Opens the file at `path`, or stdin for "-". Fails with not_found, or with io for what cannot be
  // opened or is a folder. Does not wait for the writer of a named pipe: the first `read` does.
  static Result<std::unique_ptr<Input>> open(std::string path);

  ~Input();
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;

  // Waits for more and puts it into `out`, which is not empty. 0: the input has ended.
  Result<std::size_t> read(std::span<char> out);

  // Moves forward to `offset` of the decompressed bytes: by seeking in a plain file, by reading
  // over the rest elsewhere. An input that is shorter is an invalid_argument. For continuing an
  // import.
  Result<> skip_to(std::uint64_t offset);

  // The number of bytes given out or skipped.
  [[nodiscard]] std::uint64_t offset() const { return offset_; }
  // The length of the file, if `offset` will get there: not of a pipe, nor of what is compressed.
  // Known after the first read.
  [[nodiscard]] std::uint64_t size() const { return decompressor_ == nullptr ? file_size_ : 0; }
  // "stdin", or the path as it was given.
  [[nodiscard]] const std::string& name() const { return name_; }

  // Makes a `read` that waits for a pipe, its first writer or a terminal return
  // ErrorCode::interrupted, and all later ones. From any thread.
  void interrupt();

 private:
  Input(int file, bool owned, std::string name);
  Result<> start();
  Result<std::size_t> read_raw(std::span<char> out);
  Result<std::size_t> read_decompressed(std::span<char> out);
  [[nodiscard]] std::unexpected<Error> named(Error error) const;

  const int file_;
  const bool owned_;
  const std::string name_;
  // Of a regular file: where it was read from on, which is not its beginning if the shell shares
  // stdin with a program that has read of it; and the bytes behind that.
  std::uint64_t file_begin_ = 0;
  std::uint64_t file_size_ = 0;
  bool regular_ = false;
  int wake_[2] = {-1, -1};  // a pipe whose one end `interrupt` writes to
  std::atomic<bool> interrupted_ = false;

  bool started_ = false;
  std::unique_ptr<Decompressor> decompressor_;
  // Raw bytes that have been read and not been used: those by which the compression is recognized,
  // then what the decompressor has not consumed.
  std::vector<char> raw_;
  std::size_t raw_begin_ = 0;
  std::size_t raw_end_ = 0;
  bool raw_ended_ = false;
  std::uint64_t offset_ = 0;
};

}  // namespace sluice::bulk
