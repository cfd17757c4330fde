#include <string>
#include <string_view>

#include "require.h"
#include "server/cloudflare/multipart.h"

// The first line is the Content-Type, the rest the body.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice;
  using namespace sluice::server::cloudflare;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::string_view type = text.substr(0, text.find('\n'));
  const std::string_view body = text.substr(std::min(type.size() + 1, text.size()));
  const auto parts = parse_form(type, body);
  if (!parts) {
    fuzz::require(parts.error().code == ErrorCode::invalid_argument, "a bad form is refused");
    return 0;
  }
  fuzz::require(is_form(type), "a form says that it is one");
  std::size_t bytes = 0;
  for (const FormPart& part : *parts) {
    bytes += part.content.size();
    fuzz::require(part.content.empty() ||
                      (part.content.data() >= body.data() &&
                       part.content.data() + part.content.size() <= body.data() + body.size()),
                  "a part lies in the body");
  }
  fuzz::require(bytes <= body.size(), "parts do not overlap");
  return 0;
}
