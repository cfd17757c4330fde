#include "bulk/list_source.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <utility>

namespace sluice::bulk {

namespace {

// Cloudflare lists no fewer than ten keys at once.
constexpr std::uint64_t kLeastPage = 10;

// Owns the text that the request refers to: the page may be fetched while its caller does other
// work.
io::Task<Result<store::Page>> fetch(store::Store& store, std::string prefix, std::string cursor,
                                    std::string after, std::size_t limit, bool values) {
  store::ListRequest request{
      .prefix = prefix, .cursor = cursor, .after = after, .limit = limit, .values = values};
  co_return co_await store.list(request);
}

}  // namespace

KeySet::Hash KeySet::hash(std::string_view key) {
  const XXH128_hash_t value = XXH3_128bits(key.data(), key.size());
  return {value.high64, value.low64};
}

void KeySet::add(std::string_view key) {
  hashes_.push_back(hash(key));
}

void KeySet::seal() {
  std::sort(hashes_.begin(), hashes_.end());
}

bool KeySet::contains(std::string_view key) const {
  return std::binary_search(hashes_.begin(), hashes_.end(), hash(key));
}

ListSource::ListSource(io::Executor executor, store::Store& store, Filter filter,
                       std::optional<KeySet> keys, const SourceOptions& options)
    : executor_(executor),
      store_(store),
      filter_(std::move(filter)),
      keys_(std::move(keys)),
      prefix_(options.selection.prefix),
      takes_all_(!filter_.reads_metadata() && !options.selection.pattern && !keys_),
      values_(options.values && store.capabilities().lists_values),
      start_(options.start),
      end_(options.start.end),
      greatest_key_(options.start.last_key) {
  if (options.selection.limit) {
    left_ = *options.selection.limit - std::min(*options.selection.limit, options.selected_before);
    if (*left_ == 0) end_ = true;
  }
}

void ListSource::fetch_ahead(std::string cursor, std::string after) {
  // With nothing to filter, --limit tells how much of a page is wanted.
  std::size_t limit = 0;
  if (left_ && takes_all_) {
    limit = static_cast<std::size_t>(
        std::min<std::uint64_t>(std::max(*left_, kLeastPage), store_.capabilities().list_page));
  }
  ahead_.emplace(executor_,
                 fetch(store_, prefix_, std::move(cursor), std::move(after), limit, values_));
}

// The store refuses the cursor of a resumed job, or has forgotten it: begins again behind the last
// key that was worked on, by seeking or else by listing and passing over what is before it.
io::Task<Result<store::Page>> ListSource::first_page_again(const Error& refusal) {
  const store::Capabilities& can = store_.capabilities();
  if (start_.last_key.empty() || !(can.seekable || can.ordered)) co_return std::unexpected(refusal);
  if (!can.seekable) skip_through_ = start_.last_key;
  fetch_ahead("", can.seekable ? start_.last_key : "");
  co_return co_await ahead_->get();
}

io::Task<Result<SourcePage>> ListSource::next() {
  SourcePage result;
  if (end_) {
    result.after.end = true;
    co_return result;
  }
  if (first_) fetch_ahead(start_.cursor, "");
  Result<store::Page> page = co_await ahead_->get();
  if (!page && first_ && !start_.cursor.empty() && page.error().retry == Retry::never) {
    const Error refusal = page.error();
    page = co_await first_page_again(refusal);
  }
  first_ = false;
  ahead_.reset();
  if (!page) {
    end_ = true;
    co_return std::unexpected(page.error());
  }
  end_ = page->cursor.empty();
  // The next page is on its way while this one is filtered and worked on, unless this one may turn
  // out to be the last that is wanted.
  const bool may_end_here = left_ && page->entries.size() >= *left_;
  if (!end_ && !may_end_here) {
    fetch_ahead(page->cursor, "");
    co_await io::yield();
  }

  store::Block& entries = page->entries;
  std::string_view greatest = greatest_key_;
  for (const store::EntryView& entry : entries) greatest = std::max(greatest, entry.key);
  if (greatest != greatest_key_) greatest_key_ = std::string(greatest);
  if (!skip_through_.empty()) {
    entries.retain([&](const store::EntryView& entry) { return entry.key > skip_through_; });
  }
  result.listed = entries.size();
  if (!takes_all_) {
    entries.retain([&](const store::EntryView& entry) {
      return filter_.matches(entry.key, entry.metadata) && (!keys_ || keys_->contains(entry.key));
    });
  }
  if (left_) {
    if (entries.size() >= *left_) {
      entries.truncate(static_cast<std::size_t>(*left_));
      end_ = true;
    }
    *left_ -= entries.size();
  }
  if (!end_ && !ahead_) {
    fetch_ahead(page->cursor, "");
    co_await io::yield();
  }
  result.after = {.cursor = page->cursor, .last_key = greatest_key_, .offset = 0, .end = end_};
  result.entries = std::move(entries);
  co_return result;
}

io::Task<> ListSource::close() {
  if (ahead_) (void)co_await std::exchange(ahead_, std::nullopt)->get();
}

}  // namespace sluice::bulk
