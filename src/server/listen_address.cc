#include "server/listen_address.h"

#include <boost/asio/ip/address.hpp>
#include <charconv>

#include "base/utf8.h"

namespace sluice::server {

std::string ListenAddress::text() const {
  return address.find(':') == std::string::npos ? fmt::format("{}:{}", address, port)
                                                : fmt::format("[{}]:{}", address, port);
}

Result<ListenAddress> parse_listen_address(std::string_view text) {
  const auto refuse = [&] {
    return fail(ErrorCode::invalid_argument,
                "\"{}\" is no address to listen at: write ADDRESS:PORT (127.0.0.1:8787, "
                "[::1]:8787, 0.0.0.0:8787), or only the port for the loopback",
                printable(text));
  };
  const std::size_t colon = text.rfind(':');
  std::string_view host = colon == std::string_view::npos ? "" : text.substr(0, colon);
  const std::string_view port = colon == std::string_view::npos ? text : text.substr(colon + 1);
  ListenAddress listen;
  const char* end = port.data() + port.size();
  const auto parsed = std::from_chars(port.data(), end, listen.port);
  if (port.empty() || parsed.ec != std::errc{} || parsed.ptr != end) return refuse();
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return refuse();
  }
  if (host.empty() || host == "localhost") host = "127.0.0.1";
  boost::system::error_code error;
  const auto address = boost::asio::ip::make_address(std::string(host), error);
  if (error) return refuse();
  listen.address = address.to_string();
  listen.loopback = address.is_loopback();
  return listen;
}

}  // namespace sluice::server
