// The JSON bodies that clients send. Pure.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "server/cloudflare/rules.h"
#include "store/block.h"

namespace sluice::server::cloudflare {

// Reads the array of a bulk body a stretch at a time, so that a loop is not held up by a large one.
// Works in the body itself, which it lengthens for the parser and changes: texts are decoded where
// they stand, so that nothing is held besides the body but views into it and one element's parse.
// The body must stay where it is for as long as the views are used.
class BulkReader {
 public:
  virtual ~BulkReader();
  BulkReader(const BulkReader&) = delete;
  BulkReader& operator=(const BulkReader&) = delete;

  // Reads elements of about `bytes` in all. True: there is more to read. An element that cannot be
  // taken refuses the body as a whole, as the service does.
  Checked<bool> read(std::size_t bytes);

 protected:
  struct Parser;
  BulkReader(std::string& body, std::string_view what);
  virtual Checked<> take(std::string_view element) = 0;
  [[nodiscard]] Parser& parser() { return *parser_; }

 private:
  std::string_view what_;  // "key/value pairs"
  std::unique_ptr<Parser> parser_;
  std::size_t count_ = 0;
};

// `[{"key":…,"value":…,"base64"?,"metadata"?,"expiration"?,"expiration_ttl"?},…]`, at most
// kBulkPairs, checked by the service's rules. Of a member that is named twice, the last counts;
// unknown ones are passed over. Metadata is the text that it came as.
class PairReader final : public BulkReader {
 public:
  // `now` in seconds since 1970-01-01 UTC.
  PairReader(std::string& body, std::int64_t now)
      : BulkReader(body, "key/value pairs"), now_(now) {}
  [[nodiscard]] std::vector<store::EntryView>& entries() { return entries_; }

 private:
  Checked<> take(std::string_view element) override;
  std::int64_t now_;
  std::vector<store::EntryView> entries_;
};

// `["key",…]`, at most kBulkPairs.
class KeyReader final : public BulkReader {
 public:
  explicit KeyReader(std::string& body) : BulkReader(body, "keys") {}
  [[nodiscard]] std::vector<std::string_view>& keys() { return keys_; }

 private:
  Checked<> take(std::string_view element) override;
  std::vector<std::string_view> keys_;
};

// `{"keys":[…],"type"?:"text"|"json","withMetadata"?:bool}`.
struct BulkGet {
  std::vector<std::string> keys;  // 1 to kBulkGetKeys of them, each once
  bool json = false;
  bool with_metadata = false;
};
Checked<BulkGet> parse_bulk_get(std::string& body);

// `{"title":…}`.
Checked<std::string> parse_title(std::string& body);

}  // namespace sluice::server::cloudflare
