#include "kv_store.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/uri.h"
#include "base/utf8.h"
#include "io/worker.h"
#include "store/absent.h"
#include "store/cached.h"
#include "store/dry_run.h"
#include "waiting.h"

namespace sluice::cli {

namespace {

constexpr std::string_view kDefaultNamespace = "default";

// Stores that have a namespace of this name by themselves.
bool has_default_namespace(std::string_view url) {
  constexpr std::string_view kSchemes[] = {
      "sqlite:", "memory:", "redis:", "rediss:", "postgres:", "postgresql:"};
  return std::ranges::any_of(kSchemes,
                             [&](std::string_view scheme) { return url.starts_with(scheme); });
}

std::unexpected<Error> no_file(std::string_view file, std::string_view url) {
  return fail(ErrorCode::not_found,
              "there is no file {}: {}the first `sluice kv put` or `kv import` makes it",
              printable(file), url == "sqlite:" ? "" : "check the name; ");
}

// Before the file of an embedded store is made: whether the namespace will be in it.
io::Task<Result<>> check_in_new_file(Context& context, const StorePlace& place, std::string file) {
  if (place.id.empty() && place.create) co_return Result<>();
  auto empty = co_await open_backend(context, place.url, true);
  if (!empty) co_return std::unexpected(empty.error());
  std::string wanted = place.id.empty() ? place.name : place.id;
  if (wanted.empty()) wanted = kDefaultNamespace;
  auto found = co_await empty->backend->find_namespace(wanted);
  if (found) co_return Result<>();
  if (found.error().code != ErrorCode::not_found) co_return std::unexpected(found.error());
  co_return fail(ErrorCode::not_found,
                 "there is no file {}, and so no namespace {}\"{}\": check the names; {}",
                 printable(file), place.id.empty() ? "" : "with the id ", printable(wanted),
                 place.id.empty() ? "--create-namespace makes both"
                                  : "--create-namespace makes one by its title");
}

}  // namespace

std::string store_url(const Context& context, const Invocation& invocation) {
  // An empty one is most often an unset variable in a script, and must not mean some other store.
  if (const auto url = invocation.value("store")) return *url;
  return context.setting("CLOUDFLARE_API_TOKEN") ? "cloudflare:" : "sqlite:";
}

StorePlace source_place(const Context& context, const Invocation& invocation) {
  return {.url = store_url(context, invocation),
          .name = invocation.value("namespace").value_or(""),
          .id = invocation.value("namespace-id").value_or("")};
}

StorePlace reading_place(const Context& context, const Invocation& invocation) {
  StorePlace place = source_place(context, invocation);
  place.remembered = true;
  place.cached = invocation.on("cached");
  return place;
}

std::shared_ptr<store::AnswerCache> answer_cache(Context& context, const Invocation& invocation) {
  store::AnswerCache::Options options{.root = context.folders.cache + "/cache"};
  // A clock cannot be asked for what lies beyond its end.
  constexpr std::chrono::milliseconds kMost = std::chrono::years(1);
  if (const auto ttl = invocation.duration("cache-ttl")) options.ttl = std::min(*ttl, kMost);
  if (const auto most = invocation.count("cache-max-entries")) options.limits.max_entries = *most;
  if (const auto most = invocation.size("cache-max-size")) options.limits.max_bytes = *most;
  return std::make_shared<store::AnswerCache>(std::move(options), context.log);
}

std::shared_ptr<store::Backend> to_change(Context& context, const store::Opened& opened) {
  if (opened.identity.empty()) return opened.backend;
  return store::CachedBackend::make(
      opened.backend, answer_cache(context, *context.invocation),
      {.identity = opened.identity, .checks_namespace = opened.checks_namespace},
      store::CachedBackend::LookUps::anew);
}

std::string KvStore::description() const {
  return fmt::format("namespace \"{}\" of {}", printable(in.title.empty() ? in.id : in.title),
                     opened.backend->description());
}

io::Task<Result<store::Opened>> open_backend(Context& context, std::string url, bool dry_run) {
  store::Environment environment = context.store_environment();
  environment.makes_files = !dry_run;
  if (!url.starts_with("sqlite:")) co_return store::open_backend(url, environment);
  // On a thread of its own, since another process may hold the file's lock for seconds: signals and
  // the deadline are seen meanwhile.
  io::Worker opener;
  const auto open = [&] { return store::open_backend(url, environment); };
  auto opened = co_await opener.run(open);
  if (!opened && context.stop.requested()) co_return std::unexpected(context.stop.reason());
  co_return opened;
}

std::optional<std::string> missing_file(Context& context, std::string_view url) {
  if (!url.starts_with("sqlite:")) return std::nullopt;
  std::string file(url.substr(7));
  if (file.empty()) file = context.store_environment().data_folder + "/store.db";
  if (std::error_code error; std::filesystem::exists(file, error) || error) return std::nullopt;
  return file;
}

Result<> need_file(Context& context, std::string_view url) {
  if (const auto file = missing_file(context, url)) return no_file(*file, url);
  return {};
}

io::Task<Result<KvStore>> open_store(Context& context, const StorePlace& place, bool dry_run,
                                     const KvStore* other) {
  const auto file = missing_file(context, place.url);
  if (file) {
    if (!place.create_file) co_return no_file(*file, place.url);
    auto may = co_await check_in_new_file(context, place, *file);
    if (!may) co_return std::unexpected(may.error());
  }
  auto opened = co_await open_backend(context, place.url, dry_run);
  if (!opened) co_return std::unexpected(opened.error());
  if (file && dry_run) context.console.say("would make the file {}", printable(*file));
  if (other != nullptr && other->store->capabilities().remote &&
      other->opened.backend->description() == opened->backend->description()) {
    *opened = other->opened;
  }
  // What journals keep of the store: never its password.
  KvStore kv{.opened = std::move(*opened),
             .in = {},
             .url = without_password(place.url),
             .calls = {},
             .store = {}};

  // Around what this function does only: the store keeps what it needs, and a purge asks the
  // backend itself for its connection.
  std::shared_ptr<store::Backend> backend = kv.opened.backend;
  std::shared_ptr<store::AnswerCache> cache;
  const store::CacheScope scope{.identity = kv.opened.identity,
                                .checks_namespace = kv.opened.checks_namespace};
  if (!scope.identity.empty()) {
    cache = answer_cache(context, *context.invocation);
    const auto look_ups = place.remembered ? store::CachedBackend::LookUps::remembered
                                           : store::CachedBackend::LookUps::anew;
    backend = store::CachedBackend::make(backend, cache, scope, look_ups);
  }

  std::string name = place.name;
  bool absent = false;
  if (name.empty() && place.id.empty()) {
    if (!has_default_namespace(place.url)) {
      co_return fail(ErrorCode::invalid_argument,
                     "name the namespace with --namespace (`sluice kv namespace list` shows them)");
    }
    name = kDefaultNamespace;
  }
  if (!place.id.empty()) {
    kv.in = {.id = place.id, .title = place.name.empty() ? place.id : place.name};
  } else {
    auto looking = backend->find_namespace(name);
    auto found = co_await telling_obstacles(context, kv.opened.wire_stats, std::move(looking));
    if (!found && found.error().code == ErrorCode::not_found && place.create) {
      if (dry_run) {
        context.console.say("would create namespace \"{}\"", printable(name));
        found = store::Namespace{.id = "(to be created)", .title = name};
        absent = true;
      } else {
        auto creating = backend->create_namespace(name);
        found = co_await telling_obstacles(context, kv.opened.wire_stats, std::move(creating));
        if (found) context.console.say("created namespace \"{}\"", printable(name));
      }
    }
    if (!found) co_return std::unexpected(found.error());
    kv.in = std::move(*found);
  }
  kv.calls = std::make_unique<store::StoreStats>();
  kv.store = backend->open(kv.in);
  if (absent) {
    kv.store = std::make_unique<store::AbsentStore>(kv.store->capabilities());
  } else if (cache != nullptr) {
    const auto gets =
        place.cached ? store::CachedStore::Gets::from_cache : store::CachedStore::Gets::from_store;
    kv.store = std::make_unique<store::CachedStore>(std::move(kv.store), cache, scope, kv.in, gets);
  }
  if (dry_run) kv.store = std::make_unique<store::DryRun>(std::move(kv.store));
  kv.store = std::make_unique<store::Timed>(std::move(kv.store), context.log, *kv.calls);
  co_return kv;
}

}  // namespace sluice::cli
