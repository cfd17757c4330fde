#include "store/absent.h"

#include <algorithm>

#include "base/utf8.h"

namespace sluice::store {

namespace {

std::unexpected<Error> not_made(std::string_view what) {
  return fail(ErrorCode::unsupported, "{} does not exist: it would have to be made first", what);
}

}  // namespace

io::Task<Result<Page>> AbsentStore::list(ListRequest request) {
  (void)request;
  co_return Page{};
}

io::Task<Result<GetAnswer>> AbsentStore::get(std::span<const std::string_view> keys) {
  GetAnswer answer;
  for (const std::string_view key : keys) {
    EntryView entry;
    entry.key = key;
    entry.presence = Presence::missing;
    answer.entries.append(entry);
  }
  co_return answer;
}

io::Task<Result<WriteAnswer>> AbsentStore::put(std::span<const EntryView> entries) {
  (void)entries;
  co_return not_made("the namespace");
}

io::Task<Result<WriteAnswer>> AbsentStore::erase(std::span<const std::string_view> keys) {
  (void)keys;
  co_return not_made("the namespace");
}

io::Task<Result<std::vector<Namespace>>> AbsentBackend::namespaces() {
  co_return namespaces_;
}

io::Task<Result<Namespace>> AbsentBackend::create_namespace(std::string_view title) {
  (void)title;
  co_return not_made(description_);
}

io::Task<Result<>> AbsentBackend::rename_namespace(const Namespace& which, std::string_view title) {
  (void)which, (void)title;
  co_return not_made(description_);
}

io::Task<Result<>> AbsentBackend::delete_namespace(const Namespace& which) {
  (void)which;
  co_return not_made(description_);
}

io::Task<Result<Namespace>> AbsentBackend::find_namespace(std::string_view name) {
  for (const auto what : {&Namespace::title, &Namespace::id}) {
    const auto found = std::ranges::find(namespaces_, name, what);
    if (found != namespaces_.end()) co_return *found;
  }
  co_return fail(ErrorCode::not_found, "{} does not exist, and would have no namespace \"{}\"",
                 description_, printable(name));
}

std::unique_ptr<Store> AbsentBackend::open(const Namespace& which) {
  (void)which;
  return std::make_unique<AbsentStore>(capabilities_);
}

}  // namespace sluice::store
