#include "server/web_origin.h"

#include <boost/asio/ip/address.hpp>
#include <string>
#include <string_view>

namespace sluice::server {

bool comes_from_another_site(const http::ServerRequest& request) {
  const auto origin = request.find("origin");
  if (!origin) return false;
  const std::size_t scheme = origin->find("://");
  if (scheme == std::string_view::npos) return true;
  std::string_view host = origin->substr(scheme + 3);
  host =
      host.starts_with('[') ? host.substr(1, host.find(']') - 1) : host.substr(0, host.find(':'));
  if (host == "localhost" || host.ends_with(".localhost")) return false;
  boost::system::error_code error;
  const auto address = boost::asio::ip::make_address(std::string(host), error);
  return error || !address.is_loopback();
}

}  // namespace sluice::server
