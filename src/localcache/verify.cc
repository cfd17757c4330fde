#include <unistd.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "localcache/maintenance.h"

namespace sluice::localcache {

namespace {

constexpr std::size_t kMostProblems = 1000;

class Verifier {
 public:
  explicit Verifier(OpenCache& open) : open_(open) {}

  Result<Verified> run() {
    {
      // One moment for all that is compared.
      auto snapshot = sqlite::Snapshot::begin(*open_.database);
      if (!snapshot) return std::unexpected(snapshot.error());
      for (const auto step : {&Verifier::check_database, &Verifier::check_entries,
                              &Verifier::check_totals, &Verifier::check_tags}) {
        const Result<> checked = (this->*step)();
        if (checked) continue;
        if (checked.error().code != ErrorCode::corrupt) return std::unexpected(checked.error());
        report(Problem::Kind::database, without_advice(checked.error().message));
      }
    }
    if (auto checked = check_files(); !checked) return std::unexpected(checked.error());
    return std::move(found_);
  }

 private:
  void report(Problem::Kind kind, std::string text) {
    ++found_.problem_count;
    if (found_.problems.size() < kMostProblems) {
      found_.problems.push_back({kind, std::move(text)});
    }
  }

  Result<> check_database() {
    auto rows = open_.database->prepare("PRAGMA integrity_check(100)");
    if (!rows) return std::unexpected(rows.error());
    for (;;) {
      const auto stepped = rows->step();
      if (!stepped) return std::unexpected(stepped.error());
      if (!*stepped) return {};
      if (rows->text(0) != "ok") report_database(rows->text(0));
    }
  }

  // SQLite says some things in several lines, under a heading.
  void report_database(std::string_view text) {
    while (!text.empty()) {
      const std::string_view line = text.substr(0, text.find('\n'));
      text.remove_prefix(std::min(line.size() + 1, text.size()));
      if (line.empty() || line.starts_with("***")) continue;
      report(Problem::Kind::database, fmt::format("{}: {}", open_.location.database(), line));
    }
  }

  Result<> check_entries() {
    return open_.table->scan(0, [&](const Row& row, std::string_view stored) {
      ++found_.entries;
      found_.bytes += row.bytes();
      file_bytes_ += row.file_bytes;
      tags_ += unpack_tags(row.tags).size();
      if (row.in_file()) named_.insert(row.file);
      const auto value = read_value(open_, row, stored);
      if (!value) {
        report(Problem::Kind::content,
               fmt::format("the entry {}: {}", quoted(row.key), value.error().message));
      } else if (!*value) {
        lost_.push_back(row);
      }
      return true;
    });
  }

  Result<> check_totals() {
    const auto totals = open_.table->totals();
    if (!totals) return std::unexpected(totals.error());
    if (totals->entries != found_.entries || totals->bytes != found_.bytes ||
        totals->file_bytes != file_bytes_) {
      report(Problem::Kind::count,
             fmt::format("the totals say {} entries of {} bytes, {} in files; there are {} of {}, "
                         "{} in files",
                         totals->entries, totals->bytes, totals->file_bytes, found_.entries,
                         found_.bytes, file_bytes_));
    }
    return {};
  }

  Result<> check_tags() {
    const auto known = open_.database->number("SELECT count(*) FROM tag");
    if (!known) return std::unexpected(known.error());
    // As bytes: a search in text takes some bytes for the middle of a character.
    const auto fitting = open_.database->number(
        "SELECT count(*) FROM tag JOIN entry USING(id) WHERE "
        "instr(CAST(x'00' || entry.tags AS BLOB), CAST(x'00' || tag.name || x'00' AS BLOB))");
    if (!fitting) return std::unexpected(fitting.error());
    if (*known != *fitting || static_cast<std::uint64_t>(*known) != tags_) {
      report(Problem::Kind::tags,
             fmt::format("entries have {} tags, and the index of tags has {}, of which {} fit",
                         tags_, *known, *fitting));
    }
    return {};
  }

  // Writers went on since the snapshot: what was missing or not named in it is looked at once more.
  Result<> check_files() {
    const auto files = list_value_files(open_.location.values(), false);
    if (!files) return std::unexpected(files.error());
    std::vector<std::string> unnamed;
    for (const std::string& file : files->values) {
      if (!named_.contains(file)) unnamed.push_back(file);
    }
    for (const std::string& file : files->abandoned) {
      report(Problem::Kind::orphan_file,
             fmt::format("{} was left by a process that died", open_.value_path(file)));
    }
    if (unnamed.empty() && lost_.empty()) return {};

    std::optional<sqlite::Transaction> writing;
    if (open_.options.access != Access::read) {
      // Under the write lock nobody is between giving a file its name and naming it in an entry.
      auto transaction = sqlite::Transaction::begin(*open_.database);
      if (!transaction) return std::unexpected(transaction.error());
      writing.emplace(std::move(*transaction));
    }
    for (const Row& row : lost_) {
      const auto now = open_.table->find_id(row.id);
      if (now && *now && (*now)->file == row.file) {
        report(Problem::Kind::lost_value,
               fmt::format("the value of {} is gone: there is no file {}", quoted(row.key),
                           open_.value_path(row.file)));
      }
    }
    const auto named = open_.table->files();
    if (!named) return {};  // the damage has been reported
    for (const std::string& file : unnamed) {
      if (!named->contains(file) && ::access(open_.value_path(file).c_str(), F_OK) == 0) {
        report(Problem::Kind::orphan_file,
               fmt::format("no entry names {}", open_.value_path(file)));
      }
    }
    return {};
  }

  OpenCache& open_;
  Verified found_;
  std::uint64_t file_bytes_ = 0;
  std::uint64_t tags_ = 0;
  std::set<std::string> named_;
  std::vector<Row> lost_;
};

}  // namespace

Result<Verified> verify_cache(OpenCache& open) {
  return Verifier(open).run();
}

Result<Verified> Cache::verify() {
  OpenCache& open = *state_->open;
  const Timer timer(open, Timed::verify);
  if (!open.table) return Verified{};
  auto verified = verify_cache(open);
  if (!verified) return std::unexpected(open.explain(verified.error()));
  return verified;
}

}  // namespace sluice::localcache
