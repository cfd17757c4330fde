// What a command writes, on its way to whoever reads from us.
#pragma once

#include <poll.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/descriptor.h"
#include "base/error.h"

namespace sluice::cache_cli {

enum class Stream : unsigned char { output, errors };

// The two streams of a command: read from its pipes, kept, and passed through to ours. Never waits:
// `poll` does, for what `wanted` says.
//
// What is kept is in memory, so the command need not wait for a slow reader, and neither do those
// who want its result. Beyond the limit nothing is kept, and the command is held up by whoever
// reads: nobody else wants its output then, and memory has an end.
class ChildOutput {
 public:
  // `most`: how many bytes of both streams together are kept.
  ChildOutput(std::uint64_t most, bool pass_through) : most_(most), pass_through_(pass_through) {}

  void add(Stream stream, Descriptor from);

  // What `serve` has to be told about, in this order.
  void wanted(std::vector<struct pollfd>& waiting) const;
  // Reads and writes what can be without waiting. A reader of our stdout that has gone away ends
  // the program, and so the command.
  void serve(const struct pollfd* answers);
  // The command has ended: what it wrote last is in its pipes. All of it that can be kept is read
  // now, the rest by `serve`. What processes that it left behind write there later is not read.
  void collect();

  // Why what the command writes is not kept any more.
  [[nodiscard]] const std::optional<Error>& lost() const { return lost_; }
  // What it has written so far; it is kept no longer, and passed through all the same.
  [[nodiscard]] std::string take(Stream stream);
  // After `collect`: whether `serve` still has something to do.
  [[nodiscard]] bool has_unwritten() const;
  // Why stdout could not be written, empty if it could. Then nothing more is.
  [[nodiscard]] const std::string& failure() const { return failure_; }

 private:
  struct Flow {
    Stream stream;
    Descriptor from;
    int to;
    bool pass_through;
    std::size_t at_once;      // how much can be written without waiting
    std::string kept;         // what has been read
    std::size_t written = 0;  // how much of it
    // When the command has ended: how much of what it wrote is still to be read.
    std::optional<std::size_t> left;

    [[nodiscard]] bool has_unwritten() const { return pass_through && written < kept.size(); }
  };
  [[nodiscard]] bool wants_more(const Flow& flow) const;
  // False: nothing could be read now.
  bool read_some(Flow& flow);
  void write_some(Flow& flow);
  // Before anything is read: what was, and had no room, would be lost.
  bool make_room(Flow& flow, std::size_t size);
  void keep(Flow& flow, std::string_view bytes);
  void lose(Error why);

  std::uint64_t most_;
  bool pass_through_;
  std::vector<Flow> flows_;
  std::optional<Error> lost_;
  std::string failure_;
};

}  // namespace sluice::cache_cli
