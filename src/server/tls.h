// TLS of a server.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <memory>
#include <string>

#include "base/error.h"

namespace sluice::server {

// TLS 1.2 and newer with this certificate (a chain, PEM) and its key. A key that others may read is
// refused. The errors name the file and what is wrong with it.
Result<std::unique_ptr<boost::asio::ssl::context>> make_tls(const std::string& certificate,
                                                            const std::string& key);

}  // namespace sluice::server
