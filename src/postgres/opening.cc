// Connection::open: the way to a connection that can be used.
#include <libpq-fe.h>

#include <algorithm>
#include <cstdlib>
#include <new>
#include <utility>

#include "base/utf8.h"
#include "io/resolve.h"
#include "postgres/connection.h"

namespace sluice::postgres {

namespace {

// For one host, if the URL does not say. libpq itself would wait for as long as the system does,
// two minutes and more.
constexpr std::chrono::seconds kConnectTimeout{10};
// Partition trees came with 12; what is older is out of support.
constexpr int kOldestServer = 120'000;

std::string name_of(const Target::Host& host) {
  const std::string& name = host.name.empty() ? host.address : host.name;
  std::string text = name.empty() ? std::string("this machine") : printable(name);
  if (!host.port.empty() && !name.starts_with('/')) text += ":" + printable(host.port);
  return text;
}

// Of a message of libpq's, the part that the server has said.
std::string_view said_in(std::string_view message, std::string_view sqlstate) {
  if (!sqlstate.empty()) {
    message.remove_prefix(static_cast<std::size_t>(sqlstate.data() - message.data()) +
                          sqlstate.size() + 2);
    return message.substr(0, message.find('\n'));
  }
  // "connection to server at "x" (1.2.3.4), port 5432 failed: Connection refused"
  constexpr std::string_view kBefore = " failed: ";
  if (message.starts_with("connection to server")) {
    const auto at = message.find(kBefore);
    if (at != std::string_view::npos) message.remove_prefix(at + kBefore.size());
  }
  return message;
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// Certificates that do not fit and the like; a connection that breaks is none of it.
bool is_about_tls(std::string_view message) {
  return (contains(message, "SSL") || contains(message, "certificate")) &&
         !contains(message, "SSL SYSCALL") && !contains(message, "closed unexpectedly");
}

// One or more addresses for a name.
io::Task<Result<std::vector<Target::Host>>> candidates(Target::Host host, io::Stop& stop,
                                                       io::Clock::time_point until) {
  std::vector<Target::Host> found;
  if (!needs_lookup(host)) {
    // Said twice, so that PGHOSTADDR, which is about PGHOST, is not taken for it.
    if (host.address.empty() && !host.name.empty() && !host.name.starts_with('/') &&
        !host.name.starts_with('@')) {
      host.address = host.name;
    }
    found.push_back(std::move(host));
    co_return found;
  }
  auto addresses = co_await io::resolve(host.name, stop, until);
  if (!addresses) co_return std::unexpected(std::move(addresses.error()));
  for (std::string& address : *addresses) {
    found.push_back({host.name, std::move(address), host.port});
  }
  co_return found;
}

}  // namespace

io::Task<Result<std::unique_ptr<Connection>>> Connection::open(const Target& target, Log& log,
                                                               io::Stop& stop,
                                                               io::Clock::time_point until) {
  const io::Executor executor = co_await boost::asio::this_coro::executor;
  const auto patience = target.connect_timeout.value_or(kConnectTimeout);
  std::optional<Error> error;
  for (const Target::Host& named : target.hosts) {
    auto hosts = co_await candidates(named, stop, std::min(until, io::Clock::now() + patience));
    if (!hosts) {
      error = std::move(hosts.error());
      if (stop.requested()) co_return std::unexpected(stop.reason());
      continue;
    }
    for (const Target::Host& host : *hosts) {
      std::unique_ptr<Connection> connection(new Connection(target, log, stop, executor));
      auto connected =
          co_await connection->connect(host, std::min(until, io::Clock::now() + patience));
      if (connected) connected = connection->check_server();
      if (connected) co_return connection;
      // Another server is asked when this one cannot be reached or is not the wanted kind, but not
      // when it refuses the password: libpq has it so.
      error = std::move(connected.error());
      if (stop.requested() || error->retry != Retry::again) {
        co_return std::unexpected(std::move(*error));
      }
    }
  }
  co_return std::unexpected(std::move(*error));
}

io::Task<Result<>> Connection::connect(const Target::Host& host, io::Clock::time_point until) {
  std::vector<const char*> names;
  std::vector<const char*> values;
  const auto add = [&](const char* name, const char* value) {
    names.push_back(name);
    values.push_back(value);
  };
  // The texts of a Secret are strings, which end in a zero byte.
  for (const auto& [name, value] : target_.settings) add(name.c_str(), value.reveal().data());
  add("host", host.name.c_str());
  add("hostaddr", host.address.c_str());
  add("port", host.port.c_str());
  if (target_.verify_remote && !is_local(host)) {
    add("sslmode", "verify-full");
    if (!target_.ca_file.empty()) add("sslrootcert", target_.ca_file.c_str());
  }
  add("client_encoding", "UTF8");
  add("fallback_application_name", "sluice");
  // libpq would ask for Kerberos tickets, and block, to encrypt what TLS encrypts as well.
  if (!target_.find("gssencmode") && getenv("PGGSSENCMODE") == nullptr)
    add("gssencmode", "disable");
  names.push_back(nullptr);
  values.push_back(nullptr);

  handle_.reset(PQconnectStartParams(names.data(), values.data(), 0));
  if (!handle_) throw std::bad_alloc();
  const std::string where = name_of(host);
  if (PQstatus(handle_.get()) == CONNECTION_BAD) {
    Error error = refusal(where);
    // libpq has refused its parameters before it began.
    const std::string_view message = PQerrorMessage(handle_.get());
    if (!message.starts_with("connection to server") && error.retry == Retry::again) {
      error.code = ErrorCode::invalid_argument;
      error.retry = Retry::fatal;
    }
    co_return std::unexpected(std::move(error));
  }
  PQsetErrorVerbosity(handle_.get(), PQERRORS_VERBOSE);  // see sqlstate_in
  PQsetNoticeReceiver(handle_.get(), on_notice, &log_);

  const io::Stop::Listener listener(stop_, [this] { readiness_.interrupt(); });
  if (stop_.requested()) co_return std::unexpected(stop_.reason());
  PostgresPollingStatusType wanted = PGRES_POLLING_WRITING;
  while (wanted != PGRES_POLLING_OK) {
    // Attached anew each time: libpq may have changed the socket, under the same number, too.
    readiness_.attach(PQsocket(handle_.get()));
    Readiness::Wanted which{.read = wanted == PGRES_POLLING_READING,
                            .write = wanted == PGRES_POLLING_WRITING};
    const Readiness::Wanted ready = co_await readiness_.wait(which, until);
    readiness_.detach();
    if (!ready.read && !ready.write) {
      ended_ = true;
      if (stop_.requested()) co_return std::unexpected(stop_.reason());
      co_return fail(ErrorCode::network, Retry::again,
                     "{} could not be reached in time at {}. Check the network and the address.",
                     target_.description, where);
    }
    wanted = PQconnectPoll(handle_.get());
    if (wanted == PGRES_POLLING_FAILED) {
      ended_ = true;
      co_return std::unexpected(refusal(where));
    }
  }
  PQsetErrorVerbosity(handle_.get(), PQERRORS_DEFAULT);
  if (PQsetnonblocking(handle_.get(), 1) != 0) co_return std::unexpected(broken());
  readiness_.attach(PQsocket(handle_.get()));
  co_return Result<>{};
}

Error Connection::refusal(std::string_view host) const {
  const std::string_view message = PQerrorMessage(handle_.get());
  const std::string_view sqlstate = sqlstate_in(message);
  const char* password = PQpass(handle_.get());
  const std::string text = quoted(said_in(message, sqlstate), password != nullptr ? password : "");
  if (!sqlstate.empty()) {
    return make_error({.sqlstate = std::string(sqlstate), .message = text, .detail = {}},
                      target_.description, "connecting");
  }
  if (contains(message, "no password supplied")) {
    return Error{ErrorCode::unauthorized, Retry::fatal, std::nullopt,
                 fmt::format("{} asks for a password, and none was given. {}", target_.description,
                             meaning_of("28P01").advice)};
  }
  if (contains(message, "expected authentication request")) {
    return Error{ErrorCode::protocol, Retry::fatal, std::nullopt,
                 fmt::format("what answers at {} is no PostgreSQL server ({}). Check the address "
                             "and the port.",
                             host, text)};
  }
  if (is_about_tls(message)) {
    return Error{
        ErrorCode::network, Retry::fatal, std::nullopt,
        fmt::format("{} could not be connected to securely ({}). Give the server's "
                    "certificate authority with ?sslrootcert=FILE; ?sslmode=require "
                    "encrypts without checking whom it talks to, ?sslmode=disable does not "
                    "encrypt.",
                    target_.description, text)};
  }
  return Error{
      ErrorCode::network, Retry::again, std::nullopt,
      fmt::format("{} could not be reached at {} ({}). Check the network, the address, and "
                  "that the server runs.",
                  target_.description, host, text)};
}

// What entries cannot do without.
Result<> Connection::check_server() {
  const int version = PQserverVersion(handle_.get());
  if (version < kOldestServer) {
    return fail(ErrorCode::unsupported, Retry::fatal,
                "{} is PostgreSQL {}. Sluice needs 12 or newer.", target_.description,
                version / 10'000);
  }
  const char* encoding = PQparameterStatus(handle_.get(), "server_encoding");
  if (encoding == nullptr || std::string_view(encoding) != "UTF8") {
    return fail(ErrorCode::unsupported, Retry::fatal,
                "{} is encoded in {}, and metadata is UTF-8. Make a database with `createdb "
                "--encoding=UTF8 --template=template0`.",
                target_.description,
                encoding != nullptr ? printable(encoding) : "(it does not say)");
  }
  return {};
}

}  // namespace sluice::postgres
