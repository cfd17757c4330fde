// Metadata, which is written to the store as a client has sent it; and values that are shown as
// text.
#include <string>
#include <string_view>

#include "base/utf8.h"
#include "require.h"
#include "server/cloudflare/rules.h"
#include "server/cloudflare/text.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 4096) return 0;  // what is much longer is refused without a look
  using namespace sluice;
  using namespace sluice::server::cloudflare;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::string compact;
  if (const auto metadata = check_metadata(text, compact)) {
    fuzz::require(metadata->size() <= kMetadataBytes, "metadata keeps within its limit");
    fuzz::require(metadata->empty() || is_json(*metadata), "what is kept is JSON");
    fuzz::require(is_json(without_space(text)), "white space is nothing that JSON needs");
  } else {
    fuzz::require(!is_json(text) || without_space(text).size() > kMetadataBytes,
                  "what is refused is no JSON, or too long");
  }
  std::string scratch;
  const std::string_view shown = as_text(text, scratch);
  fuzz::require(is_utf8(shown), "what is shown is UTF-8");
  fuzz::require(!is_utf8(text) || shown == text, "and unchanged if it was");
  return 0;
}
