// ItemSpool: what is to be purged from which zone, each once, on disk.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "io/temporary.h"
#include "io/worker.h"
#include "sqlite/database.h"

namespace sluice::cdn {

// A set of items for each zone, in a small database: it takes disk instead of memory, and what it
// has said is done survives a crash and a power cut. An item is *due* when it has to be purged.
//
// One that is only noted may become due: see TagLedger, which notes the tags of entries before
// they are deleted. As long as it is not known what became of them, such an item is *pending*.
//
// What blocks runs on a thread of its own. Belongs to one loop; calls may
// overlap, and take effect in their order.
class ItemSpool {
 public:
  // The file at `path`, 0600, made if it is not there; what an earlier process could not purge is
  // due again. Empty: a file in the temporary folder that goes with the object.
  static io::Task<Result<std::unique_ptr<ItemSpool>>> open(std::string path);
  // How many items remain to be purged, over all zones, in a spool that may belong to another
  // process. 0 if there is none at `path`. Blocks.
  static Result<std::uint64_t> count_left(const std::string& path);
  ~ItemSpool();
  ItemSpool(const ItemSpool&) = delete;
  ItemSpool& operator=(const ItemSpool&) = delete;

  struct Placed {
    std::string zone;
    std::string item;
  };
  // Makes the items due. Those that are there already stay as they are. Returns how many are new.
  io::Task<Result<std::uint64_t>> add(std::span<const Placed> items);
  // Makes the due items of one zone due in another, too.
  io::Task<Result<>> copy(const std::string& from, const std::string& to);
  // Moves the items of one zone to another, which has none of them.
  io::Task<Result<>> move(const std::string& from, const std::string& to);

  // What became of the entries that an item was noted for.
  enum class Fate : std::uint8_t {
    gone,          // one of them is deleted, or may be: it is due
    kept,          // none is
    unknown,       // it stays pending, and is due, too, if `gone` was said of another note
    gone_in_part,  // both: it is due now, and pending
  };
  struct Noted {
    std::string item;
    Fate fate = Fate::kept;
  };
  // Notes the items for every zone; they are on disk when it returns.
  io::Task<Result<>> note(std::span<const std::string> zones, std::span<const Noted> items);
  // Answers each of these notes.
  io::Task<Result<>> settle(std::span<const std::string> zones, std::span<const Noted> items);
  // Makes due what is pending: nobody will tell any more. Returns how many.
  io::Task<Result<std::uint64_t>> presume();

  struct Item {
    std::int64_t id = 0;
    std::string text;
  };
  // The next due items of a zone behind the one with the id `after`, in the order of their ids.
  io::Task<Result<std::vector<Item>>> due(const std::string& zone, std::int64_t after,
                                          std::size_t most);
  // They have been purged; or they were refused in this run, and are not due before the next.
  io::Task<Result<>> purged(std::span<const std::int64_t> ids);
  io::Task<Result<>> refused(std::span<const std::int64_t> ids);
  // How many are due in a zone.
  io::Task<Result<std::uint64_t>> count_due(const std::string& zone);
  // As `due`, of all that remains to be purged: due, pending or refused.
  io::Task<Result<std::vector<Item>>> left(const std::string& zone, std::int64_t after,
                                           std::size_t most);

 private:
  ItemSpool() = default;
  Result<> begin(std::string path);
  static Result<std::vector<Item>> read(sqlite::Statement& statement, const std::string& zone,
                                        std::int64_t after, std::size_t most);
  Result<> set_state(std::span<const std::int64_t> ids, std::int64_t state);

  // What changes in `work` (which returns a Result<>) changes as one.
  template <class Work>
  Result<> change(Work work);
  // Gives every item of every zone to `statement` as its first two parameters; `bind` adds others.
  template <class Bind>
  Result<> change_each(sqlite::Statement& statement, std::span<const std::string> zones,
                       std::span<const Noted> items, Bind bind);
  io::Task<Result<>> run_on_zones(sqlite::Statement& statement, const std::string& from,
                                  const std::string& to);

  std::optional<io::TemporaryFolder> temporary_;  // goes last
  std::optional<sqlite::Database> database_;
  sqlite::Statement add_, copy_, move_, note_, settle_, due_, state_, left_, count_due_;
  io::Worker worker_;
};

}  // namespace sluice::cdn
