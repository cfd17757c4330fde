#include <string_view>

#include "require.h"
#include "server/cloudflare/cursor.h"
#include "server/cloudflare/query.h"

// A cursor comes back from a client, which may have made it up; and so does the query that it is
// in.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice;
  using namespace sluice::server::cloudflare;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto position = read_cursor(text, "space", "prefix")) {
    fuzz::require(make_cursor("space", "prefix", *position) == text,
                  "what is accepted is what we write");
  }
  if (!text.empty()) {
    const std::string made = make_cursor("space", "prefix", text);
    fuzz::require(read_cursor(made, "space", "prefix") == std::string(text), "it is read again");
    fuzz::require(!read_cursor(made, "space", "other"), "… for the same prefix only");
  }
  if (const auto query = Query::parse(text)) (void)query->find_integer("limit");
  return 0;
}
