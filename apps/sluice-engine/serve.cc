// sluice serve: a store over HTTP.
#include <algorithm>
#include <boost/asio/ssl/context.hpp>
#include <thread>
#include <utility>

#include "base/utf8.h"
#include "commands.h"
#include "io/worker.h"
#include "kv_store.h"
#include "server/access_log.h"
#include "server/admin.h"
#include "server/cloudflare/api.h"
#include "server/rate_limit.h"
#include "server/router_service.h"
#include "server/server.h"
#include "server/tls.h"
#include "server/token_guard.h"
#include "server/tokens.h"
#include "store/metered.h"
#include "telemetry/metrics.h"

namespace sluice::cli {

namespace {

// Where Cloudflare's own API begins, so that clients need only another host.
constexpr std::string_view kBase = "/client/v4";

// What all loops of a server share.
struct Shared {
  Metrics metrics;
  store::StoreMeters store_meters{metrics};
  std::unique_ptr<server::AccessLog> access_log;
  std::shared_ptr<const server::Tokens> tokens;
  std::shared_ptr<server::RateLimit> rate_limit;
  std::shared_ptr<server::cloudflare::NamespaceChanges> changes =
      std::make_shared<server::cloudflare::NamespaceChanges>(0);
  // A store that several loops may use; else each loop, of which there is one then, opens its own.
  std::optional<store::Opened> store;
  std::shared_ptr<std::atomic<bool>> give_up = std::make_shared<std::atomic<bool>>(false);
};

// The service of one loop.
class StoreService : public http::Service {
 public:
  // Over the shared store, or one of its own at `url`.
  static Result<std::unique_ptr<http::Service>> make(Context& context, Shared& shared,
                                                     const std::string& url,
                                                     const server::Server::Surroundings& around) {
    std::unique_ptr<StoreService> service(new StoreService(shared, around));
    const auto environment =
        context.store_environment(around.loop.executor(), service->stop_, shared.give_up);
    auto opened = shared.store ? *shared.store : store::open_backend(url, environment);
    if (!opened) return std::unexpected(std::move(opened.error()));
    service->serve(context, std::move(*opened), around.memory);
    return service;
  }

  std::unique_ptr<http::Conversation> begin(std::string peer) override {
    return service_->begin(std::move(peer));
  }
  void broke(std::string_view what) override { service_->broke(what); }
  void give_up() override {
    shared_.give_up->store(true);
    stop_.request({ErrorCode::interrupted, Retry::never, std::nullopt, "the server stops"});
    stop_.abandon();
  }

 private:
  StoreService(Shared& shared, const server::Server::Surroundings& around)
      : stop_(around.loop.executor()), shared_(shared) {}

  void serve(Context& context, store::Opened opened, http::MemoryBudget& memory) {
    store_ = std::move(opened);
    backend_ = std::make_unique<store::MeteredBackend>(store_.backend, shared_.store_meters);
    server::cloudflare::Api::Options options;
    options.account = context.invocation->value("account").value_or("");
    options.tokens = shared_.tokens;
    options.rate_limit = shared_.rate_limit;
    options.memory = &memory;
    options.changes = shared_.changes;
    options.log = &context.log;
    api_ = std::make_unique<server::cloudflare::Api>(*backend_, std::move(options));
    router_.use("", api_->face());
    api_->add_routes(router_, kBase);
    server::add_admin_routes(
        router_, shared_.metrics,
        {.ready = [this] { return ready(); }, .guard = server::token_guard(shared_.tokens)});
    service_ = std::make_unique<server::RouterService>(
        server::RouterService::Parts{.router = router_,
                                     .metrics = shared_.metrics,
                                     .log = context.log,
                                     .access_log = shared_.access_log.get()});
  }

  // A remote store is not asked: a probe every second would spend its budget.
  io::Task<Result<>> ready() {
    if (!store_.any_loop) co_return Result<>{};
    const auto namespaces = co_await store_.backend->namespaces();
    if (!namespaces) co_return std::unexpected(namespaces.error());
    co_return Result<>{};
  }

  io::Stop stop_;
  Shared& shared_;
  store::Opened store_;
  std::unique_ptr<store::MeteredBackend> backend_;
  std::unique_ptr<server::cloudflare::Api> api_;
  server::Router router_;
  std::unique_ptr<server::RouterService> service_;
};

// A time that is a flag's. A clock cannot be asked for what lies beyond its end, so what is longer
// than a year is a year.
std::chrono::milliseconds time_of(const Invocation& invocation, std::string_view flag) {
  constexpr std::chrono::milliseconds kMost = std::chrono::years(1);
  return std::min(*invocation.duration(flag), kMost);
}

Result<server::Server::Options> server_options(const Invocation& invocation, bool has_tokens) {
  server::Server::Options options;
  auto listen = server::parse_listen_address(*invocation.value("listen"));
  if (!listen) return std::unexpected(std::move(listen.error()));
  options.listen = std::move(*listen);
  if (!options.listen.loopback && !has_tokens) {
    return fail(ErrorCode::invalid_argument,
                "{} can be reached from other machines, and without --token-file everybody could "
                "read and change everything: give one, or listen at 127.0.0.1",
                options.listen.text());
  }
  options.threads = invocation.count("threads").value_or(
      std::max<std::size_t>(1, std::thread::hardware_concurrency()));
  options.connections = *invocation.count("max-connections");
  options.body_memory = *invocation.size("body-memory");
  options.times.idle = time_of(invocation, "idle-timeout");
  options.times.header = time_of(invocation, "header-timeout");
  options.times.body = time_of(invocation, "body-timeout");
  const auto certificate = invocation.value("tls-cert");
  const auto key = invocation.value("tls-key");
  if (certificate.has_value() != key.has_value()) {
    return fail(ErrorCode::invalid_argument, "--tls-cert and --tls-key go together: {} is missing",
                certificate ? "--tls-key" : "--tls-cert");
  }
  if (certificate) {
    auto tls = server::make_tls(*certificate, *key);
    if (!tls) return std::unexpected(std::move(tls.error()));
    options.tls = std::move(*tls);
  }
  return options;
}

io::Task<ExitCode> serve(Context& context, const Invocation& invocation) {
  if (!invocation.on("cloudflare")) {
    co_return report_error(
        context, {ErrorCode::invalid_argument, Retry::never, std::nullopt,
                  "what shall be served? --cloudflare offers Cloudflare's API for Workers KV; "
                  "serving tables and queries is not built yet"});
  }
  Shared shared;
  if (const auto path = invocation.value("access-log")) {
    auto log = server::AccessLog::open(*path);
    if (!log) co_return report_error(context, log.error());
    shared.access_log = std::move(*log);
  }
  if (const auto file = invocation.value("token-file")) {
    auto tokens = server::Tokens::read(*file);
    if (!tokens) co_return report_error(context, tokens.error());
    shared.tokens = std::make_shared<const server::Tokens>(std::move(*tokens));
  } else if (const auto tables = context.config.get("serve.tokens")) {
    auto tokens = server::Tokens::parse(*tables, context.config_path, "tokens");
    if (!tokens) co_return report_error(context, tokens.error());
    shared.tokens = std::make_shared<const server::Tokens>(std::move(*tokens));
  }
  auto options = server_options(invocation, shared.tokens != nullptr);
  if (!options) co_return report_error(context, options.error());
  if (const auto rate = invocation.value("rate-limit").value_or("off"); rate != "off") {
    const auto quota = flow::parse_quota(rate);
    if (!quota) co_return report_error(context, quota.error());
    shared.rate_limit = std::make_shared<server::RateLimit>(*quota);
  }
  const std::string url = store_url(context, invocation);
  io::Stop store_stop(context.loop.executor());
  auto environment = context.store_environment(context.loop.executor(), store_stop, shared.give_up);
  environment.readers = options->threads;
  const auto made = missing_file(context, url);
  auto opened = store::open_backend(url, environment);
  if (!opened) co_return report_error(context, opened.error());
  const std::string description = opened->backend->description();
  if (opened->any_loop) {
    shared.store = std::move(*opened);
  } else {
    // Its connections, its gate and its budget belong to one loop.
    if (invocation.value("threads") && options->threads > 1) {
      context.console.warn("{} is served by one thread: its budget is one", description);
    }
    options->threads = 1;
  }

  if (options->listen.port != 0 && description.ends_with(" at " + options->listen.text())) {
    co_return report_error(
        context, {ErrorCode::invalid_argument, Retry::never, std::nullopt,
                  fmt::format("the store is {}, which is this server itself: name the one that it "
                              "shall serve with --store (CLOUDFLARE_API_BASE_URL is set)",
                              description)});
  }
  const auto make_service = [&](const server::Server::Surroundings& around) {
    return StoreService::make(context, shared, url, around);
  };
  auto server = server::Server::start(*options, make_service, context.log);
  if (!server) co_return report_error(context, server.error());
  const std::string address =
      fmt::format("{}://{}", options->tls ? "https" : "http", (*server)->address().text());
  context.console.say("listening on {}", address);
  context.console.say("serving {} as Cloudflare's API: CLOUDFLARE_API_BASE_URL={}{}", description,
                      address, kBase);
  if (made) context.console.say("there was no {}: it is made, and empty", printable(*made));

  if (!options->listen.loopback && !options->tls) {
    context.console.warn(
        "without --tls-cert tokens and values travel readable for everybody on the way");
  }
  while (!context.stop.requested()) {
    co_await context.stop.sleep_until(io::Clock::time_point::max());
  }
  io::Worker stopper;
  const auto stop = [&] { return (*server)->stop(time_of(invocation, "grace")); };
  const bool all_answered = co_await stopper.run(stop);
  if (!all_answered) {
    context.console.warn("what was still under way after {} has been cut off",
                         invocation.value("grace").value_or(""));
  }
  co_return all_answered ? ExitCode::done : ExitCode::failed;
}

}  // namespace

ExitCode run_serve(Context& context, const Invocation& invocation) {
  const auto grace = time_of(invocation, "grace");
  const SignalStop signals(context.loop.executor(), context.stop, context.console, grace);
  std::optional<DeadlineStop> deadline;
  if (const auto time = invocation.duration("deadline")) {
    deadline.emplace(context.loop.executor(), context.stop, *time);
  }
  return context.loop.run(serve(context, invocation));
}

}  // namespace sluice::cli
