// The reader of NDJSON. Internal to bulk: made by make_entry_reader.
#pragma once

#include <string>

#include "bulk/entry_parser.h"
#include "bulk/entry_reader.h"

namespace sluice::bulk {

class NdjsonReader final : public EntryReader {
 public:
  explicit NdjsonReader(const Options& options)
      : longest_(options.longest_record), items_(options.items), parser_(options.now) {}

  Result<> feed(std::string_view chunk, Records& out) override;
  Result<> finish(Records& out) override;
  void resume(std::uint64_t offset, std::uint64_t line) override;

 private:
  // The line `text`, which `size` bytes of the input hold.
  void take(std::string_view text, std::size_t size, Records& out);
  Verdict parse(std::string_view text, Records& out);

  const std::size_t longest_;
  const std::optional<ItemFields> items_;
  EntryParser parser_;
  Fields fields_;
  std::string reason_;
  std::string begun_;         // the beginning of a line that the last chunk ended in
  std::uint64_t offset_ = 0;  // of the line that is read
  std::uint64_t line_ = 1;
};

}  // namespace sluice::bulk
