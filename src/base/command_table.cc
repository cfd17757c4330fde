// The table itself: nothing but data. To add a command, add its arguments and examples, its own
// flags (base/kv_flags.h and its like), the groups that it shares (base/shared_flags.h), and one
// entry to `all_commands`.

#include "base/cache_commands.h"
#include "base/command.h"
#include "base/kv_flags.h"
#include "base/purge_flags.h"
#include "base/serve_flags.h"
#include "base/shared_flags.h"

namespace sluice {
namespace table {
namespace {

// --- jobs ---------------------------------------------------------------------------------------

constexpr Argument one_job[] = {{.name = "JOB", .help = "the job's id, or the beginning of it"}};
constexpr Argument some_jobs[] = {{.name = "JOB",
                                   .required = false,
                                   .repeatable = true,
                                   .help = "the jobs' ids, or the beginnings of them"}};
constexpr Flag jobs_removed[] = {
    {.name = "finished", .help = "remove all finished jobs"},
};
constexpr FlagGroup jobs_resume_groups[] = {{"Change", change}, {"Work", work}};
constexpr FlagGroup jobs_remove_groups[] = {{"Jobs", jobs_removed}, {"Change", change}};
constexpr Example jobs_examples[] = {{"sluice jobs list", "every job that left a journal"}};
constexpr Example jobs_show_examples[] = {
    {"sluice jobs show 3f2a", "what was asked, how far it is"}};
constexpr Example jobs_resume_examples[] = {{"sluice jobs resume 3f2a", "goes on where it ended"}};
constexpr Example jobs_remove_examples[] = {{"sluice jobs remove --finished", "tidies up"}};

// --- the rest -----------------------------------------------------------------------------------

constexpr Flag overwrite[] = {
    {.name = "yes", .letter = 'y', .alias = "force", .help = "overwrite an existing file"},
};
constexpr FlagGroup config_init_groups[] = {{"Change", overwrite}};
constexpr FlagGroup config_show_groups[] = {{"Store", store_namespace}};
constexpr Example config_init_examples[] = {{"sluice config init", "a commented file to edit"}};
constexpr Example config_show_examples[] = {
    {"sluice config show", "every setting, its value and where it came from; no secrets"}};
constexpr Example config_path_examples[] = {{"$EDITOR \"$(sluice config path)\"", "edit it"}};

constexpr FlagGroup doctor_groups[] = {{"Store", store_namespace}};
constexpr Example doctor_examples[] = {
    {"sluice doctor", "checks the default store"},
    {"sluice doctor --store cloudflare: --json", "checks Cloudflare, for a script"},
};

constexpr Argument shell_argument[] = {
    {.name = "SHELL", .kind = choice, .choices = shells, .help = "bash, zsh or fish"}};
constexpr Example completion_examples[] = {
    {"sluice completion bash > ~/.local/share/bash-completion/completions/sluice", "for bash"},
    {"sluice completion zsh > \"${fpath[1]}/_sluice\"", "for zsh"},
    {"sluice completion fish > ~/.config/fish/completions/sluice.fish", "for fish"},
};

constexpr Flag demo_flags[] = {
    {.name = "entries",
     .value = "N",
     .kind = count,
     .standard = "1000000",
     .help = "how many entries to make"},
    {.name = "yes",
     .letter = 'y',
     .alias = "force",
     .help = "do not ask before replacing the demo's store"},
};
constexpr FlagGroup demo_groups[] = {{"Demo", demo_flags}};
constexpr Example demo_examples[] = {{"sluice demo --yes", "the whole tour, without questions"}};

constexpr Flag tree_flags[] = {
    {.name = "flags", .help = "with every flag"},
};
constexpr FlagGroup tree_groups[] = {{"Output", tree_flags}};
constexpr Example tree_examples[] = {
    {"sluice tree", "every command in one view"},
    {"sluice tree --json", "commands, arguments and flags, for a script"},
};
constexpr Example version_examples[] = {{"sluice version --json", "for a script"}};
constexpr Argument help_arguments[] = {
    {.name = "COMMAND", .required = false, .repeatable = true, .help = "the words of the command"}};
constexpr Example help_examples[] = {{"sluice help kv list", "the same as sluice kv list --help"}};

constexpr Example kv_examples[] = {
    {"sluice kv list --store cloudflare: --namespace sessions --prefix user: --all",
     "keys, a line each"},
    {"sluice kv export --store cloudflare: --namespace sessions -o sessions.ndjson", "a backup"},
    {"sluice kv copy --store cloudflare: --namespace sessions --to sqlite:sessions.db "
     "--create-namespace",
     "from one store to another"},
    {"sluice kv delete --store redis://localhost --prefix tmp: --dry-run", "what would go"},
};
constexpr Example kv_namespace_examples[] = {
    {"sluice kv namespace list --store cloudflare:", "those of the account"},
    {"sluice kv namespace create sessions --store sqlite:cache.db", "a new one in a file"},
};
constexpr Example purge_examples[] = {
    {"sluice purge files https://www.example.com/logo.png", "finds the zone from the host"},
    {"sluice purge tags --zone example.com blog,news", "all that bears one of the tags"},
};
constexpr Example zones_examples[] = {
    {"sluice zones list", "every zone that the credentials can see"},
};
constexpr Example cache_examples[] = {
    {"sluice cache set greeting hello --ttl 5m", "for five minutes"},
    {"sluice cache get greeting || echo miss", "exit code 4 is a miss"},
    {"sluice cache exec --ttl 1h -- curl -fsS https://example.com/rates.json",
     "runs once an hour, and gives out in between what it said then"},
    {"sluice cache lock deploy --timeout 5m -- ./deploy.sh", "one at a time"},
};
constexpr Example jobs_group_examples[] = {
    {"sluice jobs list", "every job that left a journal"},
    {"sluice jobs resume 3f2a", "goes on where it ended"},
};
constexpr Example config_group_examples[] = {
    {"sluice config init", "writes a file to begin with"},
    {"sluice config show", "every setting, its value and where it came from"},
};

constexpr CommandGroup all_groups[] = {
    {"kv", "entries of key-value stores, by the million", kv_examples},
    {"kv namespace", "the namespaces of a store", kv_namespace_examples},
    {"purge", "take things out of Cloudflare's cache", purge_examples},
    {"zones", "the zones whose caches can be purged", zones_examples},
    {"cache", "a local cache for scripts: fast, exact, shared by many processes", cache_examples},
    {"jobs", "bulk runs that left a journal, to look at or to resume", jobs_group_examples},
    {"config", "the config file", config_group_examples},
};

constexpr Command all_commands[] = {
    {.path = "kv namespace list",
     .summary = "list the namespaces of a store",
     .groups = namespace_list_groups,
     .examples = namespace_list_examples},
    {.path = "kv namespace create",
     .summary = "create a namespace",
     .arguments = new_namespace,
     .groups = namespace_change_groups,
     .examples = namespace_create_examples,
     .changes_something = true},
    {.path = "kv namespace rename",
     .summary = "give a namespace another title",
     .arguments = rename_namespace,
     .groups = namespace_change_groups,
     .examples = namespace_rename_examples,
     .changes_something = true},
    {.path = "kv namespace delete",
     .summary = "delete a namespace with all its entries",
     .arguments = old_namespace,
     .groups = namespace_change_groups,
     .examples = namespace_delete_examples,
     .changes_something = true},
    {.path = "kv list",
     .summary = "list keys, with metadata if asked",
     .description =
         "Writes entries while their pages arrive. Without a selection it stops after 1,000 "
         "entries and says so. Searches read the metadata that comes with the pages; they "
         "never ask key by key.",
     .groups = list_groups,
     .examples = list_examples},
    {.path = "kv get",
     .summary = "get values",
     .description =
         "One key's value goes to stdout byte for byte. Exits with 4 when a key does not "
         "exist.",
     .arguments = keys_to_get,
     .groups = get_groups,
     .examples = get_examples},
    {.path = "kv put",
     .summary = "write one entry",
     .description = "Replaces what was under the key, its metadata and expiry included.",
     .arguments = put_arguments,
     .groups = put_groups,
     .examples = put_examples,
     .changes_something = true},
    {.path = "kv delete",
     .summary = "delete the selected entries",
     .description =
         "Needs a selection: keys, flags of the selection, or --all-keys for everything. On "
         "a terminal it shows the count and asks; elsewhere it needs --yes. Deleting an "
         "absent key is a success.",
     .arguments = keys_to_delete,
     .groups = delete_groups,
     .examples = delete_examples,
     .changes_something = true},
    {.path = "kv export",
     .summary = "write the selected entries with their values to a file",
     .description =
         "Without a selection, everything. Values that are not UTF-8 are written as base64.",
     .groups = export_groups,
     .examples = export_examples},
    {.path = "kv import",
     .summary = "write the entries of a file to a store",
     .description =
         "Reads NDJSON, a JSON array as Cloudflare's bulk put and wrangler take, or CSV with "
         "the header key,value,metadata,expiration,…, plain or compressed, of any length.",
     .arguments = import_arguments,
     .groups = import_groups,
     .examples = import_examples,
     .changes_something = true},
    {.path = "kv copy",
     .summary = "copy the selected entries from one store to another",
     .description =
         "Without a selection, everything. Keeps metadata byte for byte, and the expiry.",
     .groups = copy_groups,
     .examples = copy_examples,
     .changes_something = true},
    {.path = "kv sync",
     .summary = "make one store equal to another",
     .description =
         "Writes what the target lacks or has otherwise, by metadata and expiry, with --checksum "
         "by value, too. What only the target has is kept, unless --delete is given; then it is "
         "deleted at the end, and only if both listings were complete and everything was written.",
     .groups = sync_groups,
     .examples = sync_examples,
     .changes_something = true},
    {.path = "kv stats",
     .summary = "count entries and bytes",
     .groups = stats_groups,
     .examples = stats_examples},

    {.path = "kv purge",
     .summary = "delete entries, and purge the pages made of them from the cache",
     .description =
         "Finds the zone first, deletes the selected entries, then purges the cache tags that the "
         "metadata of the deleted ones names. The tags are written down before their entries "
         "go, so that a run that was cut off, resumed, forgets none.",
     .arguments = keys_to_kv_purge,
     .groups = kv_purge_groups,
     .examples = kv_purge_examples,
     .changes_something = true},

    {.path = "purge everything",
     .summary = "purge the whole cache of zones",
     .description = "Always asks, and names the zones; without a terminal it needs --yes.",
     .groups = purge_everything_groups,
     .examples = purge_everything_examples,
     .changes_something = true},
    {.path = "purge files",
     .summary = "purge files by their URLs",
     .description =
         "Without --zone, the zone is found from each URL's host. A URL may hold commas, so it is "
         "never taken for a list. In JSON, {\"url\":…,\"headers\":{…}} is a variant of a file.",
     .arguments = urls_to_purge,
     .groups = purge_files_groups,
     .examples = purge_files_examples,
     .changes_something = true},
    {.path = "purge tags",
     .summary = "purge what bears these cache tags",
     .arguments = tags_to_purge,
     .groups = purge_items_groups,
     .examples = purge_tags_examples,
     .changes_something = true},
    {.path = "purge hosts",
     .summary = "purge everything of these hosts",
     .description = "Without --zone, the zone is found from the host.",
     .arguments = hosts_to_purge,
     .groups = purge_items_groups,
     .examples = purge_hosts_examples,
     .changes_something = true},
    {.path = "purge prefixes",
     .summary = "purge every URL that begins so",
     .description =
         "Without --zone, the zone is found from the host. A comma in an argument parts two "
         "prefixes; one that holds a comma itself comes from a file.",
     .arguments = prefixes_to_purge,
     .groups = purge_items_groups,
     .examples = purge_prefixes_examples,
     .changes_something = true},
    {.path = "zones list",
     .summary = "list the zones that the credentials can see",
     .groups = zones_list_groups,
     .examples = zones_list_examples},
    {.path = "zones get",
     .summary = "show a zone",
     .arguments = zone_argument,
     .groups = zones_get_groups,
     .examples = zones_get_examples},

    {.path = "serve",
     .summary = "serve a store over HTTP",
     .description =
         "With --cloudflare: the REST API of Workers KV, for wrangler and whatever else speaks it. "
         "Also /healthz, /readyz and /metrics (Prometheus). Without --token-file anybody who "
         "reaches it may do everything, so then it listens on the loopback only. SIGTERM or Ctrl-C "
         "stops it: what is under way is answered.",
     .groups = serve_groups,
     .examples = serve_examples},

    cache_get,
    cache_set,
    cache_delete,
    cache_exec,
    cache_batch,
    cache_list,
    cache_size,
    cache_stats,
    cache_limit,
    cache_gc,
    cache_verify,
    cache_repair,
    cache_lock,
    cache_health,
    cache_clear,

    {.path = "jobs list",
     .summary = "list the jobs that left a journal",
     .examples = jobs_examples},
    {.path = "jobs show",
     .summary = "show what a job was asked and how far it is",
     .arguments = one_job,
     .examples = jobs_show_examples},
    {.path = "jobs resume",
     .summary = "continue an unfinished job",
     .arguments = one_job,
     .groups = jobs_resume_groups,
     .examples = jobs_resume_examples,
     .changes_something = true},
    {.path = "jobs remove",
     .summary = "remove the journals of jobs, which can then not be resumed",
     .arguments = some_jobs,
     .groups = jobs_remove_groups,
     .examples = jobs_remove_examples,
     .changes_something = true},

    {.path = "config init",
     .summary = "write a commented config file",
     .groups = config_init_groups,
     .examples = config_init_examples,
     .changes_something = true},
    {.path = "config show",
     .summary = "show the settings in effect and where each came from",
     .groups = config_show_groups,
     .examples = config_show_examples},
    {.path = "config path",
     .summary = "print where the config file is",
     .examples = config_path_examples},

    {.path = "doctor",
     .summary = "check config, credentials, store, clock and disk",
     .description =
         "Says of each thing whether it is in order, and if not, what to do. Exits with 1 "
         "when a check fails.",
     .groups = doctor_groups,
     .examples = doctor_examples},
    {.path = "tree",
     .summary = "show all commands in one view",
     .groups = tree_groups,
     .examples = tree_examples},
    {.path = "completion",
     .summary = "print a completion script for a shell",
     .arguments = shell_argument,
     .examples = completion_examples},
    {.path = "demo",
     .summary = "see the main job at work on a million entries",
     .description = "Runs the real commands on a store of its own in the cache folder, prints each "
                    "before it runs, and checks every count.",
     .groups = demo_groups,
     .examples = demo_examples,
     .changes_something = true},
    {.path = "version", .summary = "print the version", .examples = version_examples},
    {.path = "help",
     .summary = "show the help of a command",
     .arguments = help_arguments,
     .examples = help_examples},
    {.path = "man", .summary = "print the manual page (roff)", .hidden = true},
};

constexpr FlagGroup global_group{"Every command", every_command};

}  // namespace
}  // namespace table

std::span<const Command> commands() {
  return table::all_commands;
}
std::span<const CommandGroup> command_groups() {
  return table::all_groups;
}
const FlagGroup& global_flags() {
  return table::global_group;
}

}  // namespace sluice
