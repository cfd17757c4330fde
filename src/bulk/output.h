// Output: where a command's results go, stdout or a file that appears only when it is complete.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "io/stop.h"
#include "io/task.h"
#include "io/worker.h"

namespace sluice::bulk {

// The message of the error that tells that the reader of a pipe has gone away.
inline constexpr std::string_view kReaderLeft = "the reader of the output has gone away";

// Writes on a thread of its own, one piece while the next one is made, so that a slow disk or
// reader does not stop the loop. A file is written under a temporary name beside its own and
// renamed by `complete`; one that exists and is no regular file (a pipe, /dev/null) is written to
// directly. Belongs to one loop.
//
// With a stop, which outlives the Output, a pipe or terminal whose reader stalls does not hold up
// the end of a run: once a stop is requested, a reader that takes nothing for a second is given up.
// What is left then is lost, and the write fails with the stop's code and reason.
class Output {
 public:
  // Writes to an open descriptor, which stays open and as it is: others may share it.
  static std::unique_ptr<Output> to_descriptor(int descriptor, io::Stop* stop = nullptr);
  // Writes to `path`, 0600. `mark` makes the temporary name; a job that may be resumed passes its
  // id. `keep` bytes of what a file of that temporary name holds are kept, the rest is cut off. A
  // named pipe that nobody reads is an error (io), not a reason to wait.
  static Result<std::unique_ptr<Output>> to_file(const std::string& path, std::string_view mark,
                                                 std::uint64_t keep = 0, io::Stop* stop = nullptr);
  // The temporary name for `path`.
  static std::string temporary_name(const std::string& path, std::string_view mark);
  ~Output();
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  // Hands over `text`. An error may be of an earlier piece. After an error, the output is done
  // with: every later call fails with the same error.
  io::Task<Result<>> write(std::string text);
  // Waits until all that was handed over has been written.
  io::Task<Result<>> flush();
  // Waits until what was written is on the disk. Requires that nothing is being written.
  Result<> sync();
  // Flushes, syncs, and gives the file its name.
  io::Task<Result<>> complete();
  // Removes the temporary file: nothing has happened. Call after flush.
  void discard();

  // Handed over so far, with what was kept.
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

 private:
  // What may let a writer wait: anything but a regular file.
  struct Pace {
    bool may_stall = false;
    int wake = -1;  // an eventfd that becomes readable when a stop is requested; -1: there is none
    // Whether the writing thread, which alone uses this, has seen the stop.
    bool stopped = false;
  };

  Output(int descriptor, std::string path, std::string temporary, std::uint64_t bytes,
         io::Stop* stop);
  static bool wait_for_reader(int descriptor, Pace& pace);
  static Result<int> write_all(int descriptor, Pace& pace, std::string_view path,
                               std::string_view text);
  io::Task<Result<int>> write_piece(std::string text);

  int descriptor_;
  std::string path_;       // empty: not ours to close
  std::string temporary_;  // empty: written directly
  std::uint64_t bytes_;
  io::Stop* stop_;
  Pace pace_;
  std::optional<io::Stop::Listener> on_stop_;
  std::optional<Error> failed_;
  std::optional<io::Started<Result<int>>> writing_;
  // Last, so that its thread ends before the rest goes away.
  io::Worker worker_;
};

}  // namespace sluice::bulk
