#include "store_pair.h"

#include <utility>

namespace sluice::cli {

std::string StorePair::identity() const {
  return fmt::format("{}\n{}\n{}\n{}", from.url, from.in.id, to.url, to.in.id);
}

io::Task<Result<StorePair>> open_pair(Context& context, const Invocation& invocation) {
  // A source whose name is mistyped, or that is not mounted, must not pass for an empty one: a sync
  // would delete all of the target.
  const StorePlace from_place = source_place(context, invocation);
  StorePlace to_place{.url = invocation.value("to").value_or(from_place.url),
                      .name = invocation.value("to-namespace").value_or(""),
                      .id = invocation.value("to-namespace-id").value_or(""),
                      .create = invocation.on("create-namespace"),
                      .create_file = true};
  if (to_place.name.empty() && to_place.id.empty()) to_place.name = from_place.name;
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
