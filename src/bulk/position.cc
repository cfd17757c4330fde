#include "bulk/position.h"

#include <algorithm>
#include <cassert>
#include <iterator>
#include <utility>

namespace sluice::bulk {

namespace {

// What is ahead has a gap for each batch under way, and hardly more; this bounds it should keys be
// huge. A record of the journal may be 1 MB, and holds this in base64.
constexpr std::size_t kMostAheadBytes = std::size_t{128} << 10;

void move_to(std::vector<FailedKey>& to, std::vector<FailedKey>& from) {
  std::move(from.begin(), from.end(), std::back_inserter(to));
  from.clear();
}

}  // namespace

std::uint64_t Watermark::open(Position after, std::uint64_t entries, const Counts& found,
                              Stretch stretch) {
  PageState page;
  page.after = std::move(after);
  page.open_entries = entries;
  page.stretch = std::move(stretch);
  page.counts = found;
  pages_.push_back(std::move(page));
  const std::uint64_t number = first_page_ + pages_.size() - 1;
  if (entries == 0) keep_page_ahead(number);
  return number;
}

void Watermark::settle(std::uint64_t page, const Counts& ended, std::vector<FailedKey> failed,
                       const Stretch& stretch) {
  PageState& state = pages_.at(page - first_page_);
  const std::uint64_t entries = ended.done + ended.failed + ended.skipped;
  assert(entries <= state.open_entries);
  state.open_entries -= entries;
  const Counts counts{.done = ended.done, .failed = ended.failed, .skipped = ended.skipped};
  if (state.open_entries > 0 && keep_ahead(page, stretch)) {
    assert(entries <= state.counts.selected);
    state.counts.selected -= entries;
    ahead_.counts.selected += entries;
    ahead_.counts += counts;
    move_to(ahead_.failed, failed);
    return;
  }
  state.counts += counts;
  move_to(state.failed, failed);
  if (state.open_entries == 0) keep_page_ahead(page);
}

bool Watermark::keep_ahead(std::uint64_t page, const Stretch& stretch) {
  if (stretch.empty() || held_) return false;
  const bool left_out = left_out_ && *left_out_ >= first_page_;
  if (left_out ||
      position_.ahead.bytes() + stretch.from.size() + stretch.to.size() > kMostAheadBytes) {
    left_out_ = std::max(left_out_.value_or(0), page);
    return false;
  }
  position_.ahead.add(stretch);
  moved_ = true;
  return true;
}

void Watermark::keep_page_ahead(std::uint64_t page) {
  PageState& state = pages_[page - first_page_];
  if (!keep_ahead(page, state.stretch)) return;
  const Counts listed{.listed = std::exchange(state.counts.listed, 0)};
  ahead_.counts += std::exchange(state.counts, listed);
  move_to(ahead_.failed, state.failed);
}

bool Watermark::advance(Passed& passed) {
  bool moved = std::exchange(moved_, false);
  passed.counts += std::exchange(ahead_.counts, {});
  move_to(passed.failed, ahead_.failed);
  while (!pages_.empty() && pages_.front().open_entries == 0) {
    PageState& page = pages_.front();
    passed.counts += page.counts;
    move_to(passed.failed, page.failed);
    Stretches ahead = std::move(position_.ahead);
    ahead.remove(page.stretch);
    position_ = std::move(page.after);
    position_.ahead = std::move(ahead);
    pages_.pop_front();
    ++first_page_;
    moved = true;
  }
  return moved;
}

std::vector<FailedKey> Watermark::take_failed() {
  std::vector<FailedKey> all = std::exchange(ahead_.failed, {});
  for (PageState& page : pages_) move_to(all, page.failed);
  return all;
}

}  // namespace sluice::bulk
