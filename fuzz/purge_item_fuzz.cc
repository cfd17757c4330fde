#include <boost/json.hpp>
#include <string>
#include <string_view>

#include "cdn/metadata_tags.h"
#include "cdn/purge_item.h"
#include "require.h"

// The first byte chooses the kind of item.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice;
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto kind = static_cast<cdn::PurgeKind>(data[0] % 5);
  const auto item = cdn::checked_item(kind, text);
  if (item) {
    fuzz::require(cdn::checked_item(kind, *item) == *item, "what was checked stays as it is");
    const std::string_view items[] = {*item};
    boost::system::error_code error;
    const boost::json::value body = boost::json::parse(cdn::purge_body(kind, items), error);
    fuzz::require(!error && body.is_object() && body.get_object().size() == 1, "the body is JSON");
    if (kind != cdn::PurgeKind::tags) (void)cdn::host_of(kind, *item);
  }
  for (const auto& field : {std::optional<std::string>(), std::optional<std::string>("a.b")}) {
    for (const std::string& tag : cdn::tags_of(text, field).tags) {
      fuzz::require(cdn::checked_item(cdn::PurgeKind::tags, tag) == tag, "a tag is one");
    }
  }
  return 0;
}
