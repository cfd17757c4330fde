#include <string_view>

#include "flow/quota.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice;
  const auto quota = flow::parse_quota({reinterpret_cast<const char*>(data), size});
  fuzz::require(!quota || (quota->requests > 0 && quota->window > flow::Duration::zero()),
                "a quota that is accepted lets something through");
  fuzz::require(quota || !quota.error().message.empty(), "a refusal has a reason");
  return 0;
}
