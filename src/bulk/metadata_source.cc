#include "bulk/metadata_source.h"

#include <algorithm>
#include <span>
#include <string_view>
#include <utility>

namespace sluice::bulk {

namespace {

// What is done about a key that the store cannot hold.
enum class Impossible : std::uint8_t { ends_the_run, is_absent };

// Appends what the store has of some keys, at most get_keys, to `found`.
io::Task<Result<>> ask(store::Store& store, std::span<const std::string_view> keys,
                       Impossible impossible, store::Block& found) {
  auto answer = co_await store.get_metadata(keys);
  if (!answer && answer.error().retry == Retry::smaller && keys.size() > 1) {
    const std::size_t half = keys.size() / 2;
    auto first = co_await ask(store, keys.first(half), impossible, found);
    if (!first) co_return first;
    co_return co_await ask(store, keys.subspan(half), impossible, found);
  }
  if (!answer) co_return std::unexpected(std::move(answer.error()));
  // Without its metadata, a key cannot be judged: what depends on it must not begin.
  for (store::KeyFailure& failure : answer->failed) {
    const bool passed_over =
        impossible == Impossible::is_absent && failure.error.code == ErrorCode::invalid_argument;
    if (!passed_over) co_return std::unexpected(std::move(failure.error));
  }
  for (const store::EntryView& entry : answer->entries) {
    const bool there =
        entry.presence == store::Presence::present || entry.presence == store::Presence::listed;
    if (!there) continue;
    store::EntryView known = entry;
    known.value = {};
    known.presence = store::Presence::listed;
    found.append(known);
  }
  co_return Result<>();
}

}  // namespace

io::Task<Result<SourcePage>> MetadataSource::next() {
  auto page = co_await keys_->next();
  if (!page) co_return page;
  std::vector<std::string_view> keys;
  keys.reserve(page->entries.size());
  for (const store::EntryView& entry : page->entries) keys.push_back(entry.key);
  store::Block found;
  const std::size_t at_once = std::max<std::size_t>(1, store_.capabilities().get_keys);
  for (std::size_t i = 0; i < keys.size(); i += at_once) {
    const auto some = std::span(keys).subspan(i, std::min(at_once, keys.size() - i));
    if (auto asked = co_await ask(store_, some, Impossible::ends_the_run, found); !asked) {
      co_return std::unexpected(std::move(asked.error()));
    }
  }
  page->entries = std::move(found);
  co_return page;
}

io::Task<Result<SourcePage>> FewEntriesSource::next() {
  SourcePage page;
  std::vector<std::string_view> keys;
  const std::size_t most = std::max<std::size_t>(1, store_.capabilities().get_keys);
  // Not asked for is what its key rules out.
  while (keys.size() < most && next_ < keys_.size() && left_ != 0) {
    const std::string& key = keys_[next_++];
    ++page.listed;
    if (filter_.reads_metadata() || filter_.matches(key, "")) keys.push_back(key);
  }
  if (!keys.empty()) {
    auto asked = co_await ask(store_, keys, Impossible::is_absent, page.entries);
    if (!asked) co_return std::unexpected(std::move(asked.error()));
    page.entries.retain([this](const store::EntryView& entry) {
      return filter_.matches(entry.key, entry.metadata);
    });
  }
  if (left_) {
    if (page.entries.size() > *left_) page.entries.truncate(static_cast<std::size_t>(*left_));
    *left_ -= page.entries.size();
  }
  page.after.end = next_ == keys_.size() || left_ == 0;
  co_return page;
}

}  // namespace sluice::bulk
