// The target of a request, and what a client says of the host: the router, the query, the rule for
// names that only lead here.
#include <algorithm>
#include <string>
#include <string_view>

#include "base/utf8.h"
#include "require.h"
#include "server/cloudflare/query.h"
#include "server/cloudflare/rules.h"
#include "server/router.h"
#include "server/web_origin.h"

namespace {

using namespace sluice;

constexpr std::string_view kPlaced = "/a/{account}/namespaces/{namespace}/values/{key}";

const server::Router& router() {
  static const auto made = [] {
    auto routes = std::make_unique<server::Router>();
    for (const std::string_view path : {std::string_view("/a"), std::string_view("/a/{account}"),
                                        std::string_view("/a/{account}/namespaces"), kPlaced}) {
      routes->add({.method = "GET", .path = std::string(path), .handler = {}});
    }
    return routes;
  }();
  return *made;
}

void check_match(std::string_view path) {
  // A Match that was used before answers as a new one does.
  static server::Router::Match used;
  router().match("GET", path, used);
  const server::Router::Match match = router().match("GET", path);
  fuzz::require(used.route == match.route, "what was matched before leaves nothing behind");
  if (match.route == nullptr) {
    fuzz::require(match.refusal.status == 400 || match.refusal.status == 404, "it is refused");
    return;
  }
  fuzz::require(used.places == match.places, "nor in the places");
  const auto places = std::ranges::count(match.route->path, '{');
  fuzz::require(std::ssize(match.places) == places, "each place is filled");
  fuzz::require(std::ranges::count(path, '/') == std::ranges::count(match.route->path, '/'),
                "nothing in a path leads to another depth");
  if (match.route->path != kPlaced) return;
  if (server::cloudflare::check_key(match.places.back())) {
    fuzz::require(is_utf8(match.places.back()), "a key is UTF-8");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::string_view path = text.substr(0, text.find('?'));
  if (path.starts_with('/')) check_match(path);
  if (path.size() < text.size()) {
    if (const auto query = server::cloudflare::Query::parse(text.substr(path.size() + 1))) {
      (void)query->find("prefix");
      (void)query->find_integer("limit");
    }
  }
  http::ServerRequest request;
  request.headers = {{"host", text}, {"origin", text}};
  const bool other_host = server::asks_for_another_host(request);
  // A page whose name only leads here may not come in by either way.
  if (text.ends_with(".test") && !text.contains(':') && !text.contains('[')) {
    fuzz::require(other_host, "a name is not this machine");
  }
  (void)server::comes_from_another_site(request);
  return 0;
}
