#include "postgres/target.h"

#include <libpq-fe.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <boost/system/error_code.hpp>
#include <charconv>
#include <cstdlib>
#include <iterator>
#include <memory>

#include "base/text_distance.h"
#include "base/utf8.h"

namespace sluice::postgres {

namespace {

// Read here and not passed on as they are.
constexpr std::string_view kOfHosts[] = {"host", "hostaddr", "port"};
// libpq knows them; here they have no meaning, or would break what is built on them.
constexpr std::string_view kRefused[] = {"client_encoding", "fallback_application_name",
                                         "replication", "service"};
// Where Debian, Fedora and Alpine keep the system's certificates.
constexpr const char* kSystemCertificates[] = {
    "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"};

bool is_any_of(std::string_view word, std::span<const std::string_view> list) {
  return std::ranges::find(list, word) != list.end();
}

std::vector<std::string> split_at_commas(std::string_view text) {
  std::vector<std::string> parts;
  for (;;) {
    const std::size_t comma = text.find(',');
    parts.emplace_back(text.substr(0, comma));
    if (comma == std::string_view::npos) return parts;
    text.remove_prefix(comma + 1);
  }
}

bool is_socket_folder(std::string_view name) {
  return name.starts_with('/') || name.starts_with('@');
}

boost::system::error_code parse_address(const std::string& text, boost::asio::ip::address& out) {
  boost::system::error_code error;
  out = boost::asio::ip::make_address(text, error);
  return error;
}

// The value of a keyword: of the URL, else the default.
class Values {
 public:
  Values(const StoreUrl& url, std::span<const Default> defaults) : url_(url), defaults_(defaults) {}

  [[nodiscard]] std::optional<std::string> given(std::string_view keyword) const {
    const auto value = url_.parameter(keyword);
    return value ? std::optional<std::string>(*value) : std::nullopt;
  }
  [[nodiscard]] std::optional<std::string> standard(std::string_view keyword) const {
    const auto found = std::ranges::find(defaults_, keyword, &Default::keyword);
    if (found == defaults_.end() || !found->value || found->value->empty()) return std::nullopt;
    return found->value;
  }
  [[nodiscard]] std::optional<std::string> either(std::string_view keyword) const {
    auto value = given(keyword);
    return value && !value->empty() ? value : standard(keyword);
  }

 private:
  const StoreUrl& url_;
  std::span<const Default> defaults_;
};

Result<> check_parameters(const StoreUrl& url, const TargetOptions& options) {
  for (const auto& [name, value] : url.query) {
    if (name == "ssl" || is_any_of(name, options.own_parameters)) continue;
    if (name == "service") {
      return fail(ErrorCode::invalid_argument,
                  "a service is named by PGSERVICE, not in the store's URL. Set it, and write "
                  "postgres: alone.");
    }
    std::vector<std::string_view> known(options.own_parameters.begin(),
                                        options.own_parameters.end());
    for (const Default& each : options.defaults) known.push_back(each.keyword);
    if (!is_any_of(name, known) || is_any_of(name, kRefused)) {
      std::erase_if(known, [](std::string_view each) { return is_any_of(each, kRefused); });
      return fail(ErrorCode::invalid_argument,
                  "\"{}\" is no parameter of a postgres: URL.{} Known are those of libpq (sslmode, "
                  "sslrootcert, connect_timeout, options, …), ?schema= and ?table=.",
                  printable(name), did_you_mean(name, known));
    }
    // libpq is given C strings.
    if (value.find('\0') != std::string::npos) {
      return fail(ErrorCode::invalid_argument,
                  "the parameter \"{}\" of the postgres: URL holds a zero byte. Leave it out.",
                  printable(name));
    }
  }
  return {};
}

Result<std::vector<Target::Host>> hosts_of(const StoreUrl& url, const Values& values) {
  std::vector<Target::Host> hosts;
  const auto port = values.either("port");
  const bool in_query = url.parameter("host") || url.parameter("hostaddr");
  if (!url.hosts.empty() && !in_query) {
    for (const StoreUrl::Host& host : url.hosts) {
      hosts.push_back({host.name, "", host.port ? std::to_string(*host.port) : port.value_or("")});
    }
    return hosts;
  }
  // A name that is given is not joined by an address from the environment, which is another host's.
  const auto names = values.either("host");
  const auto addresses =
      values.given("host") && !values.given("hostaddr") ? std::nullopt : values.either("hostaddr");
  const std::vector<std::string> name = split_at_commas(names.value_or(""));
  const std::vector<std::string> address = split_at_commas(addresses.value_or(""));
  const std::vector<std::string> ports = split_at_commas(port.value_or(""));
  const std::size_t count = addresses ? address.size() : name.size();
  if ((names && addresses && name.size() != count) ||
      (ports.size() != 1 && ports.size() != count)) {
    return fail(
        ErrorCode::invalid_argument,
        "the postgres: URL (with PGHOST, PGHOSTADDR and PGPORT) names {} hosts, {} addresses "
        "and {} ports. Give as many of each, or one port.",
        name.size(), address.size(), ports.size());
  }
  for (std::size_t i = 0; i < count; ++i) {
    hosts.push_back({names ? name[i] : "", addresses ? address[i] : "",
                     ports.size() == 1 ? ports.front() : ports[i]});
  }
  return hosts;
}

Result<std::optional<std::chrono::milliseconds>> connect_timeout_of(const Values& values) {
  const auto text = values.either("connect_timeout");
  if (!text) return std::nullopt;
  int seconds = 0;
  const auto parsed = std::from_chars(text->data(), text->data() + text->size(), seconds);
  if (parsed.ec != std::errc{} || parsed.ptr != text->data() + text->size() || seconds > 86'400) {
    return fail(
        ErrorCode::invalid_argument,
        "connect_timeout=\"{}\" of the postgres: URL (or PGCONNECT_TIMEOUT) is no number of "
        "seconds up to a day.",
        printable(*text));
  }
  // As libpq has it: zero and less is no limit; ours stays.
  if (seconds <= 0) return std::nullopt;
  return std::chrono::seconds(seconds);
}

// The certificates to trust where libpq would find none: it looks for ~/.postgresql/root.crt and,
// before version 16, knows nothing of the system's.
std::string certificates(const TargetOptions& options, const Values& values) {
  if (values.either("sslrootcert")) return {};
  const char* home = getenv("HOME");
  const std::string own = std::string(home != nullptr ? home : "") + "/.postgresql/root.crt";
  if (access(own.c_str(), R_OK) == 0) return {};
  if (!options.ca_file.empty()) return options.ca_file;
  for (const char* candidate : kSystemCertificates) {
    if (access(candidate, R_OK) == 0) return candidate;
  }
  return {};
}

std::string describe(const Target& target, const Values& values) {
  std::string text = "PostgreSQL";
  const auto user = target.find("user") ? std::optional<std::string>(*target.find("user"))
                                        : values.standard("user");
  // libpq takes the user's name for a database that is not named.
  if (const auto named = target.find("dbname")) {
    text += fmt::format(" database \"{}\"", printable(*named));
  } else if (const auto database = values.standard("dbname") ? values.standard("dbname") : user) {
    text += fmt::format(" database \"{}\"", printable(*database));
  }
  for (std::size_t i = 0; i < target.hosts.size(); ++i) {
    const Target::Host& host = target.hosts[i];
    const std::string& name = host.name.empty() ? host.address : host.name;
    text += i == 0 ? " at " : ",";
    text += name.empty() ? "this machine" : printable(name);
    if (!name.empty() && !is_socket_folder(name) && !host.port.empty()) {
      text += ":" + printable(host.port);
    }
  }
  return text;
}

}  // namespace

std::optional<std::string_view> Target::find(std::string_view keyword) const {
  for (const auto& [name, value] : settings) {
    if (name == keyword) return value.reveal();
  }
  return std::nullopt;
}

std::vector<Default> libpq_defaults() {
  std::vector<Default> defaults;
  const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> options(PQconndefaults(),
                                                                             PQconninfoFree);
  for (const PQconninfoOption* option = options.get();
       option != nullptr && option->keyword != nullptr; ++option) {
    defaults.push_back({option->keyword, option->val != nullptr
                                             ? std::optional<std::string>(option->val)
                                             : std::nullopt});
  }
  // A compiled-in default is no choice that somebody has made.
  for (Default& each : defaults) {
    if (each.keyword == "sslmode" && each.value == "prefer" && getenv("PGSSLMODE") == nullptr) {
      each.value.reset();
    }
  }
  return defaults;
}

Result<Target> make_target(const StoreUrl& url, const TargetOptions& options) {
  if (auto checked = check_parameters(url, options); !checked) {
    return std::unexpected(std::move(checked.error()));
  }
  if (!url.path.empty() && !url.path.starts_with('/')) {
    return fail(ErrorCode::invalid_argument,
                "\"{}\": write postgres://USER@HOST:PORT/DATABASE, or postgres:///DATABASE for a "
                "server on this machine.",
                url.redacted());
  }
  const Values values(url, options.defaults);
  Target target;
  auto hosts = hosts_of(url, values);
  if (!hosts) return std::unexpected(std::move(hosts.error()));
  target.hosts = std::move(*hosts);
  auto timeout = connect_timeout_of(values);
  if (!timeout) return std::unexpected(std::move(timeout.error()));
  target.connect_timeout = *timeout;

  if (!url.user.empty()) target.settings.emplace_back("user", Secret(url.user));
  // What journals keep in a password's place is none: libpq then looks where else it may be.
  if (!url.password.empty() && url.password.reveal() != "***") {
    target.settings.emplace_back("password", url.password);
  }
  if (url.path.size() > 1) target.settings.emplace_back("dbname", Secret(url.path.substr(1)));
  for (const auto& [name, value] : url.query) {
    if (is_any_of(name, kOfHosts) || is_any_of(name, options.own_parameters)) continue;
    if (name == "connect_timeout" || target.find(name)) continue;
    if (name == "ssl") {
      // As JDBC writes it; libpq's own URLs take it, too.
      if (value == "true") target.settings.emplace_back("sslmode", Secret("require"));
      continue;
    }
    target.settings.emplace_back(name, Secret(value));
  }
  for (const auto& [name, value] : target.settings) {
    if (value.reveal().find('\0') != std::string_view::npos) {
      return fail(ErrorCode::invalid_argument,
                  "the {} of the postgres: URL holds a zero byte. Correct it.", name);
    }
  }
  const auto mode = target.find("sslmode") ? std::optional<std::string>(*target.find("sslmode"))
                                           : values.standard("sslmode");
  target.verify_remote = !mode;
  target.ca_file = certificates(options, values);
  if (mode && mode->starts_with("verify-") && !target.ca_file.empty()) {
    target.settings.emplace_back("sslrootcert", Secret(target.ca_file));
  }
  target.description = describe(target, values);
  return target;
}

bool needs_lookup(const Target::Host& host) {
  if (!host.address.empty() || host.name.empty() || is_socket_folder(host.name)) return false;
  boost::asio::ip::address address;
  return static_cast<bool>(parse_address(host.name, address));
}

bool is_local(const Target::Host& host) {
  const std::string& name = host.address.empty() ? host.name : host.address;
  if (name.empty() || is_socket_folder(name) || name == "localhost") return true;
  boost::asio::ip::address address;
  return !parse_address(name, address) && address.is_loopback();
}

}  // namespace sluice::postgres
