// Request and Response: what the HTTP client sends and what it gives back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace sluice::http {

// Header fields in the order in which they came. Names are compared without regard to case
// (RFC 9110, section 5.1).
class Headers {
 public:
  using Field = std::pair<std::string, std::string>;

  void add(std::string_view name, std::string_view value) { fields_.emplace_back(name, value); }
  // The value of the first field of this name.
  [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const;
  void clear() { fields_.clear(); }

  [[nodiscard]] bool empty() const { return fields_.empty(); }
  [[nodiscard]] auto begin() const { return fields_.begin(); }
  [[nodiscard]] auto end() const { return fields_.end(); }

 private:
  std::vector<Field> fields_;
};

struct Request {
  std::string method = "GET";
  // For Client: the whole URL. For Session: what follows its base URL, "/zones?page=1", encoded.
  std::string url{};
  Headers headers{};
  std::string body{};
  std::string content_type{};  // of the body; empty: none is named

  // Whether doing it twice is the same as doing it once (RFC 9110, section 9.2.2). If not, it is
  // sent on a fresh connection and repeated only when it was provably not carried out.
  bool idempotent = true;
  // Whether it is a batch that can be split: then a time-out asks for a smaller one.
  bool divisible = false;
  // What requests that take similarly long have in common, for Session to compare their times:
  // "values". Empty: the path, which does when it names no key.
  std::string_view route{};
};

struct Response {
  int status = 0;
  Headers headers{};
  // Decoded, if it came compressed. Its capacity leaves room for the padding that simdjson wants.
  std::string body{};
  // Which sending of the request this answers: 1 for the first. Counted by Session.
  int sending = 1;
};

// How far a request got that has no answer.
enum class RequestFate : std::uint8_t {
  not_sent,  // nothing of it has left: it was certainly not carried out
  stale,     // sent over a kept-alive connection that closed before the first byte of an answer:
             // servers close idle connections, so almost certainly nobody has read it
  unknown,   // sent, and perhaps carried out
};

struct Failure {
  Error error;
  RequestFate fate = RequestFate::unknown;
};

// "Too Many Requests"; empty for a status without a name.
[[nodiscard]] std::string_view status_name(int status);
// "429 Too Many Requests", or the number alone for a status without a name.
[[nodiscard]] std::string status_text(int status);

}  // namespace sluice::http
