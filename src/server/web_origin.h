// Requests that a web page makes in somebody's browser.
#pragma once

#include "http/server_message.h"

namespace sluice::server {

// Whether the request names a host that is not of this machine's loopback: as a page does that has
// made its own name lead there (DNS rebinding), for which a browser tells no Origin. An address is
// no name: nobody can make that lead elsewhere.
[[nodiscard]] bool asks_for_another_host(const http::ServerRequest& request);

// Whether a page of another site made the request: its Origin (RFC 6454) is not of this machine's
// loopback, or is kept secret ("null"). A browser says so with everything that could change
// something. A server that asks nobody for credentials has to, since any page that is open beside
// it reaches the loopback, too, also under a name of the page's own that leads there.
[[nodiscard]] bool comes_from_another_site(const http::ServerRequest& request);

}  // namespace sluice::server
