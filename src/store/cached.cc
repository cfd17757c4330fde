#include "store/cached.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "io/slots.h"

namespace sluice::store {

namespace {

using Kind = AnswerCache::Kind;

// Above this, dropping all values of a namespace is less work than dropping them one by one.
constexpr std::size_t kMostSingly = 500;

bool namespace_is_gone(const Error& error) {
  // A key that is not there is not the end of everything.
  return error.code == ErrorCode::not_found && error.retry == Retry::fatal;
}

AnswerCache::Fields fields_of(const EntryView& entry) {
  return {std::string(entry.key), std::string(entry.value), std::string(entry.metadata),
          fmt::format("{}", entry.expiration)};
}

// The entry that `fields` hold; `missing` if they are none, or one that has expired.
EntryView entry_of(const AnswerCache::Fields& fields, std::string_view key, std::int64_t now) {
  EntryView entry{.key = key, .value = {}, .metadata = {}, .presence = Presence::missing};
  if (fields.size() != 4 || fields[0] != key) return entry;
  std::int64_t expiration = 0;
  const char* const end = fields[3].data() + fields[3].size();
  const auto read = std::from_chars(fields[3].data(), end, expiration);
  if (read.ec != std::errc() || read.ptr != end || (expiration != 0 && expiration <= now)) {
    return entry;
  }
  entry.value = fields[1];
  entry.metadata = fields[2];
  entry.expiration = expiration;
  entry.presence = Presence::present;
  return entry;
}

std::int64_t seconds(localcache::TimePoint time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

}  // namespace

// A store whose id came from the cache: the first call tells whether it is right.
class CachedBackend::RememberedStore : public Store {
 public:
  RememberedStore(std::shared_ptr<CachedBackend> backend, Namespace in, std::string name)
      : backend_(std::move(backend)),
        in_(std::move(in)),
        name_(std::move(name)),
        first_(backend_->below().open(in_)),
        current_(first_) {}

  // What the namespace can hold does not hang on its id.
  [[nodiscard]] const Capabilities& capabilities() const override { return first_->capabilities(); }
  io::Task<Result<Page>> list(ListRequest request) override {
    const auto call = [request](Store& store) { return store.list(request); };
    return through<Page>(call);
  }
  io::Task<Result<std::vector<std::string>>> split(std::string_view prefix,
                                                   std::size_t parts) override {
    const auto call = [prefix, parts](Store& store) { return store.split(prefix, parts); };
    return through<std::vector<std::string>>(call);
  }
  io::Task<Result<GetAnswer>> get(std::span<const std::string_view> keys) override {
    const auto call = [keys](Store& store) { return store.get(keys); };
    return through<GetAnswer>(call);
  }
  io::Task<Result<GetAnswer>> get_exact(std::span<const std::string_view> keys) override {
    const auto call = [keys](Store& store) { return store.get_exact(keys); };
    return through<GetAnswer>(call);
  }
  io::Task<Result<GetAnswer>> get_metadata(std::span<const std::string_view> keys) override {
    const auto call = [keys](Store& store) { return store.get_metadata(keys); };
    return through<GetAnswer>(call);
  }
  io::Task<Result<WriteAnswer>> put(std::span<const EntryView> entries) override {
    const auto call = [entries](Store& store) { return store.put(entries); };
    return through<WriteAnswer>(call);
  }
  io::Task<Result<WriteAnswer>> erase(std::span<const std::string_view> keys) override {
    const auto call = [keys](Store& store) { return store.erase(keys); };
    return through<WriteAnswer>(call);
  }

 private:
  template <class T, class Call>
  io::Task<Result<T>> through(Call call) {
    const std::shared_ptr<Store> used = current_;
    Result<T> answer = co_await call(*used);
    if (answer) proven_ = true;
    if (answer || !namespace_is_gone(answer.error())) co_return answer;
    const Result<bool> moved = co_await look_again(used);
    if (!moved) co_return std::unexpected(moved.error());
    if (!*moved) co_return answer;
    const std::shared_ptr<Store> found = current_;
    co_return co_await call(*found);
  }

  // Whether the namespace turned out to be another one than `used` speaks of.
  io::Task<Result<bool>> look_again(const std::shared_ptr<Store>& used) {
    const io::Slots::Slot one_at_a_time = co_await looking_.take();
    if (current_ != used) co_return true;
    if (std::exchange(looked_, true)) co_return false;
    std::vector<std::string> names{name_};
    co_await backend_->forget(std::move(names));
    // What has been done already was done to the namespace that is gone: the rest must not go on in
    // another one.
    if (proven_) co_return false;
    auto found = co_await backend_->find_anew(name_);
    if (!found) co_return std::unexpected(std::move(found.error()));
    if (found->id == in_.id) co_return false;
    current_ = backend_->below().open(*found);
    co_return true;
  }

  std::shared_ptr<CachedBackend> backend_;
  Namespace in_;
  std::string name_;
  std::shared_ptr<Store> first_;
  std::shared_ptr<Store> current_;
  io::Slots looking_{1};
  bool proven_ = false;
  bool looked_ = false;
};

CachedBackend::CachedBackend(std::shared_ptr<Backend> below, std::shared_ptr<AnswerCache> cache,
                             CacheScope scope, LookUps look_ups)
    : BackendDecorator(std::move(below)),
      cache_(std::move(cache)),
      scope_(std::move(scope)),
      look_ups_(look_ups) {}

std::shared_ptr<CachedBackend> CachedBackend::make(std::shared_ptr<Backend> below,
                                                   std::shared_ptr<AnswerCache> cache,
                                                   CacheScope scope, LookUps look_ups) {
  return std::shared_ptr<CachedBackend>(
      new CachedBackend(std::move(below), std::move(cache), std::move(scope), look_ups));
}

std::string CachedBackend::key_of(std::string_view name) const {
  const std::array<std::string_view, 2> texts{scope_.identity, name};
  return "namespace:" + digest(texts);
}

io::Task<> CachedBackend::forget(std::vector<std::string> names) {
  for (std::string& name : names) name = key_of(name);
  co_await cache_->erase(Kind::look_ups, std::move(names));
}

io::Task<Result<Namespace>> CachedBackend::create_namespace(std::string_view title) {
  auto made = co_await below().create_namespace(title);
  // Also when it failed: it may have been made.
  std::vector<std::string> names{std::string(title)};
  co_await forget(std::move(names));
  co_return made;
}

io::Task<Result<>> CachedBackend::rename_namespace(const Namespace& which, std::string_view title) {
  auto renamed = co_await below().rename_namespace(which, title);
  std::vector<std::string> names{which.title, which.id, std::string(title)};
  co_await forget(std::move(names));
  co_return renamed;
}

io::Task<Result<>> CachedBackend::delete_namespace(const Namespace& which) {
  auto removed = co_await below().delete_namespace(which);
  std::vector<std::string> names{which.title, which.id};
  co_await forget(std::move(names));
  co_await cache_->erase_all(Kind::values, CachedStore::prefix_of(scope_, which.id));
  co_return removed;
}

io::Task<Result<Namespace>> CachedBackend::find_anew(std::string_view name) {
  auto found = co_await below().find_namespace(name);
  if (!found || !scope_.checks_namespace) co_return found;
  // That the service can seek is learned from the answer to the look-up.
  if (below().open(*found)->capabilities().seekable) co_return found;
  std::vector<AnswerCache::Answer> answers;
  answers.push_back({.key = key_of(name), .fields = {found->id, found->title}});
  co_await cache_->set(Kind::look_ups, std::move(answers));
  co_return found;
}

io::Task<Result<Namespace>> CachedBackend::find_namespace(std::string_view name) {
  if (look_ups_ == LookUps::remembered && scope_.checks_namespace) {
    std::vector<std::string> keys{key_of(name)};
    auto known = co_await cache_->get(Kind::look_ups, std::move(keys));
    if (known.front() && known.front()->size() == 2 && !known.front()->front().empty()) {
      AnswerCache::Fields& fields = *known.front();
      remembered_.insert_or_assign(fields[0], std::string(name));
      co_return Namespace{.id = std::move(fields[0]), .title = std::move(fields[1])};
    }
  }
  co_return co_await find_anew(name);
}

std::unique_ptr<Store> CachedBackend::open(const Namespace& which) {
  const auto name = remembered_.find(which.id);
  if (name == remembered_.end()) return below().open(which);
  return std::make_unique<RememberedStore>(shared_from_this(), which, name->second);
}

CachedStore::CachedStore(std::unique_ptr<Store> below, std::shared_ptr<AnswerCache> cache,
                         const CacheScope& scope, const Namespace& in, Gets gets)
    : StoreDecorator(std::move(below)),
      cache_(std::move(cache)),
      prefix_(prefix_of(scope, in.id)),
      gets_(gets) {}

std::string CachedStore::prefix_of(const CacheScope& scope, std::string_view namespace_id) {
  const std::array<std::string_view, 2> texts{scope.identity, namespace_id};
  return digest(texts) + ":";
}

std::string CachedStore::key_of(std::string_view key, bool exact) const {
  const std::array<std::string_view, 1> texts{key};
  return fmt::format("{}{}{}", prefix_, exact ? "exact:" : "get:", digest(texts));
}

io::Task<Result<GetAnswer>> CachedStore::get(std::span<const std::string_view> keys) {
  return get_either(keys, below().capabilities().exact_get);
}
io::Task<Result<GetAnswer>> CachedStore::get_exact(std::span<const std::string_view> keys) {
  return get_either(keys, true);
}

io::Task<Result<GetAnswer>> CachedStore::get_metadata(std::span<const std::string_view> keys) {
  // With its value, the answer can be kept.
  if (gets_ == Gets::from_cache && cache_->on()) return get(keys);
  return below().get_metadata(keys);
}

io::Task<Result<GetAnswer>> CachedStore::get_either(std::span<const std::string_view> keys,
                                                    bool exact) {
  const bool exactly = exact && !below().capabilities().exact_get;
  if (gets_ == Gets::from_store || !cache_->on()) {
    auto call = exactly ? below().get_exact(keys) : below().get(keys);
    co_return co_await std::move(call);
  }
  std::vector<std::string> names;
  names.reserve(keys.size());
  for (const std::string_view key : keys) names.push_back(key_of(key, exact));
  const auto known = co_await cache_->get(Kind::values, names);
  const std::int64_t now = seconds(cache_->now());
  GetAnswer answer;
  answer.entries.reserve(keys.size());
  std::vector<std::string_view> unknown;
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const EntryView entry = known[i] ? entry_of(*known[i], keys[i], now)
                                     : EntryView{.key = keys[i], .presence = Presence::missing};
    answer.entries.append(entry);
    if (entry.presence == Presence::present) continue;
    unknown.push_back(keys[i]);
    places.push_back(i);
  }
  if (unknown.empty()) co_return answer;

  auto call = exactly ? below().get_exact(unknown) : below().get(unknown);
  auto got = co_await std::move(call);
  if (!got) co_return std::unexpected(std::move(got.error()));
  std::vector<AnswerCache::Answer> fresh;
  for (std::size_t i = 0; i < got->entries.size() && i < places.size(); ++i) {
    const EntryView& entry = got->entries[i];
    EntryView copy = entry;
    copy.key = answer.entries.copy(entry.key);
    copy.value = answer.entries.copy(entry.value);
    copy.metadata = answer.entries.copy(entry.metadata);
    answer.entries[places[i]] = copy;
    if (entry.presence != Presence::present) continue;
    AnswerCache::Answer one{.key = std::move(names[places[i]]), .fields = fields_of(entry)};
    if (entry.expiration != 0) {
      // An expiry may lie so far ahead that it cannot be told in milliseconds.
      constexpr std::int64_t kFar = 365LL * 24 * 3600;
      one.valid = std::chrono::seconds(std::min(entry.expiration - now, kFar));
    }
    fresh.push_back(std::move(one));
  }
  for (KeyFailure& failure : got->failed) {
    answer.failed.push_back({places[failure.index], std::move(failure.error)});
  }
  co_await cache_->set(Kind::values, std::move(fresh));
  co_return answer;
}

io::Task<> CachedStore::drop(std::vector<std::string_view> keys) {
  if (!cache_->exists(Kind::values)) co_return;
  dropped_ += keys.size();
  if (dropped_ > kMostSingly) {
    co_await cache_->erase_all(Kind::values, prefix_);
    co_return;
  }
  std::vector<std::string> names;
  names.reserve(2 * keys.size());
  for (const std::string_view key : keys) {
    names.push_back(key_of(key, false));
    names.push_back(key_of(key, true));
  }
  co_await cache_->erase(Kind::values, std::move(names));
}

io::Task<Result<WriteAnswer>> CachedStore::put(std::span<const EntryView> entries) {
  auto answer = co_await below().put(entries);
  // Whatever the answer is: the write may have happened.
  std::vector<std::string_view> keys;
  keys.reserve(entries.size());
  for (const EntryView& entry : entries) keys.push_back(entry.key);
  co_await drop(std::move(keys));
  co_return answer;
}

io::Task<Result<WriteAnswer>> CachedStore::erase(std::span<const std::string_view> keys) {
  auto answer = co_await below().erase(keys);
  std::vector<std::string_view> all(keys.begin(), keys.end());
  co_await drop(std::move(all));
  co_return answer;
}

}  // namespace sluice::store
