#include "localcache/salvage.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <tuple>
#include <vector>

#include "sqlite/table_page.h"

namespace sluice::localcache {

namespace {

using sqlite::Field;
using sqlite::LeafCell;

// A key, 64 tags, 64 KiB of a value, and some numbers.
constexpr std::uint64_t kLargestRow =
    kLongestKey + kMostTags * (kLongestTag + 1) + 2 * kLargestInline;
constexpr std::uint32_t kUsualRoot = 2;

bool is_number(const Field& field, bool or_null = false) {
  return field.kind == Field::Kind::integer || (or_null && field.kind == Field::Kind::null);
}

bool is_blob(const Field& field, bool or_null = false) {
  return field.kind == Field::Kind::blob || (or_null && field.kind == Field::Kind::null);
}

// SQLite stores a real number without a fraction as an integer.
std::optional<double> real(const Field& field) {
  const double number = field.kind == Field::Kind::integer ? static_cast<double>(field.integer)
                        : field.kind == Field::Kind::real
                            ? field.real
                            : std::numeric_limits<double>::quiet_NaN();
  return std::isfinite(number) ? std::optional(number) : std::nullopt;
}

// The columns of schema.cc, in their order. The id is not among them, but the number of the row.
std::optional<Found> parse_entry(std::int64_t id, std::string_view payload) {
  const auto fields = sqlite::parse_record(payload);
  if (!fields || fields->size() != 13) return std::nullopt;
  const auto& f = *fields;
  if (f[0].kind != Field::Kind::null || !is_blob(f[1]) || !is_number(f[2]) || !is_number(f[3]) ||
      !is_number(f[4], true) || !is_number(f[5]) || !is_number(f[6]) || !is_number(f[7]) ||
      !is_number(f[9]) || !is_number(f[10]) || !is_blob(f[11], true) || !is_blob(f[12])) {
    return std::nullopt;
  }
  const auto count = [](const Field& field) { return static_cast<std::uint64_t>(field.integer); };
  Found found{.row = {.id = id,
                      .key = std::string(f[1].bytes),
                      .value_bytes = count(f[2]),
                      .created = f[3].integer,
                      .expires = f[4].integer,
                      .used = f[5].integer,
                      .hits = static_cast<std::uint64_t>(std::max<std::int64_t>(f[6].integer, 0)),
                      .cost = std::max<std::int64_t>(f[7].integer, 0),
                      .priority = real(f[8]).value_or(0),
                      .form = static_cast<std::uint32_t>(f[9].integer),
                      .checksum = count(f[10]),
                      .tags = std::string(f[11].bytes)},
              .stored = f[12].bytes};
  found.row.read_file(found.stored);
  return found;
}

// The one row of `state`.
std::optional<Totals> parse_totals(const LeafCell& cell) {
  const auto fields = sqlite::parse_record(cell.local);
  if (cell.id != 1 || !fields || fields->size() != 7) return std::nullopt;
  const auto& f = *fields;
  const auto inflation = real(f[4]);
  if (f[0].kind != Field::Kind::null || !inflation) return std::nullopt;
  for (const std::size_t i : {1, 2, 3, 5, 6}) {
    if (!is_number(f[i]) || f[i].integer < 0) return std::nullopt;
  }
  const auto count = [](const Field& field) { return static_cast<std::uint64_t>(field.integer); };
  return Totals{.entries = count(f[1]),
                .bytes = count(f[2]),
                .file_bytes = count(f[3]),
                .inflation = *inflation,
                .limits = {.max_bytes = count(f[5]), .max_entries = count(f[6])}};
}

// The page on which the table begins, as the schema says (one page holds ours).
Result<std::uint32_t> root_of_entries(const sqlite::PageFile& file) {
  std::string page;
  const auto read = file.read(1, page);
  if (!read) return std::unexpected(read.error());
  const auto leaf = *read ? sqlite::parse_leaf_page(page, 1) : std::nullopt;
  if (!leaf) return kUsualRoot;
  for (const LeafCell& cell : leaf->cells) {
    // type, name, tbl_name, rootpage, sql
    const auto fields = sqlite::parse_record(cell.local);
    if (fields && fields->size() == 5 && (*fields)[0].bytes == "table" &&
        (*fields)[1].bytes == "entry" && is_number((*fields)[3]) && (*fields)[3].integer >= 2 &&
        (*fields)[3].integer <= file.count()) {
      return static_cast<std::uint32_t>((*fields)[3].integer);
    }
  }
  return kUsualRoot;
}

class Salvage {
 public:
  Salvage(const sqlite::PageFile& file, const TakeFound& take)
      : file_(file), take_(take), seen_(std::size_t{file.count()} + 1) {}

  Result<Salvaged> run() {
    const auto root = root_of_entries(file_);
    if (!root) return std::unexpected(root.error());
    auto free = sqlite::free_pages(file_);
    if (!free) return std::unexpected(free.error());
    free_ = std::move(*free);
    if (auto walked = walk(*root, kAllIds, 0); !walked) return std::unexpected(walked.error());
    if (auto found = find_totals(); !found) return std::unexpected(found.error());
    if (auto searched = search(); !searched) return std::unexpected(searched.error());
    done_.complete = lost_.empty();
    return done_;
  }

 private:
  // SQLite's own trees are no deeper (BTCURSOR_MAX_DEPTH).
  static constexpr int kDeepest = 20;

  // Ids from `first` to `last`.
  struct Ids {
    std::int64_t first = 0;
    std::int64_t last = 0;
    [[nodiscard]] bool hold(std::int64_t id) const { return first <= id && id <= last; }
  };
  static constexpr Ids kAllIds{std::numeric_limits<std::int64_t>::min(),
                               std::numeric_limits<std::int64_t>::max()};

  // Takes the rows below a page, which are those of `ids`, or notes that they are lost.
  Result<> walk(std::uint32_t number, Ids ids, int depth) {
    if (number < 2 || number > file_.count() || seen_[number] || depth > kDeepest) {
      lost_.push_back(ids);
      return {};
    }
    std::string page;
    const auto read = file_.read(number, page);
    if (!read) return std::unexpected(read.error());
    if (const auto inner = *read ? sqlite::parse_inner_page(page, number) : std::nullopt) {
      seen_[number] = true;
      page = {};  // not one for every level
      for (const auto& child : inner->children) {
        const Ids below{ids.first, std::min(child.last_id, ids.last)};
        if (auto walked = walk(child.page, below, depth + 1); !walked) return walked;
        if (child.last_id >= ids.last) break;
        ids.first = std::max(ids.first, child.last_id + 1);
      }
      return {};
    }
    const auto leaf = *read ? sqlite::parse_leaf_page(page, number) : std::nullopt;
    if (!leaf || !belongs(*leaf, ids)) {
      lost_.push_back(ids);
      return {};
    }
    seen_[number] = true;
    return take_leaf(*leaf);
  }

  // Some ids may be damaged, but not most of them.
  static bool belongs(const sqlite::LeafPage& leaf, Ids ids) {
    // An empty one is the whole table, or damaged.
    if (leaf.cells.empty()) return ids.first == kAllIds.first && ids.last == kAllIds.last;
    const auto held =
        std::ranges::count_if(leaf.cells, [&](const LeafCell& cell) { return ids.hold(cell.id); });
    return 2 * static_cast<std::size_t>(held) >= leaf.cells.size();
  }

  Result<> take_leaf(const sqlite::LeafPage& leaf) {
    done_.damaged += leaf.damaged;
    for (const LeafCell& cell : leaf.cells) {
      const auto taken = take(cell, true);
      if (!taken) return std::unexpected(taken.error());
      if (!*taken) ++done_.damaged;
    }
    return {};
  }

  [[nodiscard]] bool is_lost(std::int64_t id) const {
    // They ascend, as the tree does.
    const auto at = std::ranges::lower_bound(lost_, id, {}, &Ids::last);
    return at != lost_.end() && at->hold(id);
  }

  // False: it is no entry.
  Result<bool> take(const LeafCell& cell, bool sure) {
    const auto payload = sqlite::read_payload(file_, cell, kLargestRow);
    if (!payload) return std::unexpected(payload.error());
    auto found = *payload ? parse_entry(cell.id, **payload) : std::nullopt;
    if (!found) return false;
    found->sure = sure;
    if (sure) ++taken_;
    if (auto taken = take_(*found); !taken) return std::unexpected(taken.error());
    return true;
  }

  // Calls `each` with every leaf that the tree did not lead to, until it returns false.
  using EachLeaf = std::function<Result<bool>(std::uint32_t number, const sqlite::LeafPage& leaf)>;
  Result<> for_each_other_leaf(const EachLeaf& each) {
    std::string page;
    for (std::uint32_t number = 2; number <= file_.count() && number != 0; ++number) {
      if (seen_[number] || free_.is_free[number]) continue;
      const auto read = file_.read(number, page);
      if (!read) return std::unexpected(read.error());
      const auto leaf = *read ? sqlite::parse_leaf_page(page, number) : std::nullopt;
      if (!leaf) continue;
      const auto more = each(number, *leaf);
      if (!more) return std::unexpected(more.error());
      if (!*more) return {};
    }
    return {};
  }

  Result<> find_totals() {
    return for_each_other_leaf([&](std::uint32_t, const sqlite::LeafPage& leaf) -> Result<bool> {
      if (leaf.cells.size() == 1) done_.totals = parse_totals(leaf.cells[0]);
      return !done_.totals;
    });
  }

  // Rows on pages that the tree did not lead to, if it is broken, or if entries are missing: then
  // an inner page may lack what it had.
  Result<> search() {
    const bool missing =
        free_.complete && done_.totals && taken_ + done_.damaged < done_.totals->entries;
    if (lost_.empty() && !missing) return {};
    const auto searched = for_each_other_leaf(
        [&](std::uint32_t number, const sqlite::LeafPage& leaf) -> Result<bool> {
          for (std::size_t i = 0; i < leaf.cells.size(); ++i) {
            const bool lost = is_lost(leaf.cells[i].id);
            if (!lost && !missing) continue;
            const auto done = lost && free_.complete ? take(leaf.cells[i], true)
                                                     : remember(leaf.cells[i], number, i);
            if (!done) return std::unexpected(done.error());
          }
          return true;
        });
    if (!searched) return searched;
    return take_unsure();
  }

  // Where a row is that may be an old one, and what tells which of several is the newest.
  struct Candidate {
    std::int64_t created = 0;
    std::int64_t used = 0;
    std::uint64_t hits = 0;
    std::uint32_t page = 0;
    std::uint32_t cell = 0;
  };
  Result<bool> remember(const LeafCell& cell, std::uint32_t page, std::size_t index) {
    const auto payload = sqlite::read_payload(file_, cell, kLargestRow);
    if (!payload) return std::unexpected(payload.error());
    const auto found = *payload ? parse_entry(cell.id, **payload) : std::nullopt;
    if (!found) return false;
    candidates_.push_back({.created = found->row.created,
                           .used = found->row.used,
                           .hits = found->row.hits,
                           .page = page,
                           .cell = static_cast<std::uint32_t>(index)});
    return true;
  }

  Result<> take_unsure() {
    std::ranges::sort(candidates_, [](const Candidate& one, const Candidate& two) {
      return std::tie(one.created, one.used, one.hits) > std::tie(two.created, two.used, two.hits);
    });
    std::string page;
    for (const Candidate& candidate : candidates_) {
      const auto read = file_.read(candidate.page, page);
      if (!read) return std::unexpected(read.error());
      const auto leaf = *read ? sqlite::parse_leaf_page(page, candidate.page) : std::nullopt;
      if (!leaf || candidate.cell >= leaf->cells.size()) continue;
      if (auto taken = take(leaf->cells[candidate.cell], false); !taken) {
        return std::unexpected(taken.error());
      }
    }
    return {};
  }

  const sqlite::PageFile& file_;
  const TakeFound& take_;
  std::vector<bool> seen_;  // pages of the table
  sqlite::FreePages free_;
  std::vector<Ids> lost_;  // that are below damaged pages of the tree
  std::vector<Candidate> candidates_;
  std::uint64_t taken_ = 0;  // sure rows
  Salvaged done_;
};

}  // namespace

Result<Salvaged> salvage(const sqlite::PageFile& file, const TakeFound& take) {
  return Salvage(file, take).run();
}

}  // namespace sluice::localcache
