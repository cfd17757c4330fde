#include "kv_job.h"

#include <fmt/ranges.h>

#include <array>
#include <boost/json.hpp>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>
#include <utility>

#include "base/duration.h"
#include "base/size.h"
#include "base/utf8.h"
#include "wire_text.h"

namespace sluice::cli {

namespace {

// How many reasons of failed keys are told; the file has all.
constexpr std::size_t kMostReasons = 5;

// What makes two runs of a command the same work, beside the places. What only tells how
// (concurrency, display) is not in it.
constexpr std::array<std::string_view, 15> kAskedFor{
    "prefix", "pattern", "search", "tag-field", "tag-value", "keys-file", "all",     "limit",
    "format", "output",  "exact",  "null",      "metadata",  "delete",    "checksum"};
// These do not belong to the work, and would be wrong or needless when it is resumed.
constexpr std::array<std::string_view, 5> kNotResumed{"resume", "store", "deadline", "interactive",
                                                      "create-namespace"};

// Whether two paths lead to the same existing file.
bool same_file(const std::string& one, const std::string& other) {
  std::error_code error;
  return std::filesystem::equivalent(one, other, error) && !error;
}

// The command and the places it is about: what jobs of different selections have in common.
std::string place_of(const Invocation& invocation, const JobPlan& plan) {
  return fmt::format("{}\n{}", invocation.path(), plan.identity);
}

std::string identity_of(const Invocation& invocation, const JobPlan& plan) {
  std::string identity = place_of(invocation, plan);
  for (const std::string_view flag : kAskedFor) {
    if (const auto value = invocation.value(flag)) identity += fmt::format("\n{}={}", flag, *value);
  }
  if (const auto keys = invocation.value("keys-file")) identity += "\n" + file_identity(*keys);
  // Prefixes say what is listed; a number only how.
  const std::string partitions = invocation.value("list-partitions").value_or("auto");
  const auto parsed = bulk::parse_partitions(partitions);
  if (parsed && !parsed->prefixes.empty()) identity += "\nlist-partitions=" + partitions;
  for (const std::string& argument : invocation.arguments()) identity += "\n" + argument;
  return identity;
}

std::int64_t unix_time() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

store::WireStats sum(const std::vector<const KvStore*>& stores) {
  store::WireStats all;
  std::set<const store::Backend*> seen;
  for (const KvStore* kv : stores) {
    if (!seen.insert(kv->opened.backend.get()).second) continue;
    const store::WireStats one = kv->opened.wire_stats();
    all.gate.sent += one.gate.sent;
    all.gate.throttled += one.gate.throttled;
    all.gate.waited += one.gate.waited;
    all.gate.concurrency = std::max(all.gate.concurrency, one.gate.concurrency);
    all.gate.opens_at = std::max(all.gate.opens_at, one.gate.opens_at);
    all.retries += one.retries;
    all.bytes_sent += one.bytes_sent;
    all.bytes_received += one.bytes_received;
    if (all.trouble.empty()) all.trouble = one.trouble;
  }
  return all;
}

}  // namespace

std::uint64_t peak_memory() {
  // VmHWM, not ru_maxrss: that one begins with what the parent held before exec.
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    std::uint64_t kilobytes = 0;
    if (std::sscanf(line.c_str(), "VmHWM: %" SCNu64, &kilobytes) == 1) return kilobytes * 1024;
  }
  return 0;
}

std::string file_identity(const std::string& path) {
  std::error_code error;
  const auto real = std::filesystem::canonical(path, error);
  if (error) return path;
  const auto size = std::filesystem::file_size(real, error);
  // One that was written anew since may be as long and hold something else.
  std::error_code no_time;
  const auto changed = std::filesystem::last_write_time(real, no_time).time_since_epoch().count();
  return fmt::format("{}\n{}\n{}", real.string(), error ? 0 : size, no_time ? 0 : changed);
}

bulk::Selection selection_from(const Invocation& invocation) {
  return {.prefix = invocation.value("prefix").value_or(""),
          .pattern = invocation.value("pattern"),
          .search = invocation.value("search"),
          .tag_field = invocation.value("tag-field"),
          .tag_value = invocation.value("tag-value"),
          .keys_file = invocation.value("keys-file"),
          .keys_end_in_nul = invocation.on("null"),
          .all = invocation.on("all"),
          .limit = invocation.count("limit")};
}

KvJob::KvJob(Context& context, const Invocation& invocation, JobPlan plan)
    : context_(context),
      invocation_(invocation),
      plan_(std::move(plan)),
      retrier_(context.stop, {}, std::random_device{}()),
      display_(context.loop.executor(), context.progress, context.console,
               progress_style(invocation.value("progress").value_or("auto"), invocation.on("json"),
                              context.console)),
      begun_(io::Clock::now()) {}

Result<std::unique_ptr<KvJob>> KvJob::begin(Context& context, const Invocation& invocation,
                                            const JobPlan& plan) {
  const std::string keys = invocation.value("keys-file").value_or("");
  const std::string failed = invocation.value("failures").value_or("");
  if (!failed.empty() && same_file(keys, failed)) {
    return fail(ErrorCode::invalid_argument,
                "--keys-file and --failures are the same file, which would be read and written at "
                "once: name another one for the failures");
  }
  std::unique_ptr<KvJob> self(new KvJob(context, invocation, plan));
  // What came through a pipe is gone when the job is resumed.
  if (keys == "-") {
    if (invocation.on("resume")) {
      return fail(ErrorCode::invalid_argument,
                  "--resume needs the keys again: give them in a file instead of stdin");
    }
    self->plan_.resumable = false;
  }
  if (self->plan_.resumable && !invocation.on("dry-run")) {
    if (auto opened = self->open_journal(); !opened) return std::unexpected(opened.error());
  }
  auto partitions = bulk::parse_partitions(invocation.value("list-partitions").value_or("auto"));
  if (!partitions) return std::unexpected(partitions.error());
  if (!partitions->prefixes.empty()) {
    context.console.say("the listing is complete only if every key begins with one of these: {}",
                        printable(fmt::format("{}", fmt::join(partitions->prefixes, ", "))));
  }
  bulk::JobSettings settings;
  settings.partitions = std::move(*partitions);
  settings.concurrency = std::max<std::uint64_t>(1, invocation.count("concurrency").value_or(10));
  if (const auto size = invocation.count("batch-size"))
    settings.batch_size = std::max<std::uint64_t>(1, *size);
  settings.in_flight_bytes =
      std::max<std::uint64_t>(1, invocation.size("in-flight").value_or(32u << 20));
  std::string failures = invocation.value("failures").value_or("");
  if (failures.empty() && self->journal_) failures = self->journal_->failure_path();
  self->job_.reset(new bulk::Job{.executor = context.loop.executor(),
                                 .stop = context.stop,
                                 .log = context.log,
                                 .progress = context.progress,
                                 .retrier = self->retrier_,
                                 .settings = settings,
                                 .journal = self->journal_ ? &*self->journal_ : nullptr,
                                 .failure_path = std::move(failures)});
  return self;
}

Result<> KvJob::open_journal() {
  const bulk::JobFolder folder(context_.folders.jobs());
  folder.prune(unix_time(), bulk::JobFolder::kept_seconds);
  const std::string identity = identity_of(invocation_, plan_);
  std::optional<std::string> id = context_.resume_job;
  if (!id && invocation_.on("resume")) {
    id = folder.find_unfinished(identity);
    if (!id) {
      if (auto checked = look_for_another(folder, identity); !checked) return checked;
    }
  }
  if (id) {
    auto journal = folder.resume(*id);
    if (!journal) return std::unexpected(journal.error());
    if (journal->header().identity != identity) {
      return fail(ErrorCode::conflict,
                  "job {} was another piece of work (other store, namespace, selection or output): "
                  "run its own command with --resume, or `sluice jobs resume {}`",
                  *id, *id);
    }
    journal_.emplace(std::move(*journal));
    resumed_ = true;
    if (const bulk::Checkpoint* from = resumed_from()) {
      context_.console.say("resuming job {}: {} of {} matched so far were {}", *id,
                           format_count(from->counts.done), format_count(from->counts.selected),
                           plan_.verb);
    } else {
      context_.console.say("resuming job {} from its beginning", *id);
    }
    return {};
  }
  if (const auto unfinished = folder.find_unfinished(identity)) {
    context_.console.warn(
        "job {} was the same and did not finish: `sluice jobs resume {}` goes on with it, with "
        "what "
        "it has still to do; this run begins anew and knows nothing of it",
        *unfinished, *unfinished);
  }
  std::vector<std::string> words = invocation_.words(kNotResumed);
  words.insert(words.begin(), "--store=" + plan_.store);
  std::error_code ignored;
  auto journal = folder.create(
      {.id = {},
       .command = std::string(invocation_.path()),
       .words = std::move(words),
       .folder = std::filesystem::current_path(ignored).string(),
       .output = plan_.output.empty() ? std::string()
                                      : std::filesystem::absolute(plan_.output, ignored).string(),
       .identity = identity,
       .format = plan_.format,
       .created = 0});
  if (!journal) return std::unexpected(journal.error());
  journal_.emplace(std::move(*journal));
  return {};
}

// There is nothing to resume. Perhaps there is a job that differs in what it was asked for only:
// the user should know that this one is not its continuation.
Result<> KvJob::look_for_another(const bulk::JobFolder& folder, const std::string& identity) {
  std::error_code ignored;
  const std::string output = plan_.output.empty()
                                 ? std::string()
                                 : std::filesystem::absolute(plan_.output, ignored).string();
  const std::string place = place_of(invocation_, plan_);
  for (const bulk::JobSummary& job : folder.list()) {
    if (job.state == bulk::JobState::running && job.header.identity == identity) {
      return fail(ErrorCode::conflict,
                  "job {} does this already, in another process: wait for it, or stop that one",
                  job.header.id);
    }
    if (job.state != bulk::JobState::unfinished) continue;
    if (!output.empty() && job.header.output == output) {
      return fail(
          ErrorCode::conflict,
          "job {} is unfinished and writes {} too, but for another selection or store, so "
          "it is not continued by this command. Continue it with `sluice jobs resume {}`, or "
          "give it up with `sluice jobs remove {}`.",
          job.header.id, printable(output), job.header.id, job.header.id);
    }
    if (job.header.identity == place || job.header.identity.starts_with(place + "\n")) {
      context_.console.say(
          "job {} is unfinished, but was asked for something else, so it is not continued: this is "
          "a "
          "new job (`sluice jobs resume {}` continues that one)",
          job.header.id, job.header.id);
      return {};
    }
  }
  return {};
}

void KvJob::note_batch_size(std::size_t most) {
  const auto& asked = job_->settings.batch_size;
  if (asked && *asked > most) {
    context_.console.detail("--batch-size {}: a call of this store carries {} at most",
                            format_count(*asked), format_count(most));
  }
}

KvJob::~KvJob() {
  // It ended before the work began.
  if (journal_ && !told_ && !resumed_) leave_no_job();
}

void KvJob::leave_no_job() {
  const std::string which = id();
  // What cannot be removed now shows as a job that failed, or as an unfinished one, which is
  // removed by hand.
  (void)journal_->finish(bulk::JobState::failed, "did not begin");
  if (job_) job_->journal = nullptr;
  journal_.reset();
  (void)bulk::JobFolder(context_.folders.jobs()).remove(which);
}

std::string KvJob::id() const {
  return journal_ ? journal_->header().id : std::string();
}

std::string KvJob::format() const {
  return journal_ ? journal_->header().format : std::string();
}

const bulk::Checkpoint* KvJob::resumed_from() const {
  return journal_ && journal_->resumed_from() ? &*journal_->resumed_from() : nullptr;
}

boost::json::object KvJob::report_object(const bulk::Report& report, double seconds,
                                         const store::WireStats& wire) const {
  boost::json::object object{{"command", invocation_.path()},
                             {"complete", !report.ended_early.has_value()},
                             {"dry_run", invocation_.on("dry-run")},
                             {"listed", report.counts.listed},
                             {"selected", report.counts.selected},
                             {"done", report.counts.done},
                             {"failed", report.counts.failed},
                             {"skipped", report.counts.skipped},
                             {"milliseconds", static_cast<std::int64_t>(seconds * 1000)}};
  add_wire(object, wire);
  object["peak_memory_bytes"] = peak_memory();
  if (journal_) object["job"] = id();
  if (report.ended_early) {
    object["error"] = boost::json::object{{"code", name(report.ended_early->code)},
                                          {"message", report.ended_early->message}};
  }
  if (!report.reasons.empty()) {
    boost::json::array reasons;
    for (const bulk::FailureReason& reason : report.reasons) {
      reasons.push_back(boost::json::object{{"error", reason.message}, {"keys", reason.keys}});
    }
    object["reasons"] = std::move(reasons);
  }
  if (!report.failure_file.empty()) object["failed_keys_file"] = report.failure_file;
  return object;
}

void KvJob::tell(const bulk::Report& report, double seconds, const store::WireStats& wire) {
  Console& console = context_.console;
  const bulk::Counts& counts = report.counts;
  std::string line =
      fmt::format("{}{} {} of {} {}, {} listed", invocation_.on("dry-run") ? "would have " : "",
                  plan_.verb, format_count(counts.done), format_count(counts.selected),
                  plan_.matched, format_count(counts.listed));
  if (counts.failed > 0) line += fmt::format(", {} failed", format_count(counts.failed));
  if (counts.skipped > 0) {
    line += fmt::format(", {} skipped ({})", format_count(counts.skipped), plan_.skipped);
  }
  line += fmt::format(", in {:.1f} s", seconds);
  line += wire_text(wire);
  line += fmt::format("; peak memory {}", format_bytes(peak_memory()));
  console.say("{}", line);
  for (std::size_t i = 0; i < std::min(report.reasons.size(), kMostReasons); ++i) {
    console.warn("  {} failed: {}", format_count(report.reasons[i].keys),
                 printable(report.reasons[i].message));
  }
  if (report.reasons.size() > kMostReasons) {
    console.warn("  and {} other reasons", report.reasons.size() - kMostReasons);
  }
  if (!report.failure_file.empty()) {
    console.warn("  the failed keys are in {} (try them again with --keys-file)",
                 report.failure_file);
  }
}

void KvJob::show_progress(const std::vector<const KvStore*>& stores, bool seen_otherwise) {
  shown_ = stores;
  if (seen_otherwise) {
    display_.set_style(
        trouble_style(invocation_.value("progress").value_or("auto"), context_.console));
  }
  show_progress_again();
}

void KvJob::show_progress_again() {
  display_.start([this] { return traffic_of(sum(shown_)); });
}

ExitCode KvJob::finish(const bulk::Report& report, const std::vector<const KvStore*>& stores,
                       const boost::json::object& extra) {
  told_ = true;
  const double seconds = std::chrono::duration<double>(io::Clock::now() - begun_).count();
  const store::WireStats wire = sum(stores);
  // Of a run that was refused before it began, the refusal says it all.
  if (!report.ended_early || report.counts.selected > 0) tell(report, seconds, wire);
  if (report.ended_early) {
    context_.console.error(*report.ended_early);
    if (report.resumable) context_.console.warn("Continue with: sluice jobs resume {}", id());
  }
  const bool began = report.counts.done + report.counts.failed + report.counts.skipped > 0;
  if (report.refused && !began && journal_ && !resumed_) leave_no_job();
  if (invocation_.on("json") && plan_.json_to_stdout) {
    boost::json::object object = report_object(report, seconds, wire);
    for (const auto& member : extra) object.insert(member);
    print(boost::json::serialize(object) + "\n");
  }
  return exit_code(report);
}

}  // namespace sluice::cli
