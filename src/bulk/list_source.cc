#include "bulk/list_source.h"

#include <algorithm>
#include <utility>

namespace sluice::bulk {

namespace {

// Cloudflare lists no fewer than ten keys at once.
constexpr std::uint64_t kLeastPage = 10;

// The place in the order of keys from which on the next page lists.
std::string place_to_begin(const PieceLister& lister) {
  const std::string& last_key = lister.place().last_key;
  if (!last_key.empty()) return place_behind(last_key);
  const Piece& piece = lister.piece();
  return piece.after.empty() ? piece.prefix : place_behind(piece.after);
}

}  // namespace

ListSource::ListSource(Job& job, store::Store& store, Filter filter, std::optional<KeySet> keys,
                       const SourceOptions& options)
    : job_(job),
      store_(store),
      filter_(std::move(filter)),
      keys_(std::move(keys)),
      prefix_(options.selection.prefix),
      partitions_(job.settings.partitions),
      automatic_pieces_(options.keeps_order || !store.capabilities().remote
                            ? 1
                            : std::min(job.settings.concurrency, kMostAutomaticPieces)),
      takes_all_(!filter_.reads_metadata() && !options.selection.pattern && !keys_),
      values_(options.values && store.capabilities().lists_values),
      start_(options.start),
      end_(options.start.end) {
  if (options.selection.limit) {
    left_ = *options.selection.limit - std::min(*options.selection.limit, options.selected_before);
    if (*left_ == 0) end_ = true;
    // A few entries are on the first page. Decided by the whole limit, not by what is left of it: a
    // job that was interrupted before it noted its pieces has to make the same ones again, or it
    // would go on with other entries than those that were under way.
    if (*options.selection.limit <= store.capabilities().list_page) automatic_pieces_ = 1;
  }
}

io::Task<Result<>> ListSource::begin() {
  begun_ = true;
  if (!start_.pieces.empty()) {
    // A resumed job keeps its pieces, whatever the store would propose by now.
    in_pieces_ = true;
    for (Position::OfPiece& each : start_.pieces) {
      pieces_.emplace_back(job_.executor, store_, std::move(each.piece), std::move(each.place),
                           values_);
    }
    turn_ = std::min<std::size_t>(start_.turn, pieces_.size() - 1);
    co_return Result<>();
  }
  const bool resumed = !start_.listing.cursor.empty() || !start_.listing.last_key.empty();
  if (resumed) {
    pieces_.emplace_back(job_.executor, store_, Piece{.prefix = prefix_, .after = {}, .until = {}},
                         std::move(start_.listing), values_);
    co_return Result<>();
  }
  auto pieces = co_await plan_pieces(store_, prefix_, partitions_, automatic_pieces_);
  if (!pieces) co_return std::unexpected(pieces.error());
  in_pieces_ = pieces->size() > 1 || !partitions_.prefixes.empty();
  for (Piece& piece : *pieces) {
    pieces_.emplace_back(job_.executor, store_, std::move(piece), ListingPlace{}, values_);
  }
  co_return Result<>();
}

// With nothing to filter, --limit tells how much of a page is wanted. But the pages of several
// pieces are full ones: which entries come before the limit is reached must not depend on where a
// job was interrupted. And beyond its start, a resumed one may have to list much that has ended.
std::size_t ListSource::page_limit() const {
  if (!left_ || !takes_all_ || in_pieces_ || !start_.ahead.empty()) return 0;
  return static_cast<std::size_t>(
      std::min<std::uint64_t>(std::max(*left_, kLeastPage), store_.capabilities().list_page));
}

io::Task<Result<SourcePage>> ListSource::next() {
  SourcePage result;
  if (!begun_ && !end_) {
    if (auto begun = co_await begin(); !begun) {
      end_ = true;
      co_return std::unexpected(begun.error());
    }
    for (PieceLister& piece : pieces_) piece.fetch_ahead(page_limit());
  }
  while (!end_ && pieces_[turn_].at_end()) {
    // Only of a resumed job: otherwise the turn goes to a piece that has more.
    if (std::ranges::all_of(pieces_, &PieceLister::at_end)) end_ = true;
    turn_ = (turn_ + 1) % pieces_.size();
  }
  if (end_) {
    result.after.end = true;
    co_return result;
  }
  PieceLister& piece = pieces_[turn_];
  std::string from = place_to_begin(piece);
  auto page = co_await piece.next(page_limit());
  if (!page) {
    end_ = true;
    co_return std::unexpected(page.error());
  }
  // The next page is on its way while this one is filtered and worked on, unless this one may turn
  // out to be the last that is wanted.
  const bool may_end_here = left_ && page->entries.size() >= *left_;
  if (!may_end_here && !piece.at_end()) {
    piece.fetch_ahead(page_limit());
    co_await io::yield();
  }

  result.listed = page->entries.size();
  result.keys = stretch(std::move(from), piece, page->entries);
  select(page->entries);
  if (left_) {
    if (page->entries.size() >= *left_) {
      page->entries.truncate(static_cast<std::size_t>(*left_));
      if (!result.keys.empty()) {
        result.keys.to = place_behind(page->entries[page->entries.size() - 1].key);
      }
      end_ = true;
    }
    *left_ -= page->entries.size();
  }
  if (std::ranges::all_of(pieces_, &PieceLister::at_end)) end_ = true;
  if (!end_) {
    piece.fetch_ahead(page_limit());
    co_await io::yield();
    do {
      turn_ = (turn_ + 1) % pieces_.size();
    } while (pieces_[turn_].at_end());
  }
  result.after = position();
  result.entries = std::move(page->entries);
  co_return result;
}

void ListSource::select(store::Block& entries) {
  if (!takes_all_) {
    entries.retain([&](const store::EntryView& entry) {
      return filter_.matches(entry.key, entry.metadata) && (!keys_ || keys_->contains(entry.key));
    });
  }
  if (!start_.ahead.empty()) {
    entries.retain(
        [&](const store::EntryView& entry) { return !start_.ahead.contains(entry.key); });
  }
  if (given_) {
    entries.retain([&](const store::EntryView& entry) {
      return given_->insert(KeySet::hash(entry.key)).second;
    });
  }
}

Stretch ListSource::stretch(std::string from, const PieceLister& piece,
                            const store::Block& listed) const {
  const store::Capabilities& can = store_.capabilities();
  if (!can.ordered || can.repeats_keys || listed.empty()) return {};
  // A page that is not in order all the same: nothing of it is left out by a resumed job.
  std::string_view before;
  for (const store::EntryView& entry : listed) {
    if (before.data() == nullptr ? entry.key < from : entry.key <= before) return {};
    before = entry.key;
  }
  return {.from = std::move(from), .to = place_behind(piece.place().last_key)};
}

Position ListSource::position() const {
  Position position;
  position.end = end_;
  if (!in_pieces_) {
    position.listing = pieces_.front().place();
    return position;
  }
  position.turn = turn_;
  for (const PieceLister& piece : pieces_) {
    position.pieces.push_back({.piece = piece.piece(), .place = piece.place()});
  }
  return position;
}

io::Task<> ListSource::close() {
  for (PieceLister& piece : pieces_) co_await piece.close();
}

}  // namespace sluice::bulk
