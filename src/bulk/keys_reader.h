// The reader of lists of keys. Internal to bulk: made by make_keys_reader.
#pragma once

#include <string>

#include "bulk/entry_parser.h"
#include "bulk/entry_reader.h"

namespace sluice::bulk {

class KeysReader final : public EntryReader {
 public:
  KeysReader(bool nul, const Options& options)
      : nul_(nul), longest_(options.longest_record), parser_(options.now) {}

  Result<> feed(std::string_view chunk, Records& out) override;
  Result<> finish(Records& out) override;
  void resume(std::uint64_t offset, std::uint64_t line) override;

 private:
  void take(std::string_view text, std::size_t size, Records& out);
  // False: `reason_` says why this is no key.
  bool accept(std::string_view text, Records& out);

  const bool nul_;
  const std::size_t longest_;
  EntryParser parser_;
  Fields fields_;
  std::string reason_;
  std::string begun_;
  std::uint64_t offset_ = 0;
  std::uint64_t line_ = 1;
};

}  // namespace sluice::bulk
