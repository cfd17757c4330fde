// What the tests of the API share: a client that calls the real handlers, without sockets.
#pragma once

#include <boost/json.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "io/task.h"
#include "server/cloudflare/api.h"
#include "server/router_service.h"
#include "store/memory/memory.h"

namespace sluice::server::cloudflare {

struct Reply {
  int status = 0;
  std::string content_type;
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
  std::uint64_t lease = 0;  // bytes of the memory budget that the answer held

  [[nodiscard]] std::string header(std::string_view name) const {
    for (const auto& [own, value] : headers) {
      if (own == name) return value;
    }
    return {};
  }
  // The body, which must be JSON.
  [[nodiscard]] boost::json::value json() const { return boost::json::parse(body); }
  [[nodiscard]] boost::json::value result() const { return json().at("result"); }
  [[nodiscard]] boost::json::value info() const { return json().at("result_info"); }
  [[nodiscard]] bool success() const { return json().at("success").as_bool(); }
  // Of the first error.
  [[nodiscard]] std::int64_t code() const {
    const auto errors = json().at("errors").as_array();
    return errors.empty() ? 0 : errors.at(0).at("code").as_int64();
  }
};

// A server of one loop over `backend`, as RouterService has it.
class Client {
 public:
  using Headers = std::vector<std::pair<std::string, std::string>>;
  static constexpr std::string_view kBase = "/client/v4";
  static constexpr std::string_view kAll = "/client/v4/accounts/acc/storage/kv/namespaces";

  Client(io::Loop& loop, store::Backend& backend, Api::Options options = {})
      : loop_(loop), api_(backend, std::move(options)) {
    api_.add_routes(router_, kBase);
  }

  // A request as a coroutine of the loop, for tests that have several at the same time.
  io::Task<Reply> call(std::string method, std::string target, std::string body = {},
                       Headers headers = {}) {
    Request request;
    const std::string_view all = target;
    request.method = method;
    request.target = all;
    request.path = all.substr(0, all.find('?'));
    request.query = all.substr(std::min(request.path.size() + 1, all.size()));
    request.content_length = body.size();
    for (const auto& [name, value] : headers) request.headers.push_back({name, value});
    const auto conversation = service_.begin("127.0.0.1:1");
    Response response;
    const auto admitted = conversation->admit(request);
    if (!admitted) {
      co_return reply(admitted.error());
    }
    if (body.size() > *admitted) {
      const http::Refusal refusal{413, "The body is larger than this path takes."};
      co_return reply(conversation->refuse(request, refusal));
    }
    request.body = std::move(body);
    response = co_await conversation->respond(request);
    co_return reply(response);
  }

  Reply request(std::string method, std::string target, std::string body = {},
                Headers headers = {}) {
    return loop_.run(
        call(std::move(method), std::move(target), std::move(body), std::move(headers)));
  }

  // The id of a new namespace.
  std::string create(std::string_view title, const Headers& headers = {}) {
    const Reply made =
        request("POST", std::string(kAll),
                boost::json::serialize(boost::json::object{{"title", title}}), headers);
    return std::string(made.result().at("id").as_string());
  }
  [[nodiscard]] static std::string path(std::string_view id, std::string_view rest = {}) {
    return fmt::format("{}/{}{}", kAll, id, rest);
  }

 private:
  static Reply reply(const Response& response) {
    Reply reply{.status = response.status,
                .content_type = std::string(response.content_type),
                .body = std::string(response.body()),
                .lease = response.memory.bytes()};
    for (const auto& [name, value] : response.headers) {
      reply.headers.emplace_back(std::string(name), value);
    }
    return reply;
  }

  io::Loop& loop_;
  Api api_;
  Router router_;
  Metrics metrics_;
  Log log_{LogLevel::off};
  RouterService service_{{.router = router_, .metrics = metrics_, .log = log_}};
};

}  // namespace sluice::server::cloudflare
