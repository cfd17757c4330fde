#include "server/tls.h"

#include <sys/stat.h>

#include <cerrno>

#include "base/utf8.h"

namespace sluice::server {

namespace ssl = boost::asio::ssl;

Result<std::unique_ptr<ssl::context>> make_tls(const std::string& certificate,
                                               const std::string& key) {
  struct stat status{};
  for (const std::string& file : {certificate, key}) {
    if (::stat(file.c_str(), &status) != 0) {
      return std::unexpected(system_error(errno, fmt::format("read {}", printable(file))));
    }
  }
  auto context = std::make_unique<ssl::context>(ssl::context::tls_server);
  context->set_options(ssl::context::default_workarounds | ssl::context::no_sslv2 |
                       ssl::context::no_sslv3 | ssl::context::no_tlsv1 | ssl::context::no_tlsv1_1);
  boost::system::error_code error;
  context->use_certificate_chain_file(certificate, error);
  if (error) {
    return fail(ErrorCode::invalid_argument,
                "{} is no certificate in PEM ({}): --tls-cert names the certificate, --tls-key its "
                "private key",
                printable(certificate), error.message());
  }
  if ((status.st_mode & 0077) != 0) {
    return fail(ErrorCode::unauthorized,
                "{} may be read by others, and it is a private key: `chmod 600` it",
                printable(key));
  }
  context->use_private_key_file(key, ssl::context::pem, error);
  if (error) {
    return fail(ErrorCode::invalid_argument, "{} is not the key of {}: {}", printable(key),
                printable(certificate), error.message());
  }
  return context;
}

}  // namespace sluice::server
