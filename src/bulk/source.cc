#include "bulk/source.h"

#include <algorithm>
#include <filesystem>
#include <unordered_set>
#include <utility>

#include "bulk/keys_file.h"
#include "bulk/list_source.h"
#include "bulk/metadata_source.h"
#include "bulk/record_feed.h"
#include "bulk/spooled_source.h"

namespace sluice::bulk {

namespace {

// The keys of a file, as many as pass the filter, which looks at keys only, and each once as far as
// they are remembered. Reads the file from its beginning also when it goes on within it: which keys
// come, and how often, does not depend on where a job was interrupted.
class KeysSource : public Source {
 public:
  KeysSource(std::unique_ptr<RecordFeed> feed, Filter filter, const SourceOptions& options)
      : feed_(std::move(feed)),
        filter_(std::move(filter)),
        path_(*options.selection.keys_file),
        page_keys_(options.page_keys),
        ahead_(options.start.ahead),
        start_(options.start.offset),
        offset_(options.start.offset),
        end_(options.start.end) {
    if (options.selection.limit) {
      left_ =
          *options.selection.limit - std::min(*options.selection.limit, options.selected_before);
      if (*left_ == 0) end_ = true;
    }
  }

  io::Task<Result<SourcePage>> next() override {
    SourcePage page;
    page.after.end = true;
    if (end_) co_return page;
    page.bytes.from = place_at(offset_);
    // Full pages, whatever was read at once: when they are as long as a batch, a run that is killed
    // repeats what was under way and no more.
    bool on_the_way = start_ > 0;  // to where the earlier run ended
    bool full = false;
    while (!end_ && (!full || on_the_way)) {
      if (auto read = co_await read_on(); !read) co_return std::unexpected(read.error());
      take(page);
      on_the_way = on_the_way && offset_ <= start_;
      full = page_keys_ == 0 || page.entries.size() >= page_keys_;
    }
    page.bytes.to = place_at(offset_);
    if (left_) {
      if (page.entries.size() >= *left_) {
        page.entries.truncate(static_cast<std::size_t>(*left_));
        end_ = true;
      }
      *left_ -= page.entries.size();
    }
    page.after.offset = offset_;
    page.after.end = end_;
    co_return page;
  }

  io::Task<> close() override { return feed_->close(); }
  [[nodiscard]] bool knows_metadata() const override { return false; }

 private:
  // Reads the next piece of the file when the last one is used up.
  io::Task<Result<>> read_on() {
    if (next_ < piece_.records.entries.size()) co_return Result<>();
    auto piece = co_await feed_->next();
    if (!piece) co_return std::unexpected(piece.error());
    // A list of keys with something wrong in it may be the wrong file.
    if (!piece->records.bad.empty()) co_return bad_key(path_, piece->records.bad.front());
    piece_ = std::move(*piece);
    next_ = 0;
    co_return Result<>();
  }

  // Moves keys of the piece to the page, until that is full.
  void take(SourcePage& page) {
    const Records& records = piece_.records;
    const std::size_t all = records.entries.size();
    while (next_ < all && (page_keys_ == 0 || page.entries.size() < page_keys_)) {
      const store::EntryView& entry = records.entries[next_];
      const std::uint64_t end = records.ends[next_++];
      const bool matches = filter_.matches(entry.key, "");
      const bool repeated = matches && is_repeated(entry.key);
      if (end <= start_) continue;
      offset_ = end;
      ++page.listed;
      const bool ended_before = !ahead_.empty() && ahead_.contains(place_at(offset_ - 1));
      if (matches && !repeated && !ended_before) page.entries.append(entry);
    }
    if (next_ < all) return;
    offset_ = std::max(offset_, records.end);
    end_ = piece_.end;
  }

  // Whether the key has come before. Remembers the first ones that come.
  bool is_repeated(std::string_view key) {
    const KeySet::Hash hash = KeySet::hash(key);
    if (given_.size() < kRememberedKeys) return !given_.insert(hash).second;
    return given_.contains(hash);
  }

  std::unique_ptr<RecordFeed> feed_;
  Filter filter_;
  std::string path_;
  std::size_t page_keys_;
  Stretches ahead_;
  RecordFeed::Piece piece_;
  std::size_t next_ = 0;  // of piece_: the first entry of the next page
  std::unordered_set<KeySet::Hash, KeySet::HashOfHash> given_;
  const std::uint64_t start_;          // what ends up to here was given by an earlier run
  std::uint64_t offset_;               // behind what has been given
  std::optional<std::uint64_t> left_;  // of --limit
  bool end_;
};

// Up to this --limit, repeated keys are told by a set in memory: a look at a few entries does not
// wait for the whole listing.
constexpr std::uint64_t kFewEntries = 100'000;

std::unique_ptr<Source> open_listing(Job& job, store::Store& store, Filter filter,
                                     std::optional<KeySet> keys, const SourceOptions& options) {
  if (!store.capabilities().repeats_keys) {
    return std::make_unique<ListSource>(job, store, std::move(filter), std::move(keys), options);
  }
  const bool resumable = job.journal != nullptr;
  if (!resumable && options.selection.limit && *options.selection.limit <= kFewEntries) {
    auto listing =
        std::make_unique<ListSource>(job, store, std::move(filter), std::move(keys), options);
    listing->pass_over_repeated();
    return listing;
  }
  Selection unlimited = options.selection;
  unlimited.limit.reset();
  auto listing = std::make_unique<ListSource>(job, store, std::move(filter), std::move(keys),
                                              SourceOptions{.selection = unlimited});
  return std::make_unique<SpooledSource>(job, std::move(listing), options);
}

// The entries of a listing whose keys are in a file, which narrows it down: where there is a
// condition on the metadata, or the metadata is wanted. With `asks_for_few`, a few keys are asked
// for instead. The first `next` reads the whole file, before the store is asked for anything.
class KeysInListSource : public Source {
 public:
  KeysInListSource(Job& job, store::Store& store, std::unique_ptr<RecordFeed> feed, Filter filter,
                   const SourceOptions& options)
      : job_(job),
        store_(store),
        feed_(std::move(feed)),
        filter_(std::move(filter)),
        options_(options),
        end_(options.start.end) {}

  io::Task<Result<SourcePage>> next() override {
    if (end_) {
      SourcePage page;
      page.after.end = true;
      co_return page;
    }
    if (!list_) {
      auto keys = co_await read_keys_of(*feed_, *options_.selection.keys_file);
      if (!keys) {
        end_ = true;
        co_return std::unexpected(keys.error());
      }
      if (options_.asks_for_few && keys->few) {
        list_ = std::make_unique<FewEntriesSource>(store_, std::move(*keys->few),
                                                   std::move(filter_), options_.selection.limit);
      } else {
        list_ = open_listing(job_, store_, std::move(filter_), std::move(keys->set), options_);
      }
    }
    co_return co_await list_->next();
  }

  io::Task<> close() override {
    co_await feed_->close();
    if (list_) co_await list_->close();
  }
  [[nodiscard]] bool knows_metadata() const override { return true; }

 private:
  Job& job_;
  store::Store& store_;
  std::unique_ptr<RecordFeed> feed_;
  Filter filter_;
  const SourceOptions options_;
  bool end_;
  std::unique_ptr<Source> list_;  // once the keys have been read
};

// Whether asking for each key of the file costs few requests: 64 KB are some thousand keys, and
// some thirty requests to Cloudflare; a listing of a million entries is a thousand. A pipe is of
// any length.
bool is_short(const Selection& selection) {
  constexpr std::uintmax_t kShort = 64 * 1024;
  std::error_code error;
  const std::uintmax_t bytes = std::filesystem::file_size(*selection.keys_file, error);
  return !error && bytes <= kShort && std::filesystem::is_regular_file(*selection.keys_file, error);
}

}  // namespace

Result<std::unique_ptr<Source>> open_source(Job& job, store::Store& store,
                                            const SourceOptions& options) {
  auto filter = Filter::compile(options.selection);
  if (!filter) return std::unexpected(filter.error());
  auto checked =
      check_partitions(job.settings.partitions, store.capabilities(), options.selection.prefix);
  if (!checked) return std::unexpected(checked.error());
  if (!options.selection.keys_file) {
    return open_listing(job, store, std::move(*filter), std::nullopt, options);
  }
  const bool asks = options.metadata && options.asks_for_few && !options.keeps_order &&
                    !filter->reads_metadata() && is_short(options.selection);
  const bool lists = !asks && (filter->reads_metadata() || options.metadata);
  auto feed = open_keys_file(job, options.selection);
  if (!feed) return std::unexpected(feed.error());
  if (!lists) {
    auto keys = std::make_unique<KeysSource>(std::move(*feed), std::move(*filter), options);
    if (!asks) return std::unique_ptr<Source>(std::move(keys));
    return std::unique_ptr<Source>(std::make_unique<MetadataSource>(store, std::move(keys)));
  }
  SourceOptions listing = options;
  // Prefixes as partitions say what is listed; and without their order, keys are not sought here.
  listing.asks_for_few &= options.keeps_order && job.settings.partitions.prefixes.empty();
  return std::unique_ptr<Source>(std::make_unique<KeysInListSource>(job, store, std::move(*feed),
                                                                    std::move(*filter), listing));
}

}  // namespace sluice::bulk
