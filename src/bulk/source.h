// Source: where the entries of a bulk job come from, page by page.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bulk/job.h"
#include "bulk/position.h"
#include "bulk/selection.h"
#include "store/store.h"

namespace sluice::bulk {

// The selected entries of one page.
struct SourcePage {
  store::Block entries;
  std::uint64_t listed = 0;  // entries seen, selected or not
  Position after;            // where the next page begins
  // What the page is the whole of: by keys, in a listing in their order; by bytes, in a file.
  // Empty: not known. A resumed source passes over what has ended ahead of its start.
  Stretch keys;
  Stretch bytes;
};

// Gives pages until the position says `end`. Always `co_await close()` before destroying a source:
// it may be fetching ahead.
class Source {
 public:
  virtual ~Source() = default;
  virtual io::Task<Result<SourcePage>> next() = 0;
  virtual io::Task<> close() = 0;
  // Whether the entries bear the metadata and expiry that the store has (a file of keys does not).
  [[nodiscard]] virtual bool knows_metadata() const = 0;
};

struct SourceOptions {
  const Selection& selection;
  bool metadata = false;  // read the listing also for a file of keys, to tell what the store has
  // With `metadata`: ask for the keys of a short file instead, which is cheaper. They come in the
  // file's order; with `keeps_order` in the order of the keys, but then the job cannot be resumed.
  bool asks_for_few = false;
  bool values = false;  // ask for values, if the store's listing gives them
  bool keeps_order =
      false;       // list in one piece, in the store's order, unless partitions are asked for
  Position start;  // where to go on; default: the beginning
  std::size_t page_keys = 0;  // of a file of keys: that are given on one page; 0: as they come
  std::uint64_t selected_before = 0;  // of a resumed job: counts against --limit
};

// Of a file of keys, so many different ones are remembered (about 5 MB): one that stands there
// again is passed over. Of those behind them, one that stands there twice comes twice.
inline constexpr std::size_t kRememberedKeys = 100'000;

// The entries of `store` that the selection names, each once: from a listing, whose next pages are
// fetched while the last one is worked on, or from the selection's file of keys (see
// kRememberedKeys). A pattern that
// does not compile, a file that cannot be opened and partitions that the store cannot have fail
// here, before anything is sent. `job`, `store` and the selection outlive the source.
Result<std::unique_ptr<Source>> open_source(Job& job, store::Store& store,
                                            const SourceOptions& options);

}  // namespace sluice::bulk
