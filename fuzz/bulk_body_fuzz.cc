#include <string>
#include <string_view>
#include <vector>

#include "require.h"
#include "server/cloudflare/array_cutter.h"
#include "server/cloudflare/bulk_body.h"
#include "server/cloudflare/text.h"

namespace {

using namespace sluice;
using namespace sluice::server::cloudflare;

constexpr std::int64_t kNow = 1'700'000'000;

struct Outcome {
  bool good = false;
  std::vector<std::string> fields;
};

Outcome read_pairs(std::string body, std::size_t stretch) {
  PairReader reader(body, kNow);
  Outcome outcome;
  for (;;) {
    const auto more = reader.read(stretch);
    if (!more) return {};
    if (!*more) break;
  }
  for (const store::EntryView& entry : reader.entries()) {
    fuzz::require(check_key(entry.key).has_value(), "keys are checked");
    fuzz::require(check_value_size(entry.value.size()).has_value(), "so are values");
    fuzz::require(entry.metadata.empty() || is_json(entry.metadata), "metadata is JSON");
    fuzz::require(entry.metadata.size() <= kMetadataBytes, "… and small");
    fuzz::require(entry.expiration == 0 || entry.expiration >= kNow + kLeastTtl,
                  "expiries lie ahead");
    for (const auto text : {entry.key, entry.value, entry.metadata})
      outcome.fields.emplace_back(text);
    outcome.fields.push_back(std::to_string(entry.expiration));
  }
  outcome.good = true;
  return outcome;
}

}  // namespace

// The bodies of bulk calls, and the other JSON that clients send.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const Outcome whole = read_pairs(std::string(text), std::size_t{1} << 20);
  const Outcome pieces = read_pairs(std::string(text), 1);
  fuzz::require(whole.good == pieces.good && whole.fields == pieces.fields,
                "stretches of any size read the same");
  fuzz::require(!whole.good || is_json(text), "what is read is JSON");

  std::string body(text);
  KeyReader keys(body);
  const auto read = keys.read(std::size_t{1} << 20);
  if (read) {
    fuzz::require(is_json(text), "what is read is JSON");
    for (const auto key : keys.keys())
      fuzz::require(check_key(key).has_value(), "keys are checked");
  }
  body = text;
  if (const auto asked = parse_bulk_get(body)) {
    fuzz::require(!asked->keys.empty() && asked->keys.size() <= kBulkGetKeys, "1 to 100 keys");
    fuzz::require(is_json(text), "what is read is JSON");
  }
  body = text;
  if (const auto title = parse_title(body)) {
    fuzz::require(!title->empty() && title->size() <= kTitleBytes, "titles are checked");
  }
  std::string scratch;
  fuzz::require(text.empty() || !as_text(text, scratch).empty(), "no text vanishes");
  return 0;
}
