// EntryFile: the entries or keys of a file, in whatever format and compression.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "bulk/entry_reader.h"
#include "bulk/input.h"

namespace sluice::bulk {

// What an import or --keys-file reads from: an Input with the EntryReader for it. It blocks: the
// loop runs it on an io::Worker. Messages begin with the name of the file.
class EntryFile {
 public:
  struct Options {
    std::optional<Format> format;  // nothing: by the first bytes, see detect_format
    // What that takes for CSV, which anything may be, and an input without any is this instead.
    std::optional<Format> or_else = {};
    bool nul = false;        // with Format::keys: each key ends in NUL
    std::uint64_t from = 0;  // go on at this Records::end of an earlier reading
    EntryReader::Options reader;
  };
  // `path` may be "-" for stdin. Reads nothing yet, so that `interrupt` works from the beginning.
  static Result<EntryFile> open(std::string path, const Options& options);

  // Adds the records of the next piece of the file (at most 64 KB and the rest of one record) to
  // `out`. False: there are no more. After an error, what is in `out` is still good, and the rest
  // of the file cannot be read.
  Result<bool> read(Records& out);

  // The bytes read, and the length of the file, or 0 if it is not known: for the progress display.
  [[nodiscard]] const Input& input() const { return *input_; }
  // Ends a `read` that waits. From any thread.
  void interrupt() { input_->interrupt(); }

 private:
  EntryFile(std::unique_ptr<Input> input, const Options& options)
      : input_(std::move(input)), options_(options) {}
  Result<bool> fill();
  Result<> start();
  Result<> go_on();
  [[nodiscard]] std::unexpected<Error> named(Error error) const;

  std::unique_ptr<Input> input_;
  Options options_;
  std::unique_ptr<EntryReader> reader_;
  std::vector<char> piece_;
  std::size_t size_ = 0;  // of what is in piece_
  bool ended_ = false;
};

}  // namespace sluice::bulk
