#include "store/conformance.h"

#include <fmt/format.h>

#include <algorithm>
#include <ostream>
#include <set>
#include <stdexcept>

#include "base/utf8.h"

namespace sluice::store::conformance {

EntryView view(const Entry& entry) {
  return {entry.key, entry.value, entry.metadata, entry.expiration, Presence::present};
}

std::vector<Entry> sorted(std::vector<Entry> entries) {
  std::ranges::sort(entries);
  return entries;
}

std::vector<std::string> keys_of(const std::vector<Entry>& entries) {
  std::vector<std::string> keys;
  for (const Entry& entry : entries) keys.push_back(entry.key);
  return keys;
}

std::vector<Entry> numbered(std::size_t count, std::string_view prefix) {
  std::vector<Entry> entries;
  for (std::size_t i = 0; i < count; ++i) {
    entries.push_back({fmt::format("{}{:06}", prefix, i), fmt::format("value {}", i),
                       fmt::format(R"({{"n":{}}})", i), 0});
  }
  return entries;
}

std::ostream& operator<<(std::ostream& out, const Entry& entry) {
  return out << fmt::format("{{{} = {} bytes {} | {} | {}}}", printable(entry.key),
                            entry.value.size(),
                            printable(std::string_view(entry.value).substr(0, 60)),
                            printable(entry.metadata), entry.expiration);
}

std::ostream& operator<<(std::ostream& out, const Subject& subject) {
  return out << subject.name;
}

void Conformance::SetUp() {
  fixture_ = GetParam().open(loop_);
}
void Conformance::TearDown() {
  fixture_.reset();
}

std::unique_ptr<Store> Conformance::fresh() {
  const std::string title = fmt::format("conformance {}", ++namespaces_made_);
  auto made = run(backend().create_namespace(title));
  if (!made) throw std::runtime_error(made.error().message);
  return backend().open(*made);
}

void Conformance::put(Store& store, const std::vector<Entry>& entries) {
  const Capabilities& can = store.capabilities();
  std::vector<EntryView> batch;
  std::size_t bytes = 0;
  const auto flush = [&] {
    if (batch.empty()) return;
    auto answer = run(store.put(batch));
    ASSERT_TRUE(answer) << answer.error().message;
    ASSERT_TRUE(answer->failed.empty()) << answer->failed.front().error.message;
    batch.clear();
    bytes = 0;
  };
  for (const Entry& entry : entries) {
    const std::size_t size = entry.key.size() + entry.value.size() + entry.metadata.size();
    if (batch.size() == can.put_entries || bytes + size > can.put_bytes) flush();
    batch.push_back(view(entry));
    bytes += size;
  }
  flush();
}

void Conformance::erase(Store& store, const std::vector<std::string>& keys) {
  std::vector<std::string_view> batch;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    batch.push_back(keys[i]);
    if (batch.size() < store.capabilities().erase_keys && i + 1 < keys.size()) continue;
    auto answer = run(store.erase(batch));
    ASSERT_TRUE(answer) << answer.error().message;
    ASSERT_TRUE(answer->failed.empty()) << answer->failed.front().error.message;
    batch.clear();
  }
}

std::vector<Entry> Conformance::list(Store& store, std::string_view prefix, std::size_t limit,
                                     bool with_values) {
  std::vector<Entry> all;
  std::string cursor;
  do {
    auto page = run(store.list({.prefix = prefix, .cursor = cursor, .limit = limit}));
    if (!page) {
      ADD_FAILURE() << page.error().message;
      return all;
    }
    if (limit != 0) EXPECT_LE(page->entries.size(), std::max<std::size_t>(limit, 10));
    EXPECT_LE(page->entries.size(), store.capabilities().list_page);
    for (const EntryView& entry : page->entries) {
      EXPECT_EQ(entry.presence, Presence::listed);
      EXPECT_TRUE(entry.value.empty());
      all.push_back({std::string(entry.key), {}, std::string(entry.metadata), entry.expiration});
    }
    if (!page->cursor.empty() && page->cursor == cursor) {
      ADD_FAILURE() << "the cursor repeats itself: the listing would never end";
      return all;
    }
    cursor = page->cursor;
  } while (!cursor.empty());
  if (store.capabilities().repeats_keys) {
    std::set<std::string> seen;
    std::erase_if(all, [&](const Entry& entry) { return !seen.insert(entry.key).second; });
  }
  if (with_values) {
    for (Entry& entry : all) {
      auto found = get(store, entry.key);
      if (found) entry.value = found->value;
    }
  }
  return all;
}

std::optional<Entry> Conformance::get(Store& store, std::string_view key, bool exact) {
  const std::vector<std::string_view> keys = {key};
  auto answer = exact ? run(store.get_exact(keys)) : run(store.get(keys));
  if (!answer) {
    ADD_FAILURE() << answer.error().message;
    return std::nullopt;
  }
  if (answer->entries.size() != 1 || !answer->failed.empty()) {
    ADD_FAILURE() << answer->entries.size() << " answers to one key, " << answer->failed.size()
                  << " failed";
    return std::nullopt;
  }
  const EntryView& entry = answer->entries[0];
  EXPECT_EQ(entry.key, key);
  if (entry.presence == Presence::missing) return std::nullopt;
  EXPECT_EQ(entry.presence, Presence::present);
  return Entry{std::string(entry.key), std::string(entry.value), std::string(entry.metadata),
               entry.expiration};
}

}  // namespace sluice::store::conformance
