// The bytes of a connection, cut in two at a place that the first byte says.
#include <string>

#include "http/request_parser.h"
#include "require.h"

using sluice::fuzz::require;
using sluice::http::RequestParser;

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  if (size < 1) return 0;
  const std::string bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  const RequestParser::Limits limits{.head = 2048, .target = 1024, .fields = 20};
  RequestParser whole(limits);
  const auto step = whole.parse_head(bytes);

  // However the bytes are cut, the answer is the same.
  const std::size_t cut = bytes.empty() ? 0 : data[0] % bytes.size();
  RequestParser cut_in_two(limits);
  auto second = cut_in_two.parse_head(std::string_view(bytes).substr(0, cut));
  if (second == RequestParser::Step::need_more) second = cut_in_two.parse_head(bytes);
  require(second == step, "a cut changes nothing");

  if (step != RequestParser::Step::head) return 0;
  const auto& request = whole.request();
  require(whole.head_bytes() <= bytes.size(), "the head lies within the bytes");
  require(request.path.starts_with('/'), "a path begins with a slash");
  require(request.headers.size() <= limits.fields, "fields are counted");
  if (request.content_length) return 0;
  std::string body;
  const std::string_view rest = std::string_view(bytes).substr(whole.head_bytes());
  if (const auto consumed = whole.parse_chunks(rest, body, 500)) {
    require(*consumed <= rest.size(), "no more is consumed than there is");
    require(body.size() <= 500, "a body keeps within its limit");
  }
  return 0;
}
