#include <string>
#include <string_view>

#include "cdn/zone_answer.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::string body;
  const auto given = [&]() -> std::string& {
    body.assign(text);
    body.shrink_to_fit();
    return body;
  };
  cdn::ZonePage page;
  const auto listed = cdn::read_zones(given(), page);
  if (listed && listed->success) {
    for (const cdn::Zone& zone : page.zones) fuzz::require(!zone.id.empty(), "a zone has an id");
  }
  cdn::Zone zone;
  const auto one = cdn::read_zone(given(), zone);
  if (one && one->success) fuzz::require(!zone.id.empty(), "a zone has an id");
  return 0;
}
