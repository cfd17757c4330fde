// Target: which database, with which credentials, as a postgres:// URL and libpq's defaults say.
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/secret.h"
#include "base/uri.h"

namespace sluice::postgres {

// How a database is reached. A value; nothing in it is sent or looked up yet.
struct Target {
  // One server of several that are tried in turn.
  struct Host {
    std::string name;     // a name, an address, or the folder of a Unix socket; empty: libpq's own
    std::string address;  // an IP address that was given beside the name (hostaddr); often empty
    std::string port;     // empty: libpq's own
    friend bool operator==(const Host&, const Host&) = default;
  };

  std::vector<Host> hosts;  // at least one
  // libpq's keywords except those of the hosts; the password among them.
  std::vector<std::pair<std::string, Secret>> settings;
  std::optional<std::chrono::milliseconds> connect_timeout;  // for one host
  bool verify_remote = false;  // hosts that are not local are connected to with sslmode=verify-full
  std::string ca_file;         // … against these certificates; empty: libpq's own file
  // For people, without secrets: `PostgreSQL database "app" at db.example:5432`.
  std::string description;

  // The setting of this name, or nothing.
  [[nodiscard]] std::optional<std::string_view> find(std::string_view keyword) const;
};

// What libpq takes for a keyword that is not given: from the environment, a service file
// (PGSERVICE) or itself. Read anew at each call; tests pass their own.
struct Default {
  std::string keyword;
  std::optional<std::string> value;
};
[[nodiscard]] std::vector<Default> libpq_defaults();

struct TargetOptions {
  // Query parameters of the URL that are not libpq's, but the caller's.
  std::span<const std::string_view> own_parameters{};
  // Trusted instead of the system's certificates when the URL names none; empty: those.
  std::string ca_file{};
  std::vector<Default> defaults = libpq_defaults();
};

// Takes `url` apart: user, password, hosts, the database as its path, and libpq's parameters as its
// query. An unknown parameter is an invalid_argument that names the nearest known one. The password
// "***", which stands in journals, is none: it then comes from PGPASSWORD or the password file.
//
// TLS: libpq's own default takes what it gets. A server on another machine is checked here
// (sslmode=verify-full against the system's certificates) unless something says otherwise: the
// URL, PGSSLMODE or a service file.
Result<Target> make_target(const StoreUrl& url, const TargetOptions& options);

// Whether a connection to it stays on this machine: a Unix socket or a loopback address.
[[nodiscard]] bool is_local(const Target::Host& host);
// Whether it has to be looked up before libpq may see it.
[[nodiscard]] bool needs_lookup(const Target::Host& host);

}  // namespace sluice::postgres
