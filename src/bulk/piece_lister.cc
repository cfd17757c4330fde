#include "bulk/piece_lister.h"

#include <algorithm>
#include <utility>

#include "base/utf8.h"

namespace sluice::bulk {

namespace {

// Owns the text that the request refers to: the page may be fetched while its caller does other
// work.
io::Task<Result<store::Page>> fetch_page(store::Store& store, Piece piece, std::string cursor,
                                         std::string after, std::size_t limit, bool values) {
  const store::ListRequest request{.prefix = piece.prefix,
                                   .cursor = cursor,
                                   .after = after,
                                   .until = piece.until,
                                   .limit = limit,
                                   .values = values};
  co_return co_await store.list(request);
}

}  // namespace

PieceLister::PieceLister(io::Executor executor, store::Store& store, Piece piece,
                         ListingPlace start, bool values)
    : executor_(executor),
      store_(store),
      piece_(std::move(piece)),
      place_(std::move(start)),
      values_(values) {}

void PieceLister::fetch(std::string cursor, std::string after, std::size_t limit) {
  ahead_.emplace(executor_,
                 fetch_page(store_, piece_, std::move(cursor), std::move(after), limit, values_));
}

void PieceLister::fetch_ahead(std::size_t limit) {
  if (ahead_ || place_.end) return;
  fetch(place_.cursor, place_.cursor.empty() ? piece_.after : std::string(), limit);
}

// The store refuses the cursor of a resumed job, or has forgotten it: begins again behind the last
// key that was worked on, by seeking or else by listing and passing over what is before it.
io::Task<Result<store::Page>> PieceLister::first_page_again(const Error& refusal,
                                                            std::size_t limit) {
  const store::Capabilities& can = store_.capabilities();
  if (place_.last_key.empty() || !(can.seekable || can.ordered)) {
    co_return std::unexpected(refusal);
  }
  if (!can.seekable) skip_through_ = place_.last_key;
  fetch("", can.seekable ? place_.last_key : "", limit);
  co_return co_await ahead_->get();
}

Result<> PieceLister::check(const store::Page& page) const {
  for (const store::EntryView& entry : page.entries) {
    const bool inside = entry.key.starts_with(piece_.prefix) &&
                        (piece_.after.empty() || entry.key > piece_.after) &&
                        (piece_.until.empty() || entry.key <= piece_.until);
    if (inside) continue;
    return fail(ErrorCode::protocol, Retry::fatal,
                "the store was asked for keys that begin with \"{}\" and listed \"{}\": nothing "
                "more is done with such a listing",
                printable(piece_.prefix), printable(entry.key));
  }
  return {};
}

io::Task<Result<store::Page>> PieceLister::next(std::size_t limit) {
  const std::string asked_with = place_.cursor;
  fetch_ahead(limit);
  Result<store::Page> page = co_await ahead_->get();
  if (!page && first_ && !asked_with.empty() && page.error().retry == Retry::never) {
    const Error refusal = page.error();
    page = co_await first_page_again(refusal, limit);
  }
  first_ = false;
  ahead_.reset();
  if (page) {
    if (auto checked = check(*page); !checked) page = std::unexpected(checked.error());
  }
  if (!page) {
    place_.end = true;
    co_return page;
  }
  std::string_view greatest = place_.last_key;
  for (const store::EntryView& entry : page->entries) greatest = std::max(greatest, entry.key);
  if (greatest != place_.last_key) place_.last_key = std::string(greatest);
  if (!skip_through_.empty()) {
    page->entries.retain([&](const store::EntryView& entry) { return entry.key > skip_through_; });
  }
  place_.cursor = page->cursor;
  place_.end = page->cursor.empty();
  co_return page;
}

io::Task<> PieceLister::close() {
  if (ahead_) (void)co_await std::exchange(ahead_, std::nullopt)->get();
}

}  // namespace sluice::bulk
