// ListCursor: where a listing goes on.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace sluice::store::cloudflare {

// Cloudflare lists at least ten keys at a time. Who asks for fewer is given fewer, and the next
// page begins within the same page of the service: its cursor is the service's own, with the number
// of entries to skip. Without any to skip it is the service's, byte for byte.
struct ListCursor {
  std::string service;   // empty: the first page (or, as an answer, the end)
  std::size_t skip = 0;  // entries of the service's page that have been given

  static ListCursor parse(std::string_view text);
  [[nodiscard]] std::string text() const;
};

}  // namespace sluice::store::cloudflare
