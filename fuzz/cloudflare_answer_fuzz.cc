#include <array>
#include <string>
#include <string_view>

#include "require.h"
#include "store/cloudflare/answer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice;
  using namespace sluice::store::cloudflare;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  AnswerParser parser;
  std::string body;
  const auto given = [&]() -> std::string& {
    body.assign(text);
    body.shrink_to_fit();
    return body;
  };

  const auto envelope = parser.envelope(given());
  ListPage page;
  const auto listed = parser.list_page(given(), page);
  fuzz::require(!listed || !listed->success || envelope.has_value(), "a page is in an envelope");
  if (listed && listed->success) {
    for (const store::EntryView& entry : page.entries) {
      fuzz::require(entry.metadata.empty() || parser.is_json(entry.metadata), "metadata is JSON");
    }
  }
  NamespacePage namespaces;
  (void)parser.namespaces(given(), namespaces);
  store::Namespace one;
  (void)parser.one_namespace(given(), one);
  BulkResult bulk;
  (void)parser.bulk_write(given(), bulk);
  std::string metadata;
  (void)parser.metadata(given(), metadata);

  const std::array<std::string_view, 3> keys = {"a", "key", "k\"\n"};
  store::Block values;
  const auto got = parser.bulk_get(given(), keys, values);
  if (got && got->success) {
    fuzz::require(values.size() == keys.size(), "every key is answered");
    for (std::size_t i = 0; i != keys.size(); ++i) {
      fuzz::require(values[i].key == keys[i], "… in its place");
    }
  }
  return 0;
}
