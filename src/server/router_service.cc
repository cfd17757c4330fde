#include "server/router_service.h"

#include <exception>
#include <optional>
#include <utility>

namespace sluice::server {

class RoutedConversation final : public http::Conversation {
 public:
  RoutedConversation(RouterService& service, std::string peer)
      : service_(service), peer_(std::move(peer)) {
    service_.metrics_.connected();
  }
  ~RoutedConversation() override {
    if (in_flight_) service_.metrics_.ended();
    service_.metrics_.disconnected();
  }

  std::expected<std::uint64_t, Response> admit(Request& request) override {
    begin();
    const Router& router = service_.parts_.router;
    router.match(request.method, request.path, match_);
    if (match_.route == nullptr) {
      Response response = router.face(request.path).of(match_.refusal);
      if (!match_.allow.empty()) response.headers.emplace_back("Allow", std::move(match_.allow));
      return std::unexpected(std::move(response));
    }
    call_.emplace(request, *match_.route, match_.places);
    if (match_.route->guard) {
      if (auto refused = match_.route->guard(*call_)) return std::unexpected(std::move(*refused));
    }
    return match_.route->body_limit;
  }

  io::Task<Response> respond(Request& request) override {
    Error error;
    try {
      Result<Response> response = co_await match_.route->handler(*call_);
      if (response) co_return std::move(*response);
      error = std::move(response.error());
    } catch (const std::exception& broken) {
      // A broken invariant, or no memory: of this request only, and not in silence.
      error.message = fmt::format("the handler threw: {}", broken.what());
    }
    Response told = service_.parts_.router.face(request.path).of(error);
    if (told.status >= 500) {
      service_.parts_.log.error("{} {}: {}", match_.route->method, match_.route->name,
                                error.message);
    }
    co_return told;
  }

  Response refuse(const Request& request, const http::Refusal& refusal) override {
    begin();
    // What was no request has no path that could be trusted.
    const bool read = match_.route != nullptr;
    return service_.parts_.router.face(read ? request.path : std::string_view()).of(refusal);
  }

  void served(const http::Served& served) override {
    service_.metrics_.served(match_.route, served);
    if (AccessLog* log = service_.parts_.access_log; log != nullptr) {
      log->write({.peer = peer_,
                  .caller = call_ ? std::string_view(call_->caller) : std::string_view(),
                  .method = served.request.method,
                  .target = served.request.target,
                  .status = served.response.status,
                  .received = served.bytes_received,
                  .sent = served.bytes_sent,
                  .time = served.time});
    }
    service_.metrics_.ended();
    in_flight_ = false;
    match_.route = nullptr;
    call_.reset();
  }

 private:
  void begin() {
    if (!in_flight_) service_.metrics_.begun();
    in_flight_ = true;
  }

  RouterService& service_;
  std::string peer_;
  Router::Match match_;
  std::optional<Call> call_;
  bool in_flight_ = false;
};

std::unique_ptr<http::Conversation> RouterService::begin(std::string peer) {
  return std::make_unique<RoutedConversation>(*this, std::move(peer));
}

void RouterService::broke(std::string_view what) {
  parts_.log.error("a connection was ended: {}", what);
}

}  // namespace sluice::server
