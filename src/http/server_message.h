// ServerRequest and ServerResponse: what a server is asked and what it answers.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/memory_budget.h"

namespace sluice::http {

// A header field as it was received.
struct FieldView {
  std::string_view name;
  std::string_view value;
};

// A request whose head has been read. The views point into the connection's buffer and are valid
// until its handler has ended.
struct ServerRequest {
  std::string_view method;
  std::string_view target;  // as it was sent: path and query, still percent-encoded
  std::string_view path;    // of the target
  std::string_view query;   // of the target, without the question mark
  std::vector<FieldView> headers;
  int minor_version = 1;  // HTTP/1.0 or HTTP/1.1
  // How long the body is, as far as the head tells; none: it comes in chunks.
  std::optional<std::uint64_t> content_length = 0;
  bool keep_alive = true;
  bool expects_continue = false;

  // The body, once it has been read. Its capacity leaves room for the padding that simdjson wants.
  std::string body;
  MemoryBudget::Lease body_memory;

  // The value of the first field of this name, in any case; none: there is no such field.
  [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const;
};

struct ServerResponse {
  int status = 200;
  std::string_view content_type = "application/json";  // a literal; empty: none is named
  // Further fields; names are literals, values hold no line break.
  std::vector<std::pair<std::string_view, std::string>> headers{};
  // The body is `text`, or if `owner` is set, the bytes of `outside`, which `owner` keeps alive.
  std::string text{};
  std::string_view outside{};
  std::shared_ptr<const void> owner{};
  // What the body holds of the server's budget, given back when it has been sent.
  MemoryBudget::Lease memory{};
  bool close = false;  // the connection ends with this answer

  [[nodiscard]] std::string_view body() const {
    return owner != nullptr ? outside : std::string_view(text);
  }
};

}  // namespace sluice::http
