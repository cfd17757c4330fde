// MergeSource: what one store has and another lacks.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bulk/key_set.h"
#include "bulk/ordered_entries.h"
#include "bulk/source.h"
#include "bulk/spool.h"

namespace sluice::bulk {

// Merges the ordered listings of two stores and gives the entries of the first that are missing in
// the second or different there: metadata (compared as JSON), expiry and, if asked, value. The keys
// that only the second one has go to a spool. The selection is asked of the first store's entry,
// and of the second's only where the first has no such key: so an entry that has merely lost a tag
// is never taken for one that is gone.
class MergeSource : public Source {
 public:
  struct Options {
    store::Store& from;  // both list in order
    store::Store& to;
    std::vector<Piece> pieces;           // of a new merge; a resumed one has its own in `start`
    Filter filter;                       // which entries take part …
    std::optional<KeySet> keys;          // … and of these only these keys
    std::optional<std::uint64_t> limit;  // entries that are given, at most
    bool listed_values = false;          // both listings give values, which are compared
    bool fetched_values = false;         // the values of both are fetched and compared
    bool exact = false;                  // … byte for byte
    std::int64_t to_least_ttl = 0;       // seconds; what expires sooner is passed over
    SpoolWriter* extra = nullptr;  // takes the keys that only `to` has; none: they are counted
    // Where the values are, if the listings are spools of them.
    store::Store* from_values = nullptr;
    store::Store* to_values = nullptr;
  };
  MergeSource(Job& job, Options options, const Position& start);

  io::Task<Result<SourcePage>> next() override;
  io::Task<> close() override;
  [[nodiscard]] bool knows_metadata() const override { return true; }

  [[nodiscard]] const MergeFindings& found() const { return found_; }
  // Whether the source has listed anything, selected or not.
  [[nodiscard]] bool saw_source() const { return saw_source_; }

 private:
  // One piece of both listings. Everything up to `through` is done.
  struct Merge {
    OrderedEntries from;
    OrderedEntries to;
    std::string through;
    [[nodiscard]] bool ready() const { return from.ready() && to.ready(); }
    [[nodiscard]] bool at_end() const { return ready() && !from.has() && !to.has(); }
  };
  // What a page is made of, before the values have been compared.
  struct Draft {
    SourcePage page;
    std::vector<std::size_t> candidates;  // places in the page: the same but for the value, perhaps
    std::size_t steps = 0;
  };

  io::Task<Result<>> draft(Merge& merge, Draft& draft);
  Result<> step(Merge& merge, Draft& draft);
  void compare(const store::EntryView& from, const store::EntryView& to, Draft& draft);
  io::Task<Result<>> compare_values(Draft& draft);
  [[nodiscard]] bool selected(const store::EntryView& entry) const;
  [[nodiscard]] bool expires_too_soon(const store::EntryView& entry) const;
  [[nodiscard]] Position position() const;

  Job& job_;
  Options options_;
  MergeFindings found_;
  bool saw_source_ = false;
  std::deque<Merge> merges_;
  std::size_t turn_ = 0;
  bool begun_ = false;
  bool end_;
};

// Whether two metadata texts are the same JSON: spaces, the order of fields and the way characters
// are escaped do not count, since a service may write them anew.
[[nodiscard]] bool same_metadata(std::string_view one, std::string_view other);

}  // namespace sluice::bulk
