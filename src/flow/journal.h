// Journal: an append-only file of records that survives a crash at any moment.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace sluice::flow {

// Each record is one line: the XXH3 of its text in 16 hex digits, a space, the text, a newline. The
// first record is the header, the text that the journal was created with; it begins with the magic
// and version, which `open` checks.
//
// Guarantees: records come back in the order in which they were appended; a record that was torn by
// a crash (and whatever follows it) is dropped and cut off before the next one is appended; one
// process at a time has a journal open (an advisory lock, released by the kernel when it dies).
// The file is 0600. What blocks here is short: a write of a few hundred bytes, or a sync.
class Journal {
 public:
  // Makes a new journal at `path`, whose folder exists. `header` is one line of text. Fails with
  // `conflict` when there is such a file.
  static Result<Journal> create(const std::string& path, std::string_view header);

  // Opens an existing one, giving the header and then each record to `read`. Fails with `conflict`
  // while another process has it open, with `corrupt` when it is no journal, and with `unsupported`
  // when a newer version of Sluice has written it.
  static Result<Journal> open(const std::string& path,
                              const std::function<void(std::string_view record)>& read);

  // As open, for looking only: takes no lock and changes nothing. `in_use` tells whether a process
  // has it open.
  struct Peek {
    bool in_use = false;
  };
  static Result<Peek> peek(const std::string& path,
                           const std::function<void(std::string_view record)>& read);

  // Removes the file at `path` if `create` was killed before it had written the whole header:
  // nothing was done then, and nothing can open it. Only if nobody has it open and it was last
  // written before `before` (seconds since 1970). Whether it was removed.
  static bool remove_unbegun(const std::string& path, std::int64_t before);

  Journal(Journal&& other) noexcept;
  Journal& operator=(Journal&&) = delete;
  ~Journal();

  // Appends a record (one line of text). It survives the death of the process at once, and a power
  // cut after the next `sync`.
  Result<> append(std::string_view record);
  Result<> sync();

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  Journal(std::string path, int file) : path_(std::move(path)), file_(file) {}

  std::string path_;
  int file_ = -1;
};

}  // namespace sluice::flow
