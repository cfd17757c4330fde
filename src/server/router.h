// Router: which handler answers which method and path.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "http/server_message.h"
#include "http/service.h"
#include "io/task.h"

namespace sluice::server {

using Request = http::ServerRequest;
using Response = http::ServerResponse;

struct Route;

// A request on its way through a router.
struct Call {
  Call(Request& the_request, const Route& the_route, std::span<const std::string> the_places)
      : request(the_request), route(the_route), places(the_places) {}

  Request& request;
  const Route& route;
  // What the path holds at the route's {places}, in their order, percent-decoded.
  std::span<const std::string> places;
  // Who asks, as the guard found out: for the access log. Never a secret.
  std::string caller{};
};

// A coroutine that answers. Every handler outlives its calls; an Error becomes an answer by the
// errors' own face (ErrorFace), so that a handler returns it as any other function does.
using Handler = std::function<io::Task<Result<Response>>(Call&)>;

// Looks at a request before its body is read: an answer refuses it (401, 429).
using Guard = std::function<std::optional<Response>(Call&)>;

struct Route {
  std::string method;            // "GET", which answers HEAD, too
  std::string path;              // "/accounts/{account}/storage/kv/namespaces/{namespace}"
  std::string name;              // in metrics: the path, unless another one is given
  std::uint64_t body_limit = 0;  // bytes
  Handler handler;
  Guard guard{};
};

// How failures look to the clients of a part of the paths: problem+json (RFC 9457), or the envelope
// of the service that is spoken.
class ErrorFace {
 public:
  virtual ~ErrorFace() = default;
  // What a handler's Error becomes.
  [[nodiscard]] virtual Response of(const Error& error) const = 0;
  // What the router and the connection refuse: 400, 404, 405, 408, 413, 414, 431, 501, 503, 505.
  [[nodiscard]] virtual Response of(const http::Refusal& refusal) const = 0;
};

// The default face. Statuses: invalid_argument 400, unauthorized 403, not_found 404, conflict 409,
// too_large 413, throttled 429, unsupported 501, unavailable, network and timeout 503, else 500
// (whose message stays inside: it is logged, not sent).
[[nodiscard]] const ErrorFace& problem_json();

// Routes are added before the first request; after that a Router does not change, and belongs to
// one loop. Paths are compared segment by segment as they were sent: nothing is decoded, joined or
// resolved before (so "%2F" in a place stays within it, and ".." leads nowhere).
class Router {
 public:
  Router();
  ~Router();
  Router(const Router&) = delete;
  Router& operator=(const Router&) = delete;

  void add(Route route);
  // Answers of paths that begin with `prefix` have this face; the longest prefix counts. The prefix
  // "" is also for what was no request. `face` outlives the router.
  void use(std::string_view prefix, const ErrorFace& face);

  // What a path and method lead to.
  struct Match {
    const Route* route = nullptr;  // null: see refusal and allow
    std::vector<std::string> places;
    http::Refusal refusal{};
    std::string allow{};  // of a 405: the methods that there are
  };
  [[nodiscard]] Match match(std::string_view method, std::string_view path) const;
  // The same into a Match that was used before, whose memory is taken over: a request costs no
  // allocation then.
  void match(std::string_view method, std::string_view path, Match& found) const;
  [[nodiscard]] const ErrorFace& face(std::string_view path) const;

 private:
  struct Node;
  struct Face {
    std::string prefix;
    const ErrorFace* face;
  };
  std::unique_ptr<Node> root_;
  std::vector<std::unique_ptr<Route>> routes_;
  std::vector<Face> faces_;
};

}  // namespace sluice::server
