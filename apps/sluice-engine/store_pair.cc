#include "store_pair.h"

#include <filesystem>
#include <utility>

#include "base/uri.h"
#include "base/utf8.h"

namespace sluice::cli {

namespace {

// A source whose file is not there is a mistake in its name. Taken for an empty one, it would have
// a sync that deletes empty the target.
Result<> check_source(const Context& context, const std::string& store) {
  const auto url = StoreUrl::parse(store);
  if (!url || url->scheme != "sqlite") return {};
  const std::string file = url->path.empty() ? context.folders.data + "/store.db" : url->path;
  if (std::error_code error; !std::filesystem::exists(file, error) && !error) {
    return fail(ErrorCode::not_found, "there is no file {} to read from", printable(file));
  }
  return {};
}

}  // namespace

std::string StorePair::identity() const {
  return fmt::format("{}\n{}\n{}\n{}", from.url, from.in.id, to.url, to.in.id);
}

io::Task<Result<StorePair>> open_pair(Context& context, const Invocation& invocation) {
  const StorePlace from_place = source_place(context, invocation);
  StorePlace to_place{.url = invocation.value("to").value_or(from_place.url),
                      .name = invocation.value("to-namespace").value_or(""),
                      .id = invocation.value("to-namespace-id").value_or(""),
                      .create = invocation.on("create-namespace")};
  if (to_place.name.empty() && to_place.id.empty()) to_place.name = from_place.name;
  if (auto checked = check_source(context, from_place.url); !checked) {
    co_return std::unexpected(checked.error());
  }
  auto from = co_await open_store(context, from_place);
  if (!from) co_return std::unexpected(from.error());
  // Opened by its id, a namespace has no name that the target could take.
  auto to = co_await open_store(context, to_place, invocation.on("dry-run"), &*from);
  if (!to) co_return std::unexpected(to.error());
  if (from->opened.backend->description() == to->opened.backend->description() &&
      from->in.id == to->in.id) {
    co_return fail(ErrorCode::invalid_argument,
                   "source and target are the same namespace: name another one with --to or "
                   "--to-namespace");
  }
  co_return StorePair{.from = std::move(*from), .to = std::move(*to)};
}

}  // namespace sluice::cli
