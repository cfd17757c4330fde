#include "commands.h"

#include <array>
#include <utility>

#include "cache_command.h"

namespace sluice::cli {

namespace {

constexpr std::array<std::pair<std::string_view, CommandFunction>, 36> kFunctions{{
    {"kv namespace list", run_kv_namespace_list},
    {"kv namespace create", run_kv_namespace_create},
    {"kv namespace rename", run_kv_namespace_rename},
    {"kv namespace delete", run_kv_namespace_delete},
    {"kv list", run_kv_list},
    {"kv get", run_kv_get},
    {"kv put", run_kv_put},
    {"kv delete", run_kv_delete},
    {"kv export", run_kv_export},
    {"kv import", run_kv_import},
    {"kv copy", run_kv_copy},
    {"kv sync", run_kv_sync},
    {"kv stats", run_kv_stats},
    {"serve", run_serve},
    {"kv purge", run_kv_purge},
    {"purge everything", run_purge_everything},
    {"purge files", run_purge_files},
    {"purge tags", run_purge_tags},
    {"purge hosts", run_purge_hosts},
    {"purge prefixes", run_purge_prefixes},
    {"zones list", run_zones_list},
    {"zones get", run_zones_get},
    {"jobs list", run_jobs_list},
    {"jobs show", run_jobs_show},
    {"jobs resume", run_jobs_resume},
    {"jobs remove", run_jobs_remove},
    {"config init", run_config_init},
    {"config show", run_config_show},
    {"config path", run_config_path},
    {"doctor", run_doctor},
    {"tree", run_tree},
    {"completion", run_completion},
    {"help", run_help},
    {"man", run_man},
    {"version", run_version},
    {"demo", run_demo},
}};

}  // namespace

ExitCode report_error(Context& context, const Error& error) {
  // What a stop has cut off would have been tried again: the stop is the reason.
  const bool cut_off = context.stop.requested() && error.retry == Retry::again;
  const Error& reason = cut_off ? context.stop.reason() : error;
  context.console.error(reason);
  return exit_code(reason.code);
}

CommandFunction find_command_function(std::string_view path) {
  if (path.starts_with("cache ")) return run_cache;
  for (const auto& [name, function] : kFunctions) {
    if (name == path) return function;
  }
  return nullptr;
}

}  // namespace sluice::cli
