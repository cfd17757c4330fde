#include "bulk/position.h"

#include <cassert>
#include <iterator>
#include <utility>

namespace sluice::bulk {

std::uint64_t Watermark::open(Position after, std::uint64_t entries, const Counts& found) {
  PageState page;
  page.after = std::move(after);
  page.open_entries = entries;
  page.counts = found;
  pages_.push_back(std::move(page));
  return first_page_ + pages_.size() - 1;
}

void Watermark::settle(std::uint64_t page, const Counts& ended, std::vector<FailedKey> failed) {
  PageState& state = pages_.at(page - first_page_);
  const std::uint64_t entries = ended.done + ended.failed + ended.skipped;
  assert(entries <= state.open_entries);
  state.open_entries -= entries;
  state.counts.done += ended.done;
  state.counts.failed += ended.failed;
  state.counts.skipped += ended.skipped;
  std::move(failed.begin(), failed.end(), std::back_inserter(state.failed));
}

bool Watermark::advance(Passed& passed) {
  bool moved = false;
  while (!pages_.empty() && pages_.front().open_entries == 0) {
    PageState& page = pages_.front();
    passed.counts += page.counts;
    std::move(page.failed.begin(), page.failed.end(), std::back_inserter(passed.failed));
    position_ = std::move(page.after);
    pages_.pop_front();
    ++first_page_;
    moved = true;
  }
  return moved;
}

std::vector<FailedKey> Watermark::take_failed() {
  std::vector<FailedKey> all;
  for (PageState& page : pages_) {
    std::move(page.failed.begin(), page.failed.end(), std::back_inserter(all));
    page.failed.clear();
  }
  return all;
}

}  // namespace sluice::bulk
