#include "server/admin.h"

#include <memory>
#include <utility>

#include "io/slots.h"

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

// What `ready` has answered, no older than `age`. However many ask at the same time, `ready` is
// asked once.
class Readiness {
 public:
  Readiness(std::function<io::Task<Result<>>()> ready, io::Clock::duration age)
      : ready_(std::move(ready)), age_(age) {}

  io::Task<Result<Response>> answer() {
    const io::Slots::Slot one_at_a_time = co_await asking_.take();
    if (io::Clock::now() >= good_until_) {
      is_ready_ = (co_await ready_()).has_value();
      good_until_ = io::Clock::now() + age_;
    }
    co_return is_ready_ ? plain(200, "ready\n") : plain(503, "not ready\n");
  }

 private:
  const std::function<io::Task<Result<>>()> ready_;
  const io::Clock::duration age_;
  io::Slots asking_{1};
  bool is_ready_ = false;
  io::Clock::time_point good_until_ = io::Clock::time_point::min();
};

}  // namespace

void add_admin_routes(Router& router, const Metrics& metrics, AdminOptions options) {
  router.add({.method = "GET", .path = "/healthz", .handler = health});
  const auto readiness = std::make_shared<Readiness>(std::move(options.ready), options.ready_age);
  router.add({.method = "GET", .path = "/readyz", .handler = [readiness](Call&) {
                return readiness->answer();
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
