#include "tests/cloudflare/api.h"

#include <algorithm>
#include <boost/json.hpp>
#include <ctime>

#include "tests/cloudflare/envelope.h"

namespace sluice::cloudflare_fake {
namespace {

constexpr std::string_view control_prefix = "/__control/";

std::string_view path_of(std::string_view target) {
  return target.substr(0, target.find('?'));
}

void append_counts(std::string& out, std::string_view name,
                   const std::map<std::string, std::uint64_t, std::less<>>& counts) {
  out += fmt::format(R"("{}":{{)", name);
  bool first = true;
  for (const auto& [key, count] : counts) {
    out += fmt::format(R"({}"{}":{})", first ? "" : ",", key, count);
    first = false;
  }
  out += '}';
}

std::string to_json(const Stats& stats) {
  std::string out = "{";
  append_counts(out, "requests", stats.requests);
  out += ',';
  append_counts(out, "faults", stats.faults);
  const std::pair<std::string_view, std::uint64_t> counts[] = {
      {"total", stats.total},
      {"max_simultaneous", stats.max_simultaneous},
      {"during_retry_after", stats.during_retry_after},
      {"rate_limited", stats.rate_limited},
      {"unauthorized", stats.unauthorized},
      {"refused", stats.refused},
      {"keys_listed", stats.keys_listed},
      {"keys_put", stats.keys_put},
      {"keys_erased", stats.keys_erased},
      {"values_read", stats.values_read},
      {"bytes_in", stats.bytes_in},
      {"bytes_out", stats.bytes_out},
      {"connections", stats.connections},
  };
  for (const auto& [name, count] : counts) out += fmt::format(R"(,"{}":{})", name, count);
  out += '}';
  return out;
}

}  // namespace

Api::Api(const Options& options)
    : options_(options),
      faults_(options.seed),
      limit_(options.rate_limit, Clock::now()),
      purge_limit_(options.purge_limit, Clock::now()),
      random_(options.seed) {
  if (limit_.enabled()) {
    // Where the window begins is unknown to clients.
    const auto window =
        std::chrono::duration_cast<std::chrono::milliseconds>(options_.rate_limit.window);
    const std::chrono::milliseconds offset(random_() % static_cast<std::uint64_t>(window.count()));
    limit_ = RateLimit(options_.rate_limit, Clock::now() - offset);
  }
  if (options_.keys != 0) {
    create_namespace(options_.made_up_title,
                     {options_.keys, options_.metadata, options_.value_bytes});
  }
  for (const auto& [name, plan] : options_.zones) zones_.add(name, plan, options_.account);
  for (std::size_t i = 0; i < options_.namespaces; ++i) {
    create_namespace(fmt::format("namespace-{:05}", i));
  }
}

std::int64_t Api::now() const {
  return static_cast<std::int64_t>(std::time(nullptr)) + clock_offset_.count();
}

void Api::reset_stats() {
  const std::uint64_t connections = stats_.connections;
  stats_ = {};
  stats_.connections = connections;
  stats_.max_simultaneous = simultaneous_;
}

std::string Api::create_namespace(std::string title, MadeUp made_up) {
  std::string id = fmt::format("{:016x}{:016x}", random_(), random_());
  namespaces_.emplace(id, Namespace{id, std::move(title), Keyspace(made_up)});
  return id;
}

void Api::put(std::string_view id, std::string key, Entry entry) {
  namespaces_.find(id)->second.keyspace.put(std::move(key), std::move(entry));
}

std::optional<Entry> Api::find(std::string_view id, std::string_view key) const {
  const auto at = namespaces_.find(id);
  if (at == namespaces_.end()) return std::nullopt;
  return at->second.keyspace.find(key, now());
}

std::uint64_t Api::size(std::string_view id) const {
  const auto at = namespaces_.find(id);
  return at == namespaces_.end() ? 0 : at->second.keyspace.size(now());
}

std::string Api::namespace_id(std::string_view title) const {
  for (const auto& [id, candidate] : namespaces_) {
    if (candidate.title == title) return id;
  }
  return {};
}

void Api::arrived(std::string_view target, Clock::time_point at) {
  if (target.starts_with(control_prefix)) return;
  ++stats_.total;
  stats_.max_simultaneous = std::max(stats_.max_simultaneous, ++simultaneous_);
  if (retry_after_.breaks(at)) ++stats_.during_retry_after;
}

void Api::left(std::string_view target, const Answer& answer, Clock::time_point begun) {
  if (target.starts_with(control_prefix)) return;
  --simultaneous_;
  stats_.bytes_out += answer.body.size();
  for (const auto& [name, value] : answer.headers) {
    if (name != "Retry-After") continue;
    retry_after_.told(begun, Clock::now(), std::chrono::seconds(parse_integer(value).value_or(0)));
  }
}

Answer Api::control(const Request& request, std::string_view path) {
  const auto plain = [](std::string body) {
    Answer answer;
    answer.body = std::move(body);
    return answer;
  };
  const auto done = [&] { return plain("{}"); };
  if (path == "stats" && request.method == "GET") return plain(to_json(stats_));
  if (path == "reset" && request.method == "POST") {
    reset_stats();
    return done();
  }
  if (path == "faults" && request.method == "POST") {
    auto plan = parse_fault_plan(request.body);
    if (!plan) return refuse(400, Code::malformed_body, plan.error().message);
    faults_.set(std::move(*plan));
    return done();
  }
  if (path == "clock" && request.method == "POST") {
    const auto seconds = parse_integer(request.body);
    if (!seconds) return refuse(400, Code::malformed_body, "The body is a number of seconds.");
    advance_clock(std::chrono::seconds(*seconds));
    return done();
  }
  if (path == "purged") {
    if (request.method == "GET") return plain(zones_.to_json());
    zones_.forget();
    return done();
  }
  if (path == "applied") {
    if (request.method == "GET") return plain(applied_.to_json());
    applied_.start();
    return done();
  }
  if (path == "entries" && request.method == "GET") {
    const std::size_t mark = request.target.find('?');
    const auto query =
        parse_query(mark == std::string::npos ? "" : request.target.substr(mark + 1));
    const auto value = [&](std::string_view name) {
      const auto found = query ? query->find(name) : decltype(query->find(name)){};
      return query && found != query->end() ? found->second : std::string();
    };
    const std::string title = value("title");
    const auto where = namespaces_.find(title.empty() ? value("namespace") : namespace_id(title));
    if (where == namespaces_.end()) return refuse(404, Code::namespace_not_found, "not found");
    Answer answer;
    answer.content_type = "application/x-ndjson";
    bool more = false;
    const auto keys = where->second.keyspace.list(
        "", std::nullopt, std::numeric_limits<std::size_t>::max(), now(), more);
    for (const auto& listed : keys) {
      const auto entry = where->second.keyspace.find(listed.key, now());
      answer.body += R"({"key":)";
      append_text(answer.body, listed.key);
      // In hexadecimal, so that a test sees bytes and not this server's opinion of them.
      answer.body += R"(,"value_hex":")";
      for (const char c : entry->value) {
        answer.body += fmt::format("{:02x}", static_cast<unsigned char>(c));
      }
      answer.body += '"';
      if (!listed.metadata.empty()) {
        answer.body += R"(,"metadata_text":)";
        append_text(answer.body, listed.metadata);
      }
      if (listed.expiration != 0) {
        answer.body += fmt::format(R"(,"expiration":{})", listed.expiration);
      }
      answer.body += "}\n";
    }
    return answer;
  }
  return refuse(404, Code::no_route, "There is no such control.");
}

std::optional<Answer> Api::refuse_credentials(const Request& request) {
  if (!request.authorization.empty()) {
    if (request.authorization == "Bearer " + options_.token) return std::nullopt;
    return refuse(403, Code::authentication, "Authentication error");
  }
  if (!request.email.empty() || !request.key.empty()) {
    if (request.email == options_.email && request.key == options_.key) return std::nullopt;
    return refuse(403, Code::unknown_key, "Unknown X-Auth-Key or X-Auth-Email");
  }
  return refuse(401, Code::no_credentials,
                "Missing X-Auth-Key, X-Auth-Email or Authorization headers");
}

std::optional<Answer> Api::route(Call& call, std::string_view path) {
  const auto nowhere = [&] {
    call.route = "other";
    return refuse(
        404, Code::no_route,
        fmt::format("Could not route to {}, perhaps your object identifier is invalid?", path));
  };
  const std::string_view whole = path;
  const std::string& method = call.request.method;
  if (path.starts_with("/client/v4/")) path.remove_prefix(std::string_view("/client/v4").size());
  if (path == "/user/tokens/verify" || path == "/accounts" || path == "/memberships" ||
      path == "/user") {
    call.route = method + " " + std::string(path);
    return std::nullopt;
  }
  const std::size_t query_at = call.request.target.find('?');
  if (query_at != std::string::npos) {
    auto query = parse_query(std::string_view(call.request.target).substr(query_at + 1));
    if (!query) return refuse(400, Code::malformed_body, "The query cannot be decoded.");
    call.query = std::move(*query);
  }
  if (path == "/zones" || path.starts_with("/zones/")) return route_zone(call, path);
  constexpr std::string_view accounts = "/accounts/";
  if (!path.starts_with(accounts)) return nowhere();
  path.remove_prefix(accounts.size());
  const std::size_t slash = path.find('/');
  const std::string_view account = path.substr(0, slash);
  path.remove_prefix(account.size());
  constexpr std::string_view collection = "/storage/kv/namespaces";
  if (!path.starts_with(collection)) return nowhere();
  path.remove_prefix(collection.size());
  if (path.empty()) {
    call.route = method + " namespaces";
    if (method != "GET" && method != "POST") {
      return refuse(405, Code::no_route, "Method not allowed");
    }
  } else {
    path.remove_prefix(1);
    const std::size_t end = std::min(path.find('/'), path.size());
    call.namespace_id = path.substr(0, end);
    const std::string_view rest = path.substr(std::min(end + 1, path.size()));
    const std::size_t rest_end = std::min(rest.find('/'), rest.size());
    const std::string_view kind = rest.substr(0, rest_end);
    const std::string_view tail = rest.substr(std::min(rest_end + 1, rest.size()));
    bool allowed = false;
    if (rest.empty()) {
      call.route = method + " namespace";
      allowed = method == "GET" || method == "PUT" || method == "DELETE";
    } else if (kind == "keys" && tail.empty()) {
      call.route = method + " keys";
      allowed = method == "GET";
    } else if (kind == "values" || kind == "metadata") {
      call.route = method + " " + std::string(kind);
      allowed = method == "GET" || (kind == "values" && (method == "PUT" || method == "DELETE"));
      // A slash of a key has to be sent as %2F.
      if (tail.find('/') != std::string_view::npos) return nowhere();
      const auto key = percent_decode(tail);
      if (!key) return refuse(400, Code::bad_key, "The key cannot be decoded.");
      call.key = *key;
    } else if (kind == "bulk" && tail.empty()) {
      call.route = method + " bulk";
      allowed = method == "PUT" || method == "DELETE";
    } else if (kind == "bulk" && (tail == "get" || tail == "delete")) {
      call.route = method + " bulk/" + std::string(tail);
      allowed = method == "POST";
    } else {
      path = whole;
      return nowhere();
    }
    if (!allowed) return refuse(405, Code::no_route, "Method not allowed");
  }
  if (!options_.account.empty() && account != options_.account) {
    return refuse(403, Code::authentication, "Authentication error");
  }
  return std::nullopt;
}

Answer Api::handle(Request request) {
  const std::string_view path = path_of(request.target);
  if (path.starts_with(control_prefix)) {
    return control(request, path.substr(control_prefix.size()));
  }
  stats_.bytes_in += request.body.size();
  const Clock::time_point at = Clock::now();

  Call call(request);
  std::optional<Answer> wrong_path = route(call, path);
  ++stats_.requests[call.route];

  Answer answer;
  const auto blocked = limit_.count(at);
  if (blocked) {
    ++stats_.rate_limited;
    answer = refuse(429, Code::throttled, "Please wait and consider throttling your request speed");
    answer.headers.emplace_back("Retry-After", std::to_string(blocked->count()));
  } else if (auto refusal = refuse_credentials(request)) {
    ++stats_.unauthorized;
    answer = std::move(*refusal);
  } else if (wrong_path) {
    ++stats_.refused;
    answer = std::move(*wrong_path);
  } else {
    call.fault = faults_.choose(call.route);
    if (call.fault != Fault::none) ++stats_.faults[std::string(name(call.fault))];
    answer = perform(call);
    if (call.fault == Fault::none && answer.status >= 400) ++stats_.refused;
  }
  if (const std::string left = limit_.header(at); !left.empty()) {
    answer.headers.emplace_back("Ratelimit", left);
    answer.headers.emplace_back("Ratelimit-Policy", limit_.policy_header());
  }
  return answer;
}

Answer Api::perform(Call& call) {
  Answer answer;
  switch (call.fault) {
    case Fault::throttled:
    case Fault::throttled_html:
      answer = call.fault == Fault::throttled
                   ? refuse(429, Code::throttled,
                            "Please wait and consider throttling your request speed")
                   : html_page(429, "Error 1015: You are being rate limited");
      answer.headers.emplace_back("Retry-After", std::to_string(faults_.plan().retry_after));
      return answer;
    case Fault::internal_error:
      return refuse(500, Code::internal, "internal server error");
    case Fault::unavailable:
      return html_page(503, "503 Service Temporarily Unavailable");
    case Fault::timed_out:
      return html_page(524, "Error 524: A timeout occurred");
    case Fault::forbidden:
      return refuse(403, Code::authentication, "Authentication error");
    case Fault::success_false:
      answer = refuse(200, Code::internal, "the operation could not be completed");
      return answer;
    case Fault::cut_before:
      answer.delivery = call.fault;
      return answer;
    default:
      break;
  }

  if (!call.zone_id.empty()) {
    answer = zone_call(call);
  } else if (call.namespace_id.empty()) {
    if (call.route == "GET zones") {
      answer = list_zones(call);
    } else if (call.route == "GET namespaces") {
      answer = list_namespaces(call);
    } else if (call.route == "POST namespaces") {
      answer = create_namespace(call);
    } else if (call.route == "GET /user/tokens/verify") {
      answer = succeed(R"({"id":"0123456789abcdef0123456789abcdee","status":"active"})");
    } else if (call.route == "GET /accounts") {
      answer = succeed(fmt::format(R"([{{"id":"{}","name":"Test account"}}])", options_.account),
                       R"({"page":1,"per_page":20,"count":1,"total_count":1})");
    } else if (call.route == "GET /memberships") {
      answer = succeed(fmt::format(
          R"([{{"id":"1","account":{{"id":"{}","name":"Test account"}}}}])", options_.account));
    } else {
      answer = succeed(fmt::format(R"({{"id":"1","email":"{}"}})", options_.email));
    }
  } else if (const auto at = namespaces_.find(call.namespace_id); at == namespaces_.end()) {
    answer = refuse(404, Code::namespace_not_found, "namespace not found");
  } else {
    Namespace& where = at->second;
    const std::string& to = call.route;
    if (to == "GET keys") {
      answer = list_keys(call, where);
    } else if (to == "PUT bulk") {
      answer = bulk_put(call, where);
    } else if (to == "POST bulk/delete" || to == "DELETE bulk") {
      answer = bulk_delete(call, where);
    } else if (to == "POST bulk/get") {
      answer = bulk_get(call, where);
    } else if (to == "GET values") {
      answer = get_value(call, where);
    } else if (to == "PUT values") {
      answer = put_value(call, where);
    } else if (to == "DELETE values") {
      answer = delete_value(call, where);
    } else if (to == "GET metadata") {
      answer = get_metadata(call, where);
    } else if (to == "PUT namespace") {
      answer = rename_namespace(call, where);
    } else if (to == "DELETE namespace") {
      namespaces_.erase(at);
      answer = succeed("null");
    } else {
      std::string result = R"({"id":")" + where.id + R"(","title":)";
      append_text(result, where.title);
      answer = succeed(result + R"(,"supports_url_encoding":true})");
    }
  }

  switch (call.fault) {
    case Fault::timed_out_applied:
      return html_page(524, "Error 524: A timeout occurred");
    case Fault::malformed:
      answer.body.resize(answer.body.size() / 2);
      break;
    case Fault::cut_after:
    case Fault::cut_middle:
    case Fault::close_idle:
      answer.delivery = call.fault;
      break;
    case Fault::stall:
      answer.delivery = call.fault;
      answer.stall = faults_.plan().stall;
      break;
    default:
      break;
  }
  return answer;
}

}  // namespace sluice::cloudflare_fake
