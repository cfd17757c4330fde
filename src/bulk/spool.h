// Spool: matched keys on disk, for a deletion that has to know the count before it begins.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "bulk/source.h"
#include "io/temporary.h"

namespace sluice::bulk {

// Where the spool of a job lies: a journal gives it its place; without one it is in the temporary
// folder and goes with the run.
class SpoolPlace {
 public:
  static Result<SpoolPlace> make(const Job& job);
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  explicit SpoolPlace(std::string path) : path_(std::move(path)) {}
  std::string path_;
  std::optional<io::TemporaryFolder> temporary_;
};

// Writes keys to a 0600 file: a magic line, then each key with its length (4 bytes, little endian)
// before it, so that keys may hold any bytes; if asked for, each with its metadata behind it, in
// the same form, which another magic line tells.
class SpoolWriter {
 public:
  static Result<SpoolWriter> create(const std::string& path, bool metadata = false);
  SpoolWriter(SpoolWriter&& other) noexcept;
  SpoolWriter& operator=(SpoolWriter&&) = delete;
  ~SpoolWriter();

  Result<> append(const store::Block& keys);
  Result<> append(std::string_view key, std::string_view metadata = {});
  // Writes what is buffered, and syncs.
  Result<> finish();

 private:
  SpoolWriter(std::string path, int file, bool metadata)
      : path_(std::move(path)), file_(file), metadata_(metadata) {}
  void append_text(std::string_view text);
  Result<> flush();
  std::string path_;
  int file_;
  bool metadata_;
  std::string buffer_;
};

// Reads a spool as a source. A truncated file is an error, never fewer keys.
// Gives `page_keys` keys a page: a job that stops cleanly goes on behind the last whole page.
Result<std::unique_ptr<Source>> open_spool(const std::string& path, const Position& start,
                                           std::size_t page_keys);

}  // namespace sluice::bulk
