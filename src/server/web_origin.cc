#include "server/web_origin.h"

#include <boost/asio/ip/address.hpp>
#include <string>
#include <string_view>

namespace sluice::server {

namespace {

// "[::1]:80" → "::1", "localhost:80" → "localhost".
std::string_view without_port(std::string_view host) {
  return host.starts_with('[') ? host.substr(1, host.find(']') - 1)
                               : host.substr(0, host.find(':'));
}

bool is_localhost(std::string_view host) {
  return host == "localhost" || host.ends_with(".localhost");
}

bool is_address(std::string_view host) {
  boost::system::error_code error;
  boost::asio::ip::make_address_v4(host, error);
  if (error) boost::asio::ip::make_address_v6(std::string(host), error);
  return !error;
}

}  // namespace

bool asks_for_another_host(const http::ServerRequest& request) {
  const auto field = request.find("host");
  if (!field || field->empty()) return false;  // HTTP/1.0: no browser
  const std::string_view host = without_port(*field);
  return !is_localhost(host) && !is_address(host);
}

bool comes_from_another_site(const http::ServerRequest& request) {
  const auto origin = request.find("origin");
  if (!origin) return false;
  const std::size_t scheme = origin->find("://");
  if (scheme == std::string_view::npos) return true;
  const std::string_view host = without_port(origin->substr(scheme + 3));
  if (is_localhost(host)) return false;
  boost::system::error_code error;
  const auto address = boost::asio::ip::make_address(std::string(host), error);
  return error || !address.is_loopback();
}

}  // namespace sluice::server
