#include "server/cloudflare/api.h"

#include <algorithm>

#include "server/web_origin.h"
#include "store/limits.h"

namespace sluice::server::cloudflare {

namespace {

// A title may have changed in another program; who may only use some titles is asked anew so often.
constexpr std::chrono::seconds kTitleAge{30};

// Whoever sends no credentials that are known shares one budget: made-up ones must not cost memory,
// and cannot use up anybody else's.
constexpr std::string_view kNobody = {};

constexpr std::uint64_t kNoBody = 64 * 1024;  // where none is expected, a small one is passed over
constexpr std::uint64_t kSmallBody = 64 * 1024;
constexpr std::uint64_t kBulkGetBody = std::uint64_t{1} << 20;
constexpr std::uint64_t kValueBody = kValueBytes + (std::uint64_t{128} << 10);  // a form's frame
// Each byte of a key may be an escape of six.
constexpr std::uint64_t kBulkDeleteBody = kBulkPairs * (kKeyBytes * 6 + 4);

Response credentials_refused(Tokens::Problem problem) {
  switch (problem) {
    case Tokens::Problem::none:
      return refuse(400, Code::no_credentials,
                    "Missing X-Auth-Key, X-Auth-Email or Authorization headers");
    case Tokens::Problem::malformed:
      return refuse(400, Code::bad_headers, "Invalid request headers");
    case Tokens::Problem::unknown_token:
      return refuse(403, Code::unknown_token, "Invalid access token");
    case Tokens::Problem::unknown_key:
      break;
  }
  return refuse(403, Code::unknown_key, "Unknown X-Auth-Key or X-Auth-Email");
}

}  // namespace

Api::Api(store::Backend& backend, Options options)
    : backend_(backend), options_(std::move(options)), namespaces_(backend, options_.changes) {}
Api::~Api() = default;

Route Api::route(std::string_view method, std::string path, std::uint64_t body_limit, Access access,
                 io::Task<Answer> (Api::*handler)(Call&)) {
  Route route{.method = std::string(method), .path = std::move(path), .body_limit = body_limit};
  if (options_.rate_limit != nullptr) {
    route.handler = [this, handler](Call& call) { return with_rate_headers(call, handler); };
  } else {
    route.handler = [this, handler](Call& call) { return (this->*handler)(call); };
  }
  route.guard = [this, access](Call& call) { return guard(call, access); };
  return route;
}

void Api::add_routes(Router& router, std::string_view base) {
  for (Route& each : routes(base)) router.add(std::move(each));
  router.use(base, face_);
}

std::vector<Route> Api::routes(std::string_view base) {
  const std::string all = fmt::format("{}/accounts/{{account}}/storage/kv/namespaces", base);
  const std::string one = all + "/{namespace}";
  using enum Access;
  std::vector<Route> routes;
  routes.push_back(route("GET", all, kNoBody, read, &Api::list_namespaces));
  routes.push_back(route("POST", all, kSmallBody, write, &Api::create_namespace));
  routes.push_back(route("GET", one, kNoBody, read, &Api::get_namespace));
  routes.push_back(route("PUT", one, kSmallBody, write, &Api::rename_namespace));
  routes.push_back(route("DELETE", one, kNoBody, write, &Api::delete_namespace));
  routes.push_back(route("GET", one + "/keys", kNoBody, read, &Api::list_keys));
  routes.push_back(route("GET", one + "/keys/split", kNoBody, read, &Api::split_keys));
  routes.push_back(route("GET", one + "/values/{key}", kNoBody, read, &Api::get_value));
  routes.push_back(route("PUT", one + "/values/{key}", kValueBody, write, &Api::put_value));
  routes.push_back(route("DELETE", one + "/values/{key}", kNoBody, write, &Api::delete_value));
  routes.push_back(route("GET", one + "/metadata/{key}", kNoBody, read, &Api::get_metadata));
  routes.push_back(route("PUT", one + "/bulk", kBulkBytes, write, &Api::bulk_put));
  routes.push_back(route("POST", one + "/bulk/delete", kBulkDeleteBody, write, &Api::bulk_delete));
  routes.push_back(route("DELETE", one + "/bulk", kBulkDeleteBody, write, &Api::bulk_delete));
  routes.push_back(route("POST", one + "/bulk/get", kBulkGetBody, read, &Api::bulk_get));
  return routes;
}

bool Api::is_meant_for_here(const http::ServerRequest& request) {
  const std::string_view host = request.find("host").value_or("");
  if (host == last_host_) return true;
  if (asks_for_another_host(request)) return false;
  last_host_ = host;
  return true;
}

const Token* Api::token(const Call& call) const {
  return options_.tokens == nullptr ? nullptr : options_.tokens->by_name(call.caller);
}

std::optional<Response> Api::guard(Call& call, Access access) {
  std::optional<Response> refusal;
  const Token* who = nullptr;
  if (options_.tokens != nullptr) {
    const auto found = options_.tokens->find(Tokens::credentials(call.request));
    if (found) {
      who = *found;
      call.caller = who->name;
    } else {
      refusal = credentials_refused(found.error());
    }
  } else if (comes_from_another_site(call.request)) {
    refusal = refuse(403, Code::not_allowed,
                     "without tokens, requests of web pages of other sites are refused");
  }
  if (who == nullptr && !refusal && !is_meant_for_here(call.request)) {
    refusal = refuse(403, Code::not_allowed,
                     "without tokens, only requests to localhost or an address are answered");
  }
  if (options_.rate_limit != nullptr) {
    const std::string_view credential = who != nullptr ? who->name : kNobody;
    const auto standing = options_.rate_limit->count(credential, io::Clock::now());
    if (standing.blocked) return too_many_requests(standing);
  }
  if (!refusal) {
    const std::string_view account = call.places.front();
    const bool here = options_.account.empty() || account == options_.account;
    const bool allowed = who == nullptr || (who->allows_account(account) &&
                                            (access == Access::read || who->may_write));
    if (!here || !allowed) refusal = not_allowed();
  }
  if (refusal && options_.rate_limit != nullptr) {
    add_rate_headers(*refusal, options_.rate_limit->look(call.caller, io::Clock::now()));
  }
  return refusal;
}

Response Api::too_many_requests(const RateLimit::Standing& standing) const {
  Response response =
      refuse(429, Code::throttled, "Please wait and consider throttling your request speed");
  response.headers.emplace_back("retry-after", std::to_string(standing.reset.count()));
  add_rate_headers(response, standing);
  return response;
}

void Api::add_rate_headers(Response& response, const RateLimit::Standing& standing) const {
  response.headers.emplace_back("Ratelimit", RateLimit::header(standing));
  response.headers.emplace_back("Ratelimit-Policy", options_.rate_limit->policy_header());
}

io::Task<Result<Response>> Api::with_rate_headers(Call& call,
                                                  io::Task<Answer> (Api::*handler)(Call&)) {
  Answer answer = co_await (this->*handler)(call);
  if (!answer) {
    // An answer bears the headers, an Error could not. So it is told to the log here.
    Response told = face_.of(answer.error());
    if (told.status >= 500 && options_.log != nullptr) {
      options_.log->error("{} {}: {}", call.route.method, call.route.name, answer.error().message);
    }
    answer = std::move(told);
  }
  add_rate_headers(*answer, options_.rate_limit->look(call.caller, io::Clock::now()));
  co_return answer;
}

bool Api::may_use(const Token* token, const store::Namespace& which) {
  return token == nullptr || !token->namespaces ||
         token->allows_namespace({which.title, which.id, wire_id(which.id)});
}

NamespaceTable::PlacePtr Api::known_namespace(const Call& call) {
  // Tokens that are limited to namespaces may need a fresh title.
  if (const Token* who = token(call); who != nullptr && who->namespaces) return nullptr;
  return namespaces_.known(call.places[1]);
}

io::Task<Api::Found> Api::find_namespace(Call& call) {
  const std::string& id = call.places[1];
  const Token* who = token(call);
  const bool limited = who != nullptr && who->namespaces;
  auto looking = limited ? namespaces_.find(id, kTitleAge) : namespaces_.find(id);
  auto place = co_await std::move(looking);
  if (!place) co_return std::unexpected(Answer(std::unexpected(std::move(place.error()))));
  if (*place != nullptr && may_use(who, (*place)->which)) co_return std::move(*place);
  // Who may not use a namespace is not told whether it exists.
  if (limited) co_return std::unexpected(Answer(not_allowed()));
  co_return std::unexpected(Answer(refuse(404, Code::namespace_not_found, "namespace not found")));
}

Result<Response> Api::failed(const NamespaceTable::Place& place, Error error) {
  if (error.code == ErrorCode::not_found) namespaces_.forget(place.id);
  return std::unexpected(std::move(error));
}

std::int64_t Api::now() const {
  return options_.now ? options_.now() : store::unix_now();
}

Response Api::no_room() {
  return refuse(503, Code::internal, "the server has no memory left for this answer; try again");
}

}  // namespace sluice::server::cloudflare
