// PageFile: the pages of a database file, read without SQLite.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/error.h"

namespace sluice::sqlite {

// For a file so damaged that SQLite refuses it, or loses what hangs on one broken page. Format:
// https://www.sqlite.org/fileformat2.html. Nobody may write to the file meanwhile.
//
// What is valid of the write-ahead log (committed, salts and checksums right) stands in the place
// of what the file holds, as it does for SQLite. Nothing in the file is trusted: it may be cut
// short, or hold any bytes.
class PageFile {
 public:
  // `page_size`, a power of two from 512 to 65,536, is that of the file: its header may be damaged.
  // Fails with `io`, or `not_found`, never for what the file holds.
  static Result<PageFile> open(const std::string& path, std::size_t page_size);
  PageFile(PageFile&& other) noexcept;
  PageFile& operator=(PageFile&&) = delete;
  ~PageFile();

  [[nodiscard]] std::size_t page_size() const { return page_size_; }
  // Pages are numbered from 1 to this.
  [[nodiscard]] std::uint32_t count() const { return count_; }
  // False: the file ends before the end of this page.
  Result<bool> read(std::uint32_t number, std::string& page) const;

 private:
  PageFile() = default;
  Result<> read_log(const std::string& path);

  int file_ = -1;
  int log_ = -1;
  std::size_t page_size_ = 0;
  std::uint32_t count_ = 0;
  std::unordered_map<std::uint32_t, std::uint64_t> in_log_;  // where the newest one begins there
};

// The pages that hold nothing any more; what they held before can often still be read on them.
struct FreePages {
  std::vector<bool> is_free;  // by number
  // All of them are known. Otherwise the list could not be followed to its end.
  bool complete = false;
};
Result<FreePages> free_pages(const PageFile& file);

// The big-endian number of `size` bytes at `at`, which must be there.
[[nodiscard]] std::uint64_t big_endian(std::string_view bytes, std::size_t at, std::size_t size);

}  // namespace sluice::sqlite
