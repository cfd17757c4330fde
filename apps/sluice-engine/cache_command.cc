#include "cache_command.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>

#include "bulk/selection.h"
#include "cache_batch_json.h"
#include "commands.h"
#include "consent.h"
#include "shared_commands.h"

namespace sluice::cli {

namespace {

using cache_cli::Session;

int run_cache_batch(Context&, Session& session) {
  if (session.invocation().on("null")) {
    cache_cli::NulFormat format(STDIN_FILENO);
    return cache_cli::run_batch(session, format);
  }
  JsonFormat format(STDIN_FILENO, session.spool_folders(), session.dry_run());
  return cache_cli::run_batch(session, format);
}

// A command of the front as one of the engine.
template <int (*run)(Session&)>
int shared(Context&, Session& session) {
  return run(session);
}

struct CacheFunction {
  std::string_view path;
  int (*run)(Context&, Session&);
};
constexpr std::array kFunctions{
    CacheFunction{"cache get", shared<cache_cli::run_get>},
    CacheFunction{"cache set", shared<cache_cli::run_set>},
    CacheFunction{"cache delete", shared<cache_cli::run_delete>},
    CacheFunction{"cache exec", shared<cache_cli::run_exec>},
    CacheFunction{"cache batch", run_cache_batch},
    CacheFunction{"cache list", run_cache_list},
    CacheFunction{"cache size", shared<cache_cli::run_size>},
    CacheFunction{"cache stats", run_cache_stats},
    CacheFunction{"cache limit", run_cache_limit},
    CacheFunction{"cache gc", run_cache_gc},
    CacheFunction{"cache verify", run_cache_verify},
    CacheFunction{"cache repair", run_cache_repair},
    CacheFunction{"cache lock", shared<cache_cli::run_lock>},
    CacheFunction{"cache health", run_cache_health},
    CacheFunction{"cache clear", run_cache_clear},
};

Result<cache_cli::EngineParts::Matcher> compile_pattern(const std::string& pattern) {
  auto filter = bulk::Filter::compile({.pattern = pattern});
  if (!filter) return std::unexpected(filter.error());
  return [shared = std::make_shared<bulk::Filter>(std::move(*filter))](std::string_view key) {
    return shared->matches(key, {});
  };
}

// The same as the front's, and the folders of a user who has no HOME.
Getenv cache_environment(const Context& context) {
  return [&context](std::string_view name) -> std::optional<std::string> {
    if (name != "XDG_CACHE_HOME") return context.environment(name);
    const std::string& folder = context.folders.cache;
    return folder.substr(0, folder.rfind('/'));
  };
}

}  // namespace

bool runs_a_command(std::span<const std::string> words) {
  const auto end = std::ranges::find(words, "--");
  const auto cache = std::find(words.begin(), end, "cache");
  if (cache == end || cache + 1 == end) return false;
  return *(cache + 1) == "exec" || *(cache + 1) == "lock";
}

ExitCode run_cache(Context& context, const Invocation& invocation) {
  const auto function = std::ranges::find(kFunctions, invocation.path(), &CacheFunction::path);
  const Getenv environment = cache_environment(context);
  auto session = Session::begin(
      invocation, environment, context.umask,
      {.compile_pattern = compile_pattern, .confirm = [&](std::string question) -> Result<> {
         if (!context.console.interactive()) {
           return fail(ErrorCode::invalid_argument, "--interactive needs a terminal to ask on");
         }
         const RunGuard guard = context.guard();
         return context.loop.run(confirm(context, std::move(question), "deleted"));
       }});
  if (!session) {
    const ExitCode code = report_error(context, session.error());
    const bool runs = invocation.path() == "cache exec" || invocation.path() == "cache lock";
    return runs ? static_cast<ExitCode>(cache_cli::kOwnFailure) : code;
  }
  return static_cast<ExitCode>(function->run(context, *session));
}

}  // namespace sluice::cli
