#include "bulk/metadata_source.h"

#include <algorithm>
#include <utility>

namespace sluice::bulk {

io::Task<Result<>> MetadataSource::ask(std::span<const std::string_view> keys,
                                       store::Block& found) {
  auto answer = co_await store_.get(keys);
  if (!answer && answer.error().retry == Retry::smaller && keys.size() > 1) {
    const std::size_t half = keys.size() / 2;
    if (auto first = co_await ask(keys.first(half), found); !first) co_return first;
    co_return co_await ask(keys.subspan(half), found);
  }
  if (!answer) co_return std::unexpected(std::move(answer.error()));
  // Without its metadata, a key cannot be judged: what depends on it must not begin.
  if (!answer->failed.empty()) co_return std::unexpected(std::move(answer->failed.front().error));
  for (const store::EntryView& entry : answer->entries) {
    if (entry.presence != store::Presence::present) continue;
    store::EntryView known = entry;
    known.value = {};
    known.presence = store::Presence::listed;
    found.append(known);
  }
  co_return Result<>();
}

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
    if (auto asked = co_await ask(some, found); !asked) {
      co_return std::unexpected(std::move(asked.error()));
    }
  }
  page->entries = std::move(found);
  co_return page;
}

}  // namespace sluice::bulk
