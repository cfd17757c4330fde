#include "server/admin.h"

#include <utility>

namespace sluice::server {

namespace {

Response plain(int status, std::string text) {
  Response response;
  response.status = status;
  response.content_type = "text/plain; charset=utf-8";
  response.text = std::move(text);
  return response;
}

io::Task<Result<Response>> health(Call&) {
  co_return plain(200, "ok\n");
}

}  // namespace

void add_admin_routes(Router& router, const Metrics& metrics, AdminOptions options) {
  router.add({.method = "GET", .path = "/healthz", .handler = health});
  router.add({.method = "GET",
              .path = "/readyz",
              .handler = [ready = std::move(options.ready)](Call&) -> io::Task<Result<Response>> {
                const Result<> answer = co_await ready();
                co_return answer ? plain(200, "ready\n") : plain(503, "not ready\n");
              }});
  router.add({.method = "GET",
              .path = "/metrics",
              .handler = [&metrics](Call&) -> io::Task<Result<Response>> {
                Response response = plain(200, metrics.text());
                response.content_type = Metrics::kContentType;
                co_return response;
              },
              .guard = std::move(options.guard)});
}

}  // namespace sluice::server
