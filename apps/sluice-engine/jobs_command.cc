// sluice jobs list|show|resume|remove
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <cerrno>
#include <utility>

#include "base/shell.h"
#include "base/size.h"
#include "base/timestamp.h"
#include "base/utf8.h"
#include "bulk/job_log.h"
#include "cdn/item_spool.h"
#include "command_line.h"
#include "commands.h"
#include "table.h"

namespace sluice::cli {

namespace {

Error usage(std::string message) {
  return {ErrorCode::invalid_argument, Retry::never, std::nullopt, std::move(message)};
}

// The cache tags of deleted keys that the job (`kv purge`) has still to purge. What cannot be read
// just now is told by the job itself when it is resumed.
std::uint64_t tags_left(const bulk::JobFolder& folder, std::string_view id) {
  return cdn::ItemSpool::count_left(folder.tags_path(id)).value_or(0);
}

boost::json::object job_object(const bulk::JobFolder& folder, const bulk::JobSummary& job) {
  boost::json::object object{{"job", job.header.id},
                             {"command", job.header.command},
                             {"state", name(job.state)},
                             {"created", format_timestamp(job.header.created)},
                             {"listed", job.checkpoint.counts.listed},
                             {"selected", job.checkpoint.counts.selected},
                             {"done", job.checkpoint.counts.done},
                             {"failed", job.checkpoint.counts.failed},
                             {"skipped", job.checkpoint.counts.skipped}};
  if (const std::uint64_t tags = tags_left(folder, job.header.id)) object["tags_left"] = tags;
  boost::json::array arguments;
  for (const std::string& word : job.header.words) arguments.emplace_back(printable(word));
  object["arguments"] = std::move(arguments);
  if (!job.reason.empty()) object["reason"] = printable(job.reason);
  return object;
}

std::string command_line_of(const bulk::JobSummary& job) {
  std::string line = "sluice " + job.header.command;
  for (const std::string& word : job.header.words) line += " " + shell_quoted(word);
  return line;
}

// The job whose id is `text` or the only one whose id begins or ends with it.
Result<std::string> find_job(const bulk::JobFolder& folder, const std::string& text) {
  std::vector<std::string> matching;
  for (const bulk::JobSummary& job : folder.list()) {
    if (job.header.id == text) return text;
    if (job.header.id.starts_with(text) || job.header.id.ends_with(text)) {
      matching.push_back(job.header.id);
    }
  }
  if (matching.size() == 1) return matching.front();
  if (matching.empty()) {
    return fail(ErrorCode::not_found, "there is no job \"{}\": see `sluice jobs list`",
                printable(text));
  }
  return fail(ErrorCode::invalid_argument, "{} jobs fit \"{}\": name one by its whole id",
              matching.size(), printable(text));
}

std::vector<std::string> words_of(std::string_view path) {
  std::vector<std::string> words;
  while (!path.empty()) {
    const std::size_t space = path.find(' ');
    words.emplace_back(path.substr(0, space));
    path.remove_prefix(space == std::string_view::npos ? path.size() : space + 1);
  }
  return words;
}

}  // namespace

ExitCode run_jobs_list(Context& context, const Invocation& invocation) {
  const bulk::JobFolder folder(context.folders.jobs());
  const auto jobs = folder.list();
  if (invocation.on("json")) {
    for (const bulk::JobSummary& job : jobs) {
      print(boost::json::serialize(job_object(folder, job)) + "\n");
    }
    return ExitCode::done;
  }
  Table table({{"JOB"},
               {"STATE"},
               {"SELECTED", Table::Align::right},
               {"DONE", Table::Align::right},
               {"FAILED", Table::Align::right},
               {"TAGS LEFT", Table::Align::right},
               {"COMMAND"}});
  for (const bulk::JobSummary& job : jobs) {
    const std::uint64_t tags = tags_left(folder, job.header.id);
    table.add({job.header.id, std::string(name(job.state)),
               format_count(job.checkpoint.counts.selected),
               format_count(job.checkpoint.counts.done), format_count(job.checkpoint.counts.failed),
               tags > 0 ? format_count(tags) : "", command_line_of(job)});
  }
  print(table.text(context.console.stdout_is_terminal() ? context.console.width() : 0));
  if (jobs.empty()) context.console.say("no job has left a journal");
  return ExitCode::done;
}

ExitCode run_jobs_show(Context& context, const Invocation& invocation) {
  const bulk::JobFolder folder(context.folders.jobs());
  const auto id = find_job(folder, invocation.arguments().front());
  if (!id) return report_error(context, id.error());
  const auto job = folder.show(*id);
  if (!job) return report_error(context, job.error());
  if (invocation.on("json")) {
    print(boost::json::serialize(job_object(folder, *job)) + "\n");
    return ExitCode::done;
  }
  const bulk::Counts& counts = job->checkpoint.counts;
  Table table({{""}, {""}});
  table.add({"job", job->header.id});
  table.add({"state", std::string(name(job->state))});
  if (!job->reason.empty()) table.add({"because", job->reason});
  table.add({"begun", format_timestamp(job->header.created)});
  table.add({"command", command_line_of(*job)});
  table.add({"in folder", job->header.folder});
  table.add({"listed", format_count(counts.listed)});
  table.add({"selected", format_count(counts.selected)});
  table.add({"done", format_count(counts.done)});
  table.add({"failed", format_count(counts.failed)});
  table.add({"skipped", format_count(counts.skipped)});
  if (const std::uint64_t tags = tags_left(folder, *id)) {
    table.add({"tags left", format_count(tags) + " to purge (resuming the job does so)"});
  }
  if (job->state == bulk::JobState::unfinished) {
    table.add({"continue with", fmt::format("sluice jobs resume {}", job->header.id)});
  }
  const std::string text = table.text();
  print(text.substr(text.find('\n') + 1));
  return ExitCode::done;
}

ExitCode run_jobs_resume(Context& context, const Invocation& invocation) {
  const bulk::JobFolder folder(context.folders.jobs());
  const auto id = find_job(folder, invocation.arguments().front());
  if (!id) return report_error(context, id.error());
  const auto job = folder.show(*id);
  if (!job) return report_error(context, job.error());
  // The flags given now come first of those that tell how, such as --yes and --concurrency; the
  // words of the job tell what.
  std::vector<std::string> words = words_of(job->header.command);
  constexpr std::array<std::string_view, 0> kNothing{};
  std::vector<std::string> given = invocation.words(kNothing);
  given.erase(std::find(given.begin(), given.end(), "--"), given.end());
  // A flag that the job's command does not have, such as --yes for an export, changes nothing.
  const Command* command = find_command(job->header.command);
  std::erase_if(given, [&](const std::string& word) {
    const std::string name = word.substr(2, word.find('=') - 2);
    return command != nullptr && find_flag(*command, name) == nullptr;
  });
  const auto arguments = std::find(job->header.words.begin(), job->header.words.end(), "--");
  words.insert(words.end(), job->header.words.begin(), arguments);
  words.insert(words.end(), given.begin(), given.end());
  words.insert(words.end(), arguments, job->header.words.end());
  if (::chdir(job->header.folder.c_str()) != 0) {
    return report_error(context, system_error(errno, fmt::format("go to {}", job->header.folder)));
  }
  auto resumed = parse_command_line(words, context.environment);
  if (!resumed) return report_error(context, resumed.error());
  // The job may have been told to use another config file.
  if (const auto path = resumed->value("config"); path && *path != context.config_path) {
    auto config = read_config(*path, true);
    if (!config) return report_error(context, config.error());
    context.config = std::move(*config);
    context.config_path = *path;
  }
  resumed->use(context.config);
  const CommandFunction function = find_command_function(resumed->path());
  if (function == nullptr)
    return report_error(context, usage("the job's command is not known any more"));
  context.resume_job = *id;
  // From here on, credentials, budget and time-outs are those of the job.
  context.invocation = &*resumed;
  return function(context, *resumed);
}

ExitCode run_jobs_remove(Context& context, const Invocation& invocation) {
  const bulk::JobFolder folder(context.folders.jobs());
  std::vector<std::string> ids;
  if (invocation.on("finished")) {
    for (const bulk::JobSummary& job : folder.list()) {
      if (job.state == bulk::JobState::finished || job.state == bulk::JobState::failed) {
        ids.push_back(job.header.id);
      }
    }
  }
  for (const std::string& argument : invocation.arguments()) {
    const auto id = find_job(folder, argument);
    if (!id) return report_error(context, id.error());
    ids.push_back(*id);
  }
  if (!invocation.on("finished") && invocation.arguments().empty()) {
    return report_error(context, usage("name the jobs to remove, or --finished"));
  }
  // What is unfinished cannot be resumed any more; and stale pages stay in caches.
  std::uint64_t unfinished = 0;
  std::uint64_t tags = 0;
  for (const std::string& id : ids) {
    const auto job = folder.show(id);
    if (!job || job->state != bulk::JobState::unfinished) continue;
    ++unfinished;
    tags += tags_left(folder, id);
  }
  if (unfinished > 0 && !invocation.on("yes") && !invocation.on("dry-run")) {
    const std::string lost = tags > 0 ? fmt::format(", and would purge {} of deleted keys",
                                                    format_count(tags, "cache tag"))
                                      : std::string();
    if (!context.console.interactive()) {
      return report_error(context, usage(fmt::format("{} of these jobs could still be resumed{}: "
                                                     "--yes removes them all the same",
                                                     unfinished, lost)));
    }
    const auto yes = context.loop.run(context.console.confirm(
        context.stop, fmt::format("Remove {}, {} of which could still be resumed{}?",
                                  format_count(ids.size(), "job"), unfinished, lost)));
    if (!yes || !*yes) return report_error(context, usage("not confirmed: nothing was removed"));
  }
  for (const std::string& id : ids) {
    const std::uint64_t lost = tags_left(folder, id);
    if (!invocation.on("dry-run")) {
      if (auto removed = folder.remove(id); !removed) return report_error(context, removed.error());
    }
    context.console.say("{} job {}{}", invocation.on("dry-run") ? "would remove" : "removed", id,
                        lost > 0 ? fmt::format(" with {} that it had still to purge",
                                               format_count(lost, "cache tag"))
                                 : std::string());
  }
  return ExitCode::done;
}

}  // namespace sluice::cli
