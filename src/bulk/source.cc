#include "bulk/source.h"

#include <utility>

#include "bulk/list_source.h"
#include "bulk/record_feed.h"

namespace sluice::bulk {

namespace {

std::unexpected<Error> bad_key(const std::string& path, const BadRecord& record) {
  return fail(ErrorCode::invalid_argument, "{}: {}", path, describe(record));
}

// The keys of a file, as many as pass the filter, which looks at keys only.
class KeysSource : public Source {
 public:
  KeysSource(std::unique_ptr<RecordFeed> feed, Filter filter, const SourceOptions& options)
      : feed_(std::move(feed)),
        filter_(std::move(filter)),
        path_(*options.selection.keys_file),
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
    auto piece = co_await feed_->next();
    if (!piece) co_return std::unexpected(piece.error());
    // A list of keys with something wrong in it may be the wrong file.
    if (!piece->records.bad.empty()) co_return bad_key(path_, piece->records.bad.front());
    end_ = piece->end;
    page.listed = piece->records.entries.size();
    page.entries = std::move(piece->records.entries);
    page.entries.retain(
        [&](const store::EntryView& entry) { return filter_.matches(entry.key, ""); });
    if (left_) {
      if (page.entries.size() >= *left_) {
        page.entries.truncate(static_cast<std::size_t>(*left_));
        end_ = true;
      }
      *left_ -= page.entries.size();
    }
    page.after.offset = piece->records.end;
    page.after.end = end_;
    co_return page;
  }

  io::Task<> close() override { return feed_->close(); }
  [[nodiscard]] bool knows_metadata() const override { return false; }

 private:
  std::unique_ptr<RecordFeed> feed_;
  Filter filter_;
  std::string path_;
  std::optional<std::uint64_t> left_;  // of --limit
  bool end_;
};

EntryFile::Options keys_file(const SourceOptions& options) {
  EntryFile::Options file;
  file.format = Format::keys;
  file.nul = options.selection.keys_end_in_nul;
  file.from = options.start.offset;
  return file;
}

// With a condition on the metadata, the listing has to be read anyway; the file then narrows it
// down. Reads the whole file, in the calling thread.
Result<KeySet> read_key_set(const SourceOptions& options) {
  EntryFile::Options from_start = keys_file(options);
  from_start.from = 0;
  auto file = EntryFile::open(*options.selection.keys_file, from_start);
  if (!file) return std::unexpected(file.error());
  KeySet keys;
  Records records;
  for (bool more = true; more;) {
    auto read = file->read(records);
    if (!read) return std::unexpected(read.error());
    more = *read;
    if (!records.bad.empty()) return bad_key(*options.selection.keys_file, records.bad.front());
    for (const store::EntryView& entry : records.entries) keys.add(entry.key);
    records.clear();
  }
  keys.seal();
  return keys;
}

}  // namespace

Result<std::unique_ptr<Source>> open_source(io::Executor executor, io::Stop& stop,
                                            store::Store& store, const SourceOptions& options) {
  auto filter = Filter::compile(options.selection);
  if (!filter) return std::unexpected(filter.error());
  std::optional<KeySet> keys;
  if (options.selection.keys_file) {
    if (!filter->reads_metadata()) {
      auto feed =
          RecordFeed::open(executor, stop, *options.selection.keys_file, keys_file(options));
      if (!feed) return std::unexpected(feed.error());
      return std::unique_ptr<Source>(
          std::make_unique<KeysSource>(std::move(*feed), std::move(*filter), options));
    }
    auto set = read_key_set(options);
    if (!set) return std::unexpected(set.error());
    keys = std::move(*set);
  }
  return std::unique_ptr<Source>(
      std::make_unique<ListSource>(executor, store, std::move(*filter), std::move(keys), options));
}

}  // namespace sluice::bulk
