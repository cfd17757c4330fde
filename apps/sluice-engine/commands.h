// The commands, one function each. Every function runs one understood command line and returns the
// exit code; what went wrong has been said on stderr.
#pragma once

#include "base/error.h"
#include "context.h"

namespace sluice::cli {

ExitCode run_kv_namespace_list(Context& context, const Invocation& invocation);
ExitCode run_kv_namespace_create(Context& context, const Invocation& invocation);
ExitCode run_kv_namespace_rename(Context& context, const Invocation& invocation);
ExitCode run_kv_namespace_delete(Context& context, const Invocation& invocation);
ExitCode run_kv_list(Context& context, const Invocation& invocation);
ExitCode run_kv_get(Context& context, const Invocation& invocation);
ExitCode run_kv_put(Context& context, const Invocation& invocation);
ExitCode run_kv_delete(Context& context, const Invocation& invocation);
ExitCode run_kv_export(Context& context, const Invocation& invocation);
ExitCode run_kv_import(Context& context, const Invocation& invocation);
ExitCode run_kv_copy(Context& context, const Invocation& invocation);
ExitCode run_kv_sync(Context& context, const Invocation& invocation);
ExitCode run_kv_stats(Context& context, const Invocation& invocation);

ExitCode run_kv_purge(Context& context, const Invocation& invocation);

ExitCode run_purge_everything(Context& context, const Invocation& invocation);
ExitCode run_purge_files(Context& context, const Invocation& invocation);
ExitCode run_purge_tags(Context& context, const Invocation& invocation);
ExitCode run_purge_hosts(Context& context, const Invocation& invocation);
ExitCode run_purge_prefixes(Context& context, const Invocation& invocation);
ExitCode run_zones_list(Context& context, const Invocation& invocation);
ExitCode run_zones_get(Context& context, const Invocation& invocation);

ExitCode run_serve(Context& context, const Invocation& invocation);

ExitCode run_jobs_list(Context& context, const Invocation& invocation);
ExitCode run_jobs_show(Context& context, const Invocation& invocation);
ExitCode run_jobs_resume(Context& context, const Invocation& invocation);
ExitCode run_jobs_remove(Context& context, const Invocation& invocation);

ExitCode run_config_init(Context& context, const Invocation& invocation);
ExitCode run_config_show(Context& context, const Invocation& invocation);
ExitCode run_config_path(Context& context, const Invocation& invocation);
ExitCode run_doctor(Context& context, const Invocation& invocation);
ExitCode run_tree(Context& context, const Invocation& invocation);
ExitCode run_completion(Context& context, const Invocation& invocation);
ExitCode run_help(Context& context, const Invocation& invocation);
ExitCode run_man(Context& context, const Invocation& invocation);
ExitCode run_version(Context& context, const Invocation& invocation);
ExitCode run_demo(Context& context, const Invocation& invocation);

// Says `error` and returns its exit code.
ExitCode report_error(Context& context, const Error& error);

// The function of the command with this path, or nullptr.
using CommandFunction = ExitCode (*)(Context&, const Invocation&);
[[nodiscard]] CommandFunction find_command_function(std::string_view path);

}  // namespace sluice::cli
