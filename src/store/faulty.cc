#include "store/faulty.h"

#include <algorithm>
#include <utility>

namespace sluice::store {

namespace {

// The cursor of an empty first page. Its next page is the store's first one.
constexpr std::string_view kBeginning = "faulty:beginning";

const Error* failure_at(const Fault& fault, std::size_t index) {
  const auto found = std::ranges::find(fault.failing_keys, index, &KeyFailure::index);
  return found != fault.failing_keys.end() ? &found->error : nullptr;
}

}  // namespace

// Counts a call as under way.
class FaultyStore::Under {
 public:
  explicit Under(FaultyStore& store) : store_(store) {
    store_.most_at_once_ = std::max(store_.most_at_once_, ++store_.at_once_);
  }
  ~Under() { --store_.at_once_; }
  Under(const Under&) = delete;
  Under& operator=(const Under&) = delete;

 private:
  FaultyStore& store_;
};

Fault FaultyStore::ask(Operation operation, std::vector<std::string_view> keys,
                       std::string_view cursor) {
  const std::uint64_t number = ++calls_[static_cast<std::size_t>(operation)];
  if (!hook_) return {};
  return hook_(FaultyCall{operation, number, std::move(keys), cursor});
}

io::Task<Result<Page>> FaultyStore::list(ListRequest request) {
  const Under under(*this);
  Fault fault = ask(Operation::list, {}, request.cursor);
  if (fault.fails) co_return std::unexpected(std::move(*fault.fails));
  if (fault.empty_page) {
    Page page;
    page.cursor = request.cursor.empty() ? kBeginning : request.cursor;
    co_return page;
  }
  if (request.cursor == kBeginning) request.cursor = {};
  co_return co_await below().list(request);
}

io::Task<Result<GetAnswer>> FaultyStore::get(std::span<const std::string_view> keys) {
  return get_either(Operation::get, keys);
}

io::Task<Result<GetAnswer>> FaultyStore::get_exact(std::span<const std::string_view> keys) {
  return get_either(Operation::get_exact, keys);
}

io::Task<Result<GetAnswer>> FaultyStore::get_metadata(std::span<const std::string_view> keys) {
  return get_either(Operation::get, keys);
}

io::Task<Result<GetAnswer>> FaultyStore::get_either(Operation operation,
                                                    std::span<const std::string_view> keys) {
  const Under under(*this);
  Fault fault = ask(operation, {keys.begin(), keys.end()}, {});
  if (fault.fails) co_return std::unexpected(std::move(*fault.fails));
  auto call = operation == Operation::get ? below().get(keys) : below().get_exact(keys);
  auto answer = co_await std::move(call);
  if (!answer) co_return answer;
  for (KeyFailure& failure : fault.failing_keys) {
    EntryView& entry = answer->entries[failure.index];
    entry = EntryView{entry.key, {}, {}, 0, Presence::failed};
    answer->failed.push_back(std::move(failure));
  }
  co_return answer;
}

io::Task<Result<WriteAnswer>> FaultyStore::put(std::span<const EntryView> entries) {
  const Under under(*this);
  std::vector<std::string_view> keys;
  for (const EntryView& entry : entries) keys.push_back(entry.key);
  Fault fault = ask(Operation::put, std::move(keys), {});
  if (fault.fails && !fault.applied) co_return std::unexpected(std::move(*fault.fails));
  std::vector<EntryView> done;
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (failure_at(fault, i) != nullptr) continue;
    done.push_back(entries[i]);
    places.push_back(i);
  }
  auto answer = co_await below().put(done);
  if (fault.fails) co_return std::unexpected(std::move(*fault.fails));
  if (!answer) co_return answer;
  for (KeyFailure& failure : answer->failed) failure.index = places[failure.index];
  for (KeyFailure& failure : fault.failing_keys) answer->failed.push_back(std::move(failure));
  co_return answer;
}

io::Task<Result<WriteAnswer>> FaultyStore::erase(std::span<const std::string_view> keys) {
  const Under under(*this);
  Fault fault = ask(Operation::erase, {keys.begin(), keys.end()}, {});
  if (fault.fails && !fault.applied) co_return std::unexpected(std::move(*fault.fails));
  std::vector<std::string_view> done;
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (failure_at(fault, i) != nullptr) continue;
    done.push_back(keys[i]);
    places.push_back(i);
  }
  auto answer = co_await below().erase(done);
  if (fault.fails) co_return std::unexpected(std::move(*fault.fails));
  if (!answer) co_return answer;
  for (KeyFailure& failure : answer->failed) failure.index = places[failure.index];
  for (KeyFailure& failure : fault.failing_keys) answer->failed.push_back(std::move(failure));
  co_return answer;
}

UnorderedStore::UnorderedStore(std::unique_ptr<Store> below, Hook hook)
    : FaultyStore(std::move(below), std::move(hook)) {
  Capabilities can = capabilities();
  can.ordered = false;
  can.repeats_keys = true;
  set_capabilities(can);
}

io::Task<Result<Page>> UnorderedStore::list(ListRequest request) {
  auto page = co_await FaultyStore::list(request);
  if (!page) co_return page;
  Page mixed;
  mixed.cursor = page->cursor;
  for (std::size_t i = page->entries.size(); i > 0; --i) {
    mixed.entries.append(page->entries[i - 1]);
    if (i % 3 == 0) again_.append(page->entries[i - 1]);
  }
  for (const EntryView& entry : again_) mixed.entries.append(entry);
  co_return mixed;
}

}  // namespace sluice::store
