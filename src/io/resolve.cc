#include "io/resolve.h"

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <boost/system/error_code.hpp>
#include <memory>

#include "base/utf8.h"

namespace sluice::io {

namespace {

using Resolver = boost::asio::ip::basic_resolver<boost::asio::ip::tcp, Executor>;

// The system's resolver cannot be called off. Its answer may come when nobody waits any more, so
// this is shared with it.
struct Answer {
  explicit Answer(Executor executor) : resolver(executor), arrived(executor) {}
  Resolver resolver;
  Event arrived;
  bool done = false;
  boost::system::error_code error;
  std::vector<std::string> addresses;
};

}  // namespace

Task<Result<std::vector<std::string>>> resolve(std::string name, Stop& stop,
                                               Clock::time_point until) {
  const Executor executor = co_await boost::asio::this_coro::executor;
  const auto answer = std::make_shared<Answer>(executor);
  answer->resolver.async_resolve(
      name, "",
      [answer](const boost::system::error_code& error, const Resolver::results_type& found) {
        answer->done = true;
        answer->error = error;
        for (const auto& each : found) {
          std::string address = each.endpoint().address().to_string();
          if (std::ranges::find(answer->addresses, address) == answer->addresses.end()) {
            answer->addresses.push_back(std::move(address));
          }
        }
        answer->arrived.notify_all();
      });
  const Stop::Listener listener(stop, [&] { answer->arrived.notify_all(); });
  while (!answer->done && !stop.requested() && Clock::now() < until) {
    co_await answer->arrived.wait_until(until);
  }
  if (!answer->done && stop.requested()) co_return std::unexpected(stop.reason());
  if (!answer->done) {
    co_return fail(ErrorCode::timeout, Retry::again,
                   "the address of {} was not found in time. Check the network and the name.",
                   printable(name));
  }
  if (answer->error || answer->addresses.empty()) {
    const bool may_pass = answer->error == boost::asio::error::host_not_found_try_again;
    co_return fail(ErrorCode::network, may_pass ? Retry::again : Retry::fatal,
                   "the address of {} cannot be found ({}). Check the network and the name.",
                   printable(name), answer->error.message());
  }
  co_return std::move(answer->addresses);
}

}  // namespace sluice::io
