// Position, Counts and Watermark: how far a job is, so that it can go on from there.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "bulk/stretches.h"

namespace sluice::bulk {

// A piece of a listing: the keys that begin with `prefix`, are greater than `after` and, unless
// `until` is empty, not greater than that. Both bounds empty: all keys of the prefix.
struct Piece {
  std::string prefix;
  std::string after;
  std::string until;
  friend bool operator==(const Piece&, const Piece&) = default;
};

// A place in a listing, or in a piece of one, behind a whole page of it.
struct ListingPlace {
  std::string cursor;    // the store's cursor for the next page
  std::string last_key;  // the greatest key listed so far, should the cursor be refused
  bool end = false;      // nothing comes after it
};

// What a merge of two listings has found so far.
struct MergeFindings {
  std::uint64_t missing = 0;    // only in the source
  std::uint64_t different = 0;  // in both, but not the same
  std::uint64_t equal = 0;
  std::uint64_t extra = 0;     // only in the target
  std::uint64_t expiring = 0;  // passed over: the target takes no expiry that near
  friend bool operator==(const MergeFindings&, const MergeFindings&) = default;
};

// A place in the source of a job, behind a whole page of it, and what has ended beyond that.
struct Position {
  struct OfPiece {
    Piece piece;
    ListingPlace place;
    std::string through = {};  // of a merge: both sides are done up to this key
  };

  ListingPlace listing;         // of a listing in one piece
  std::vector<OfPiece> pieces;  // of a listing in several: where each of them is (of a merge: the
                                // source's and the target's side of each) …
  std::uint64_t turn = 0;       // … and which one gives the next page
  std::uint64_t offset = 0;     // of a file: the bytes read so far
  MergeFindings found;          // of a merge
  bool end = false;             // nothing comes after it
  // Its entries have ended too. Of a source with an order only: a resumed one passes over them.
  Stretches ahead;
};

// What became of the entries. Once a job is complete, selected = done + failed + skipped.
struct Counts {
  std::uint64_t listed = 0;    // seen by the source
  std::uint64_t selected = 0;  // of these, chosen by the selection
  std::uint64_t done = 0;
  std::uint64_t failed = 0;
  std::uint64_t skipped = 0;  // gone before it was their turn, or bad records passed over

  Counts& operator+=(const Counts& other) {
    listed += other.listed;
    selected += other.selected;
    done += other.done;
    failed += other.failed;
    skipped += other.skipped;
    return *this;
  }
  [[nodiscard]] bool add_up() const { return selected == done + failed + skipped; }
  friend bool operator==(const Counts&, const Counts&) = default;
};

// A key that a job could not do, and why.
struct FailedKey {
  std::string key;
  Error error;
};

// Follows the pages of a source, which are opened in order and whose entries end in any order, and
// tells the position up to which everything has ended, and what has ended ahead of it: one entry
// that takes long must not have all behind it done again by a resumed job. Pure.
//
// Guarantee: an entry is never ahead while one that was opened before it, and ended before it, is
// neither ahead nor passed, unless that one had no stretch. So if a key comes twice in a file, and
// the later entry is begun when the earlier one has ended, no resumed job puts the earlier one
// again and leaves out the later one.
//
// Invariant: pages_ holds, in order, the pages behind the watermark; the first one has entries that
// have not ended, or `advance` has not been called since they did.
class Watermark {
 public:
  // `start` is where the source begins.
  explicit Watermark(Position start = {}) : position_(std::move(start)) {}

  struct Passed {
    Counts counts;
    std::vector<FailedKey> failed;
  };

  // A page of `entries` that are to be done; `after` is the position behind it, and `found`
  // (listed, selected) is counted when the watermark passes it. `stretch` is the part of the source
  // that the page is, if the source has an order. Returns the page's number.
  std::uint64_t open(Position after, std::uint64_t entries, const Counts& found,
                     Stretch stretch = {});
  // Of the page, `ended.done + ended.failed + ended.skipped` more entries have ended: those in
  // `stretch`, of which none is left then. Without one they are ahead only when the page is.
  void settle(std::uint64_t page, const Counts& ended, std::vector<FailedKey> failed = {},
              const Stretch& stretch = {});
  // Keeps nothing more ahead: entries have ended out of their order.
  void hold_ahead() { held_ = true; }
  // Moves over the pages in front that have ended. True if the position has moved, or what is ahead
  // of it; `passed` is what became of the entries before it and, but for `listed`, of those ahead:
  // their pages are listed again by a resumed job.
  bool advance(Passed& passed);
  // The part of the source that an open page is.
  [[nodiscard]] const Stretch& stretch(std::uint64_t page) const {
    return pages_.at(page - first_page_).stretch;
  }

  // The failed keys of the pages that `advance` has not passed, when the run is over.
  std::vector<FailedKey> take_failed();

  [[nodiscard]] const Position& position() const { return position_; }
  [[nodiscard]] bool has_open_pages() const { return !pages_.empty(); }

 private:
  struct PageState {
    Position after;
    std::uint64_t open_entries = 0;
    Stretch stretch;
    Counts counts;  // without what is ahead
    std::vector<FailedKey> failed;
  };
  bool keep_ahead(std::uint64_t page, const Stretch& stretch);
  void keep_page_ahead(std::uint64_t page);

  std::deque<PageState> pages_;
  std::uint64_t first_page_ = 0;  // the number of pages_.front()
  Position position_;
  Passed ahead_;        // what became of the entries that have come to be ahead since `advance`
  bool moved_ = false;  // something has
  bool held_ = false;
  // There was no room for a part of this page or of one before it: until the watermark has passed
  // it, no other part is kept, as the guarantee demands.
  std::optional<std::uint64_t> left_out_;
};

}  // namespace sluice::bulk
