// ListenAddress: where a server listens.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace sluice::server {

struct ListenAddress {
  std::string address;     // "127.0.0.1", "::1"
  std::uint16_t port = 0;  // 0: any free one
  bool loopback = true;    // nobody on another machine can reach it

  // For a URL: "127.0.0.1:8787", "[::1]:8787".
  [[nodiscard]] std::string text() const;
};

// "127.0.0.1:8787", "[::1]:8787", "localhost:8787", ":8787" and "8787" (on the loopback),
// "0.0.0.0:80". A name other than localhost is refused: which of its addresses is meant is the
// operator's to say.
Result<ListenAddress> parse_listen_address(std::string_view text);

}  // namespace sluice::server
