#include "http/message.h"

#include "base/ascii.h"

namespace sluice::http {

// RFC 9110, section 15, and Cloudflare's own 52x.
std::string_view status_name(int status) {
  switch (status) {
    case 100:
      return "Continue";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 304:
      return "Not Modified";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 431:
      return "Request Header Fields Too Large";
    case 429:
      return "Too Many Requests";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    case 520:
      return "Unknown Error";
    case 521:
      return "Web Server Is Down";
    case 522:
      return "Connection Timed Out";
    case 523:
      return "Origin Is Unreachable";
    case 524:
      return "A Timeout Occurred";
    default:
      return {};
  }
}

std::optional<std::string_view> Headers::find(std::string_view name) const {
  for (const auto& [field, value] : fields_) {
    if (same_but_for_case(field, name)) return value;
  }
  return std::nullopt;
}

std::string status_text(int status) {
  const std::string_view name = status_name(status);
  return name.empty() ? fmt::to_string(status) : fmt::format("{} {}", status, name);
}

}  // namespace sluice::http
