#include "bulk/job_log.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <random>

#include "base/base64.h"
#include "bulk/listing_spool.h"
#include "bulk/output.h"

namespace sluice::bulk {

namespace json = boost::json;

namespace {

constexpr std::string_view kJournalEnding = ".journal";
constexpr int kMostIdsTried = 100;
// Seconds that a process may take, by far, between making its journal and writing the header.
constexpr std::int64_t kBeginning = 60;
constexpr std::string_view kListingEnding = ".listing";
constexpr std::string_view kSides[] = {"", JobLog::kSource, JobLog::kTarget};

std::string boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  return id;
}

// Keys and cursors may hold any bytes; JSON text may not.
std::string armoured(std::string_view bytes) {
  std::string text;
  append_base64(text, bytes);
  return text;
}

std::string text_of(const json::object& object, std::string_view field) {
  const json::value* value = object.if_contains(field);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

std::string bytes_of(const json::object& object, std::string_view field) {
  return decode_base64(text_of(object, field)).value_or(std::string());
}

std::string bytes_of(const json::value& value) {
  if (!value.is_string()) return {};
  return decode_base64(value.get_string()).value_or(std::string());
}

std::uint64_t number_of(const json::object& object, std::string_view field) {
  const json::value* value = object.if_contains(field);
  if (value == nullptr) return 0;
  if (value->is_uint64()) return value->get_uint64();
  return value->is_int64() ? static_cast<std::uint64_t>(value->get_int64()) : 0;
}

bool flag_of(const json::object& object, std::string_view field) {
  const json::value* value = object.if_contains(field);
  return value != nullptr && value->is_bool() && value->get_bool();
}

std::string to_text(const JobHeader& header) {
  json::array words;
  for (const std::string& word : header.words) words.emplace_back(armoured(word));
  return json::serialize(json::object{{"id", header.id},
                                      {"command", header.command},
                                      {"words", std::move(words)},
                                      {"folder", armoured(header.folder)},
                                      {"output", armoured(header.output)},
                                      {"identity", armoured(header.identity)},
                                      {"created", header.created}});
}

void put_place(const ListingPlace& place, json::object& into) {
  into["cursor"] = armoured(place.cursor);
  into["last_key"] = armoured(place.last_key);
  into["end"] = place.end;
}

ListingPlace place_of(const json::object& object) {
  return {.cursor = bytes_of(object, "cursor"),
          .last_key = bytes_of(object, "last_key"),
          .end = flag_of(object, "end")};
}

Checkpoint checkpoint_of(const json::object& record) {
  Checkpoint checkpoint;
  checkpoint.position.listing = place_of(record);
  checkpoint.position.offset = number_of(record, "offset");
  checkpoint.position.end = flag_of(record, "end");
  checkpoint.position.turn = number_of(record, "turn");
  if (const json::value* pieces = record.if_contains("pieces");
      pieces != nullptr && pieces->is_array()) {
    for (const json::value& each : pieces->get_array()) {
      if (!each.is_object()) continue;
      const json::object& piece = each.get_object();
      checkpoint.position.pieces.push_back({.piece = {.prefix = bytes_of(piece, "prefix"),
                                                      .after = bytes_of(piece, "after"),
                                                      .until = bytes_of(piece, "until")},
                                            .place = place_of(piece),
                                            .through = bytes_of(piece, "through")});
    }
  }
  if (const json::value* found = record.if_contains("found");
      found != nullptr && found->is_object()) {
    const json::object& counts = found->get_object();
    checkpoint.position.found = {.missing = number_of(counts, "missing"),
                                 .different = number_of(counts, "different"),
                                 .equal = number_of(counts, "equal"),
                                 .extra = number_of(counts, "extra"),
                                 .expiring = number_of(counts, "expiring")};
  }
  if (const json::value* ahead = record.if_contains("ahead");
      ahead != nullptr && ahead->is_array()) {
    const json::array& places = ahead->get_array();
    for (std::size_t i = 0; i + 1 < places.size(); i += 2) {
      checkpoint.position.ahead.add({bytes_of(places[i]), bytes_of(places[i + 1])});
    }
  }
  checkpoint.counts = {.listed = number_of(record, "listed"),
                       .selected = number_of(record, "selected"),
                       .done = number_of(record, "done"),
                       .failed = number_of(record, "failed"),
                       .skipped = number_of(record, "skipped")};
  checkpoint.output_bytes = number_of(record, "output_bytes");
  checkpoint.failure_bytes = number_of(record, "failure_bytes");
  checkpoint.spooled = flag_of(record, "spooled");
  return checkpoint;
}

// Builds a summary from the records of a journal, in their order.
class SummaryReader {
 public:
  void read(std::string_view text) {
    boost::system::error_code error;
    const json::value value = json::parse(text, error);
    if (error || !value.is_object()) return;
    const json::object& record = value.get_object();
    if (first_) {
      first_ = false;
      summary_.header = {.id = text_of(record, "id"),
                         .command = text_of(record, "command"),
                         .words = {},
                         .folder = bytes_of(record, "folder"),
                         .output = bytes_of(record, "output"),
                         .identity = bytes_of(record, "identity"),
                         .created = static_cast<std::int64_t>(number_of(record, "created"))};
      if (const json::value* words = record.if_contains("words");
          words != nullptr && words->is_array()) {
        for (const json::value& word : words->get_array()) {
          if (!word.is_string()) continue;
          summary_.header.words.push_back(decode_base64(word.get_string()).value_or(std::string()));
        }
      }
    } else if (const std::string kind = text_of(record, "record"); kind == "checkpoint") {
      if (flag_of(record, "synced") || text_of(record, "boot") == boot_) {
        summary_.checkpoint = checkpoint_of(record);
        has_checkpoint_ = true;
      }
      summary_.state = JobState::unfinished;
      summary_.reason.clear();
    } else if (kind == "end") {
      const std::string state = text_of(record, "state");
      summary_.state = state == "finished" ? JobState::finished
                       : state == "failed" ? JobState::failed
                                           : JobState::unfinished;
      summary_.reason = bytes_of(record, "reason");
    }
  }
  [[nodiscard]] const JobSummary& summary() const { return summary_; }
  [[nodiscard]] bool has_checkpoint() const { return has_checkpoint_; }

 private:
  std::string boot_ = boot_id();
  bool first_ = true;
  bool has_checkpoint_ = false;
  JobSummary summary_;
};

std::string new_id() {
  // A time that sorts, and enough chance that two jobs of one second differ.
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  std::array<char, 32> text{};
  const std::size_t size = std::strftime(text.data(), text.size(), "%Y%m%d-%H%M%S", &utc);
  std::random_device random;
  return fmt::format("{}-{:04x}", std::string_view(text.data(), size), random() & 0xffffu);
}

// An id names a file, so it must not lead elsewhere.
bool valid_id(std::string_view id) {
  return !id.empty() && id.size() <= 64 && std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '-';
  });
}

Result<> make_private_folder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error)
    return std::unexpected(system_error(error.value(), fmt::format("create the folder {}", path)));
  if (::chmod(path.c_str(), 0700) != 0) {
    return std::unexpected(system_error(errno, fmt::format("protect the folder {}", path)));
  }
  return {};
}

std::string end_record(std::string_view state, std::string_view reason) {
  return json::serialize(
      json::object{{"record", "end"}, {"state", state}, {"reason", armoured(reason)}});
}

}  // namespace

std::string_view name(JobState state) {
  switch (state) {
    case JobState::running:
      return "running";
    case JobState::unfinished:
      return "unfinished";
    case JobState::finished:
      return "finished";
    case JobState::failed:
      return "failed";
  }
  return "unknown";
}

Result<> JobLog::checkpoint(const Checkpoint& checkpoint, bool synced) {
  static const std::string boot = boot_id();
  const Position& position = checkpoint.position;
  json::object record{{"record", "checkpoint"},
                      {"offset", position.offset},
                      {"listed", checkpoint.counts.listed},
                      {"selected", checkpoint.counts.selected},
                      {"done", checkpoint.counts.done},
                      {"failed", checkpoint.counts.failed},
                      {"skipped", checkpoint.counts.skipped},
                      {"output_bytes", checkpoint.output_bytes},
                      {"failure_bytes", checkpoint.failure_bytes},
                      {"spooled", checkpoint.spooled},
                      {"synced", synced},
                      {"boot", boot}};
  put_place(position.listing, record);
  record["end"] = position.end;
  if (!position.pieces.empty()) {
    json::array pieces;
    for (const Position::OfPiece& each : position.pieces) {
      json::object piece{{"prefix", armoured(each.piece.prefix)},
                         {"after", armoured(each.piece.after)},
                         {"until", armoured(each.piece.until)},
                         {"through", armoured(each.through)}};
      put_place(each.place, piece);
      pieces.push_back(std::move(piece));
    }
    record["pieces"] = std::move(pieces);
    record["turn"] = position.turn;
  }
  if (!position.ahead.empty()) {
    json::array places;  // where each stretch begins and ends, by turns
    for (const auto& [from, to] : position.ahead) {
      places.emplace_back(armoured(from));
      places.emplace_back(armoured(to));
    }
    record["ahead"] = std::move(places);
  }
  if (position.found != MergeFindings{}) {
    record["found"] = json::object{{"missing", position.found.missing},
                                   {"different", position.found.different},
                                   {"equal", position.found.equal},
                                   {"extra", position.found.extra},
                                   {"expiring", position.found.expiring}};
  }
  if (auto appended = journal_.append(json::serialize(record)); !appended) return appended;
  return synced ? journal_.sync() : Result<>();
}

Result<> JobLog::finish(JobState state, std::string_view reason) {
  if (auto appended = journal_.append(end_record(name(state), reason)); !appended) return appended;
  if (auto synced = journal_.sync(); !synced) return synced;
  // Only now: until the end is written down, the job may have to be resumed. Its keys are other
  // people's data: they do not stay longer than they are of use.
  ::unlink(spool_path().c_str());
  for (const std::string_view side : kSides) ListingSpool::remove(listing_path(side));
  return {};
}

Result<> JobLog::stopped(std::string_view reason) {
  if (auto appended = journal_.append(end_record("unfinished", reason)); !appended) return appended;
  return journal_.sync();
}

std::string JobLog::failure_path() const {
  const std::string& path = journal_.path();
  return path.substr(0, path.size() - kJournalEnding.size()) + ".failed";
}

std::string JobLog::spool_path() const {
  const std::string& path = journal_.path();
  return path.substr(0, path.size() - kJournalEnding.size()) + ".spool";
}

std::string JobLog::listing_path(std::string_view side) const {
  const std::string& path = journal_.path();
  return fmt::format("{}{}{}", path.substr(0, path.size() - kJournalEnding.size()), side,
                     kListingEnding);
}

std::string JobFolder::journal_path(std::string_view id) const {
  return fmt::format("{}/{}{}", path_, id, kJournalEnding);
}

Result<JobLog> JobFolder::create(JobHeader header) const {
  if (auto made = make_private_folder(path_); !made) return std::unexpected(made.error());
  header.created = std::chrono::duration_cast<std::chrono::seconds>(
                       std::chrono::system_clock::now().time_since_epoch())
                       .count();
  // Another job of this second may have drawn the same id.
  for (int tries = 1;; ++tries) {
    header.id = new_id();
    auto journal = flow::Journal::create(journal_path(header.id), to_text(header));
    if (journal) return JobLog(std::move(*journal), std::move(header));
    const bool taken = journal.error().code == ErrorCode::conflict;
    if (!taken || tries == kMostIdsTried) return std::unexpected(journal.error());
  }
}

Result<JobLog> JobFolder::resume(std::string_view id) const {
  if (!valid_id(id))
    return fail(ErrorCode::not_found, "there is no job \"{}\": see `sluice jobs list`", id);
  SummaryReader reader;
  auto journal =
      flow::Journal::open(journal_path(id), [&](std::string_view text) { reader.read(text); });
  if (!journal && journal.error().code == ErrorCode::not_found) {
    return fail(ErrorCode::not_found, "there is no job \"{}\": see `sluice jobs list`", id);
  }
  if (!journal && journal.error().code == ErrorCode::conflict) {
    return fail(ErrorCode::conflict,
                "job {} is running in another process: wait for it, or stop that one", id);
  }
  if (!journal) return std::unexpected(journal.error());
  if (reader.summary().header.id != id) {
    return fail(ErrorCode::corrupt, "the journal of job {} is damaged: `sluice jobs remove {}`", id,
                id);
  }
  const JobSummary& summary = reader.summary();
  if (summary.state == JobState::finished || summary.state == JobState::failed) {
    return fail(ErrorCode::conflict, "job {} has {} and cannot be resumed: run its command again",
                id, summary.state == JobState::finished ? "finished" : "failed");
  }
  JobLog log(std::move(*journal), summary.header);
  if (reader.has_checkpoint()) log.resumed_from_ = summary.checkpoint;
  return log;
}

std::optional<std::string> JobFolder::find_unfinished(std::string_view identity) const {
  for (const JobSummary& job : list()) {
    if (job.state == JobState::unfinished && job.header.identity == identity) return job.header.id;
  }
  return std::nullopt;
}

Result<JobSummary> JobFolder::show(std::string_view id) const {
  if (!valid_id(id))
    return fail(ErrorCode::not_found, "there is no job \"{}\": see `sluice jobs list`", id);
  SummaryReader reader;
  const auto peek =
      flow::Journal::peek(journal_path(id), [&](std::string_view text) { reader.read(text); });
  if (!peek && peek.error().code == ErrorCode::not_found) {
    return fail(ErrorCode::not_found, "there is no job \"{}\": see `sluice jobs list`", id);
  }
  if (!peek) return std::unexpected(peek.error());
  if (reader.summary().header.id != id) {
    return fail(ErrorCode::corrupt, "the journal of job {} is damaged: `sluice jobs remove {}`", id,
                id);
  }
  JobSummary summary = reader.summary();
  if (peek->in_use) summary.state = JobState::running;
  return summary;
}

std::vector<JobSummary> JobFolder::list() const {
  std::vector<JobSummary> jobs;
  std::error_code error;
  for (const auto& file : std::filesystem::directory_iterator(path_, error)) {
    if (file.path().extension() != kJournalEnding) continue;
    if (auto summary = show(file.path().stem().string())) jobs.push_back(std::move(*summary));
  }
  std::sort(jobs.begin(), jobs.end(),
            [](const JobSummary& a, const JobSummary& b) { return a.header.id > b.header.id; });
  return jobs;
}

Result<> JobFolder::remove(std::string_view id) const {
  const auto summary = show(id);
  // A journal that cannot be read can still be removed by whoever names it.
  if (!summary && summary.error().code == ErrorCode::not_found)
    return std::unexpected(summary.error());
  if (summary && summary->state == JobState::running) {
    return fail(ErrorCode::conflict, "job {} is running: stop it first", id);
  }
  if (summary && !summary->header.output.empty()) {
    ::unlink(Output::temporary_name(summary->header.output, id).c_str());
  }
  for (const std::string_view ending : {".spool", ".failed"}) {
    ::unlink(fmt::format("{}/{}{}", path_, id, ending).c_str());
  }
  for (const std::string_view side : kSides) {
    ListingSpool::remove(fmt::format("{}/{}{}{}", path_, id, side, kListingEnding));
  }
  if (::unlink(journal_path(id).c_str()) != 0) {
    return std::unexpected(system_error(errno, fmt::format("remove {}", journal_path(id))));
  }
  return {};
}

void JobFolder::prune(std::int64_t now, std::int64_t seconds) const {
  for (const JobSummary& job : list()) {
    const bool ended = job.state == JobState::finished || job.state == JobState::failed;
    // What cannot be removed now is tried again by the next job.
    if (ended && job.header.created + seconds < now) (void)remove(job.header.id);
  }
  std::error_code error;
  for (const auto& file : std::filesystem::directory_iterator(path_, error)) {
    const bool journal = file.path().extension() == kJournalEnding;
    if (!journal || !valid_id(file.path().stem().string())) continue;
    (void)flow::Journal::remove_unbegun(file.path().string(), now - kBeginning);
  }
}

}  // namespace sluice::bulk
