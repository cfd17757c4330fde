#include "bulk/job_log.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <functional>
#include <random>
#include <tuple>

#include "bulk/output.h"
#include "sqlite/database.h"

namespace sluice::bulk {

namespace {

constexpr std::string_view kJournalEnding = ".journal";
constexpr int kMostIdsTried = 100;
// Seconds that a process may take, by far, between making its journal and writing the header.
constexpr std::int64_t kBeginning = 60;
constexpr std::string_view kListingEnding = ".listing";
constexpr std::string_view kFailedEnding = ".failed";
constexpr std::string_view kTagsEnding = ".tags";
constexpr std::string_view kUnpurgedEnding = ".unpurged";
constexpr std::string_view kSides[] = {"", JobLog::kSource, JobLog::kTarget};

// Made of a time, for people, and enough chance that two jobs of one second differ.
std::string new_id(std::time_t now) {
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

}  // namespace

Result<> JobLog::checkpoint(const Checkpoint& checkpoint, bool synced) {
  if (auto appended = journal_.append(checkpoint_record(checkpoint, synced)); !appended) {
    return appended;
  }
  return synced ? journal_.sync() : Result<>();
}

Result<> JobLog::finish(JobState state, std::string_view reason) {
  if (auto appended = journal_.append(end_record(state, reason)); !appended) return appended;
  if (auto synced = journal_.sync(); !synced) return synced;
  // Only now: until the end is written down, the job may have to be resumed. Its keys are other
  // people's data: they do not stay longer than they are of use.
  ::unlink(spool_path().c_str());
  for (const std::string_view side : kSides) sqlite::remove_database(listing_path(side));
  sqlite::remove_database(tags_path());
  return {};
}

Result<> JobLog::stopped(std::string_view reason) {
  if (auto appended = journal_.append(end_record(JobState::unfinished, reason)); !appended)
    return appended;
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

std::string JobLog::tags_path() const {
  const std::string& path = journal_.path();
  return fmt::format("{}{}", path.substr(0, path.size() - kJournalEnding.size()), kTagsEnding);
}

std::string JobLog::unpurged_path() const {
  const std::string& path = journal_.path();
  return fmt::format("{}{}", path.substr(0, path.size() - kJournalEnding.size()), kUnpurgedEnding);
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
  using std::chrono::duration_cast, std::chrono::nanoseconds, std::chrono::seconds;
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto second = duration_cast<seconds>(now);
  header.created = second.count();
  header.created_nanoseconds = duration_cast<nanoseconds>(now - second).count();
  // Another job of this second may have drawn the same id.
  for (int tries = 1;; ++tries) {
    header.id = new_id(header.created);
    auto journal = flow::Journal::create(journal_path(header.id), header_record(header));
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

Result<std::string> JobFolder::loose_failure_path() const {
  if (auto made = make_private_folder(path_); !made) return std::unexpected(made.error());
  return fmt::format("{}/{}{}", path_, new_id(std::time(nullptr)), kFailedEnding);
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
  // The id is left for journals of an older version, which know only the second.
  const auto begun = [](const JobSummary& job) {
    return std::tie(job.header.created, job.header.created_nanoseconds, job.header.id);
  };
  std::ranges::sort(jobs, std::ranges::greater(), begun);
  return jobs;
}

std::string JobFolder::tags_path(std::string_view id) const {
  return fmt::format("{}/{}{}", path_, id, kTagsEnding);
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
  for (const std::string_view ending :
       {std::string_view(".spool"), std::string_view(".failed"), kUnpurgedEnding}) {
    ::unlink(fmt::format("{}/{}{}", path_, id, ending).c_str());
  }
  for (const std::string_view side : kSides) {
    sqlite::remove_database(fmt::format("{}/{}{}{}", path_, id, side, kListingEnding));
  }
  sqlite::remove_database(tags_path(id));
  if (::unlink(journal_path(id).c_str()) != 0) {
    return std::unexpected(system_error(errno, fmt::format("remove {}", journal_path(id))));
  }
  return {};
}

void JobFolder::prune(std::int64_t now, std::int64_t seconds) const {
  for (const JobSummary& job : list()) {
    const bool ended = job.state == JobState::finished || job.state == JobState::failed;
    // The end is the last that was written. A job may have taken long, or been resumed late.
    struct stat journal{};
    if (!ended || ::stat(journal_path(job.header.id).c_str(), &journal) != 0) continue;
    // What cannot be removed now is tried again by the next job.
    if (journal.st_mtime + seconds < now) (void)remove(job.header.id);
  }
  std::error_code error;
  for (const auto& file : std::filesystem::directory_iterator(path_, error)) {
    const std::string stem = file.path().stem().string();
    // Of work without a journal: nobody else removes it.
    struct stat status{};
    if (file.path().extension() == kFailedEnding && valid_id(stem) &&
        ::stat(file.path().c_str(), &status) == 0 && status.st_mtime + seconds < now &&
        ::access(journal_path(stem).c_str(), F_OK) != 0) {
      ::unlink(file.path().c_str());
    }
    const bool journal = file.path().extension() == kJournalEnding;
    if (!journal || !valid_id(file.path().stem().string())) continue;
    (void)flow::Journal::remove_unbegun(file.path().string(), now - kBeginning);
  }
}

}  // namespace sluice::bulk
