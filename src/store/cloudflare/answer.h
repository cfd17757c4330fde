// Reading the JSON of Cloudflare's answers. Pure: text in, values out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "store/block.h"
#include "store/store.h"

namespace sluice::store::cloudflare {

// What every answer says besides its result.
struct Envelope {
  bool success = false;  // only the literal `"success": true` makes it so
  int code = 0;          // of the first error; 0: none
  std::string message;   // of the first error
};

struct ListPage {
  Block entries;
  std::string cursor;                  // empty: the end
  std::optional<std::uint64_t> count;  // entries of this page, as the answer says
};

struct NamespacePage {
  std::vector<Namespace> namespaces;
  std::optional<std::uint64_t> per_page;
  std::optional<std::uint64_t> total_count;
};

// The result of a bulk put or delete.
struct BulkResult {
  std::optional<std::uint64_t> successful;
  std::vector<std::string> unsuccessful;
};

// Reads answers. Every function takes the body of an answer, which it may enlarge for padding and
// otherwise leaves alone, and returns its envelope; the result goes to the last argument, which is
// complete only when the envelope says success. An error is `protocol` with Retry::again: the text
// is not JSON, is cut off, holds something behind its end, or lacks what it must hold; its message
// is the half of a sentence ("it is not JSON").
//
// Metadata is kept as the text that it is, byte for byte, and is known to be valid JSON. Keeps its
// buffers between calls. Belongs to one thread.
class AnswerParser {
 public:
  AnswerParser();
  ~AnswerParser();
  AnswerParser(const AnswerParser&) = delete;
  AnswerParser& operator=(const AnswerParser&) = delete;

  // Only the envelope; any result.
  Result<Envelope> envelope(std::string& body);
  Result<Envelope> list_page(std::string& body, ListPage& page);
  Result<Envelope> namespaces(std::string& body, NamespacePage& page);
  Result<Envelope> one_namespace(std::string& body, Namespace& which);
  Result<Envelope> bulk_write(std::string& body, BulkResult& result);
  // `keys` must be distinct. entries[i] answers keys[i], and is `failed` where the answer does not
  // speak of the key. Understands answers with and without metadata.
  Result<Envelope> bulk_get(std::string& body, std::span<const std::string_view> keys,
                            Block& entries);
  // The metadata of one key; `metadata` is empty when there is none.
  Result<Envelope> metadata(std::string& body, std::string& metadata);

  // Whether `text` is one JSON value and nothing else.
  bool is_json(std::string_view text);

 private:
  struct Parsers;
  std::unique_ptr<Parsers> parsers_;
};

// Whether a bulk result accounts for all the `sent` keys: then every key that it does not call
// unsuccessful is done. With a `success` that is not told, only a count proves anything.
bool adds_up(const BulkResult& result, bool success, std::size_t sent);

}  // namespace sluice::store::cloudflare
