// The table itself: nothing but data. To add a command, add its arguments and examples, its own
// flags, the groups that it shares (base/shared_flags.h), and one entry to `all_commands`.

#include "base/cache_commands.h"
#include "base/command.h"
#include "base/purge_flags.h"
#include "base/shared_flags.h"

namespace sluice {
namespace table {
namespace {

// --- kv -----------------------------------------------------------------------------------------

constexpr FlagGroup namespace_list_groups[] = {{"Store", store_place}};
constexpr FlagGroup namespace_change_groups[] = {{"Store", store_place}, {"Change", change}};
constexpr Argument new_namespace[] = {{.name = "TITLE", .help = "the title of the new namespace"}};
constexpr Argument rename_namespace[] = {
    {.name = "NAME", .help = "the namespace, by its title or id"},
    {.name = "TITLE", .help = "its new title"}};
constexpr Argument old_namespace[] = {
    {.name = "NAME", .help = "the namespace, by its title or id"}};
constexpr Example namespace_list_examples[] = {
    {"sluice kv namespace list --store cloudflare:", "all namespaces of the Cloudflare account"},
};
constexpr Example namespace_create_examples[] = {
    {"sluice kv namespace create sessions", "a new namespace in the embedded store"},
};
constexpr Example namespace_rename_examples[] = {
    {"sluice kv namespace rename sessions old-sessions", "keeps its entries"},
};
constexpr Example namespace_delete_examples[] = {
    {"sluice kv namespace delete old-sessions --dry-run", "says what would go"},
    {"sluice kv namespace delete old-sessions --yes", "removes it with all its entries"},
};

constexpr Flag list_output[] = {
    {.name = "metadata", .help = "with the metadata of each entry"},
    {.name = "format",
     .value = "FORMAT",
     .kind = choice,
     .choices = entry_formats,
     .help = "table (the default on a terminal), ndjson, json, csv, or keys"},
    {.name = "null",
     .letter = '0',
     .help = "keys end in NUL instead of a new line, here and in --keys-file"},
    {.name = "output",
     .letter = 'o',
     .value = "FILE",
     .kind = file,
     .help = "write to this file, which appears when it is complete"},
};
constexpr FlagGroup list_groups[] = {
    {"Store", store_namespace}, {"Selection", selection}, {"Listing", listing},
    {"Output", list_output},    {"Work", work},           {"Cache", reading}};
constexpr Example list_examples[] = {
    {"sluice kv list --namespace sessions --metadata", "the first 1,000 entries, with metadata"},
    {"sluice kv list --namespace sessions --all --format keys > keys.txt", "every key"},
    {"sluice kv list --namespace pages --tag-field tags --tag-value blog",
     "by a tag in the metadata"},
};

constexpr Argument keys_to_get[] = {{.name = "KEY",
                                     .required = false,
                                     .repeatable = true,
                                     .help = "keys to get; else the selection says which"}};
constexpr Flag get_output[] = {
    {.name = "metadata", .help = "with the metadata of each entry"},
    {.name = "format",
     .value = "FORMAT",
     .kind = choice,
     .choices = entry_formats,
     .help = "how entries are written (default: one key's bare value, several as ndjson)"},
    {.name = "exact",
     .help = "get every value singly, byte for byte, whatever it costs in requests"},
    {.name = "null", .letter = '0', .help = "keys end in NUL in --keys-file"},
    {.name = "output",
     .letter = 'o',
     .value = "FILE",
     .kind = file,
     .help = "write to this file, which appears when it is complete"},
};
constexpr FlagGroup get_groups[] = {
    {"Store", store_namespace}, {"Selection", selection}, {"Listing", listing},
    {"Output", get_output},     {"Work", work},           {"Cache", reading}};
constexpr Example get_examples[] = {
    {"sluice kv get --namespace sessions user:1", "the value, byte for byte, on stdout"},
    {"sluice kv get --namespace sessions user:1 user:2 --metadata --json",
     "several, with metadata"},
};

constexpr Argument put_arguments[] = {
    {.name = "KEY", .help = "the key, 1 to 512 bytes"},
    {.name = "VALUE", .required = false, .help = "the value; - or nothing: read from stdin"}};
constexpr Flag put_entry[] = {
    {.name = "file", .value = "FILE", .kind = file, .help = "take the value from this file"},
    {.name = "base64", .help = "the value is given as base64"},
    {.name = "metadata", .value = "JSON", .kind = text, .help = "the metadata, kept byte for byte"},
    {.name = "ttl",
     .value = "TIME",
     .kind = ttl,
     .help = "the entry expires after this time (1h, or seconds)"},
    {.name = "expiration",
     .value = "WHEN",
     .kind = text,
     .help = "the entry expires then (Unix seconds, or 2030-01-31T12:00:00Z)"},
};
constexpr FlagGroup put_groups[] = {{"Store", store_namespace},
                                    {"Entry", put_entry},
                                    {"Change", change},
                                    {"Namespace", create_namespace},
                                    {"Cache", looking_up}};
constexpr Example put_examples[] = {
    {"sluice kv put --namespace sessions user:1 '{\"name\":\"Ada\"}' --ttl 1h", "with an expiry"},
    {"sluice kv put --namespace pages logo.png --file logo.png --metadata '{\"tags\":[\"img\"]}'",
     "from a file, with metadata"},
};

constexpr Argument keys_to_delete[] = {{.name = "KEY",
                                        .required = false,
                                        .repeatable = true,
                                        .help = "keys to delete; else the selection says which"}};
constexpr Flag delete_guard[] = {
    {.name = "max-delete",
     .value = "N",
     .kind = count,
     .help = "stop before the first deletion if more than N entries would go"},
    {.name = "null", .letter = '0', .help = "keys end in NUL in --keys-file"},
};
constexpr FlagGroup delete_groups[] = {
    {"Store", store_namespace}, {"Selection", selection}, {"Listing", listing}, {"Change", change},
    {"Guard", delete_guard},    {"Work", work},           {"Cache", looking_up}};
constexpr Example delete_examples[] = {
    {"sluice kv delete --namespace sessions --search old-data --dry-run", "says what would go"},
    {"sluice kv delete --namespace sessions --prefix tmp: --max-delete 5000",
     "asks with the count; refuses if there are more"},
    {"sluice kv delete --namespace sessions --keys-file keys.txt --yes", "exactly these keys"},
};

constexpr FlagGroup kv_purge_groups[] = {{"Store", store_namespace},    {"Selection", selection},
                                         {"Listing", listing},          {"Zone", one_zone},
                                         {"Cache tags", kv_purge_tags}, {"Change", change},
                                         {"Guard", delete_guard},       {"Work", work},
                                         {"Cache", looking_up}};

constexpr Flag export_output[] = {
    {.name = "format",
     .value = "FORMAT",
     .kind = choice,
     .choices = export_formats,
     .standard = "ndjson",
     .help = "ndjson, json (what wrangler's bulk put takes), csv, or keys"},
    {.name = "exact",
     .help = "get every value singly, byte for byte, whatever it costs in requests"},
    {.name = "metadata", .help = "accepted: an export always holds the metadata"},
    {.name = "null",
     .letter = '0',
     .help = "keys end in NUL instead of a new line, here and in --keys-file"},
    {.name = "output",
     .letter = 'o',
     .value = "FILE",
     .kind = file,
     .help = "write to this file, which appears when it is complete"},
};
constexpr FlagGroup export_groups[] = {
    {"Store", store_namespace}, {"Selection", selection}, {"Listing", listing},
    {"Output", export_output},  {"Work", work},           {"Cache", reading}};
constexpr Example export_examples[] = {
    {"sluice kv export --namespace sessions -o sessions.ndjson", "everything, one object a line"},
    {"sluice kv export --namespace sessions --format json -o bulk.json",
     "a file for `wrangler kv bulk put`"},
    {"sluice kv export --namespace sessions -o sessions.ndjson --resume", "goes on where it ended"},
};

constexpr Argument import_arguments[] = {
    {.name = "FILE",
     .required = false,
     .kind = file,
     .help = "the file to read, gzip or zstd included; - or nothing: stdin"}};
constexpr Flag import_input[] = {
    {.name = "format",
     .value = "FORMAT",
     .kind = choice,
     .choices = import_formats,
     .standard = "auto",
     .help = "what the file holds; auto looks at its first bytes"},
    {.name = "skip-bad",
     .value = "N",
     .kind = count,
     .standard = "0",
     .help = "skip up to N bad records, each reported with its place"},
};
constexpr FlagGroup import_groups[] = {
    {"Store", store_namespace},      {"Input", import_input}, {"Change", change},
    {"Namespace", create_namespace}, {"Work", work},          {"Cache", looking_up}};
constexpr Example import_examples[] = {
    {"sluice kv import --namespace sessions --create-namespace sessions.ndjson.zst",
     "into a new namespace"},
    {"zcat dump.csv.gz | sluice kv import --namespace sessions --format csv - --yes",
     "from a pipe"},
};

constexpr Flag copy_target[] = {
    {.name = "to",
     .value = "URL",
     .kind = text,
     .help = "the store that is written to (default: the same store)"},
    {.name = "to-namespace",
     .value = "NAME",
     .kind = text,
     .help = "the namespace that is written to, by its title or id (default: the same name)"},
    {.name = "to-namespace-id",
     .value = "ID",
     .kind = text,
     .help = "the namespace that is written to by its id, without looking it up"},
    {.name = "create-namespace",
     .help = "create the namespace that is written to if it does not exist"},
    {.name = "exact",
     .help = "get every value singly, byte for byte, whatever it costs in requests"},
    {.name = "metadata", .help = "accepted: a copy always keeps the metadata"},
    {.name = "null", .letter = '0', .help = "keys end in NUL in --keys-file"},
};
constexpr FlagGroup copy_groups[] = {{"Store", store_namespace}, {"Target", copy_target},
                                     {"Selection", selection},   {"Listing", listing},
                                     {"Change", change},         {"Work", work},
                                     {"Cache", reading}};
constexpr Example copy_examples[] = {
    {"sluice kv copy --store cloudflare: --namespace sessions --to sqlite:backup.db "
     "--create-namespace",
     "a backup, with metadata and expiry"},
};

constexpr Flag sync_target[] = {
    {.name = "to",
     .value = "URL",
     .kind = text,
     .help = "the store that is made equal (default: the same store)"},
    {.name = "to-namespace",
     .value = "NAME",
     .kind = text,
     .help = "the namespace that is made equal, by its title or id (default: the same name)"},
    {.name = "to-namespace-id",
     .value = "ID",
     .kind = text,
     .help = "the namespace that is made equal by its id, without looking it up"},
    {.name = "create-namespace",
     .help = "create the namespace that is written to if it does not exist"},
    {.name = "null", .letter = '0', .help = "keys end in NUL in --keys-file"},
};
constexpr Flag sync_how[] = {
    {.name = "delete", .help = "delete what only the target has, once all else is done"},
    {.name = "max-delete",
     .value = "N",
     .kind = count,
     .help = "stop before the first deletion if more than N entries would go"},
    {.name = "checksum", .help = "read and compare the values, too, not only metadata and expiry"},
    {.name = "exact",
     .help = "get every value singly, byte for byte, whatever it costs in requests"},
};
constexpr FlagGroup sync_groups[] = {{"Store", store_namespace},
                                     {"Target", sync_target},
                                     {"Sync", sync_how},
                                     {"Selection", selection},
                                     {"Listing", listing},
                                     {"Change", change},
                                     {"Work", work},
                                     {"Cache", reading}};
constexpr Example sync_examples[] = {
    {"sluice kv sync --store cloudflare: --namespace sessions --to sqlite:backup.db --dry-run",
     "says what is missing, different, or only in the target"},
    {"sluice kv sync --store cloudflare: --namespace sessions --to sqlite:backup.db --delete",
     "makes the backup equal; asks before it deletes"},
    {"sluice kv sync --namespace old --to-namespace new --checksum", "compares values, too"},
};

constexpr Flag stats_flags[] = {
    {.name = "values", .help = "get the values, too, where a listing does not tell their length"},
    {.name = "null", .letter = '0', .help = "keys end in NUL in --keys-file"},
};
constexpr FlagGroup stats_groups[] = {
    {"Store", store_namespace}, {"Selection", selection}, {"Listing", listing},
    {"Count", stats_flags},     {"Work", work},           {"Cache", reading}};
constexpr Example stats_examples[] = {
    {"sluice kv stats --namespace sessions --json", "entries and bytes, for a script"},
};

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

// --- serve --------------------------------------------------------------------------------------

constexpr Flag serve_what[] = {
    {.name = "cloudflare", .help = "offer Cloudflare's API for Workers KV, over the store"},
    {.name = "listen",
     .value = "ADDRESS",
     .kind = text,
     .standard = "127.0.0.1:8787",
     .help = "where to listen: ADDRESS:PORT, or a port of the loopback; port 0: any free one"},
    {.name = "threads",
     .value = "N",
     .kind = count,
     .least = 1,
     .help = "event loops (default: one for each processor)"},
};
constexpr Flag serve_access[] = {
    {.name = "token-file",
     .value = "FILE",
     .kind = file,
     .help = "who may do what: hashed tokens (TOML); needed beyond the loopback"},
    {.name = "rate-limit",
     .value = "N/TIME",
     .kind = text,
     .standard = "off",
     .help = "refuse more than N requests of a credential in such a time (1200/5m), as Cloudflare "
             "does"},
    {.name = "tls-cert",
     .value = "FILE",
     .kind = file,
     .help = "serve HTTPS with this certificate (PEM, with its chain)"},
    {.name = "tls-key", .value = "FILE", .kind = file, .help = "the certificate's key (PEM)"},
};
constexpr Flag serve_limits[] = {
    {.name = "grace",
     .value = "TIME",
     .kind = duration,
     .standard = "10s",
     .help = "how long requests that are under way have to end after a SIGTERM"},
    {.name = "max-connections",
     .value = "N",
     .kind = count,
     .least = 1,
     .standard = "20000",
     .help = "connections at the same time; idle ones make room"},
    {.name = "body-memory",
     .value = "SIZE",
     .kind = size,
     .least = 1,
     .standard = "256MB",
     .help = "memory for the bodies of requests and answers on their way"},
    {.name = "idle-timeout",
     .value = "TIME",
     .kind = duration,
     .least = 1,
     .standard = "75s",
     .help = "close a connection that asks for nothing for so long"},
    {.name = "header-timeout",
     .value = "TIME",
     .kind = duration,
     .least = 1,
     .standard = "15s",
     .help = "how long a request's header may take to arrive"},
    {.name = "body-timeout",
     .value = "TIME",
     .kind = duration,
     .least = 1,
     .standard = "30s",
     .help = "how long a body may take in either direction, beyond 16 KB a second"},
};
constexpr Flag serve_log[] = {
    {.name = "access-log",
     .value = "FILE",
     .kind = file,
     .help = "append a JSON line for each request; - is stdout"},
};
constexpr FlagGroup serve_groups[] = {{"Server", serve_what},
                                      {"Store", store_place},
                                      {"Access", serve_access},
                                      {"Limits", serve_limits},
                                      {"Log", serve_log}};
constexpr Example serve_examples[] = {
    {"sluice serve --cloudflare --store sqlite:dev.db",
     "Cloudflare's KV API at http://127.0.0.1:8787/client/v4"},
    {"CLOUDFLARE_API_BASE_URL=http://127.0.0.1:8787/client/v4 wrangler kv namespace list",
     "wrangler against it, in another terminal"},
    {"sluice serve --cloudflare --listen 0.0.0.0:8787 --token-file tokens.toml",
     "for others, with tokens"},
};

constexpr CommandGroup all_groups[] = {
    {"kv", "entries of key-value stores, by the million"},
    {"kv namespace", "the namespaces of a store"},
    {"purge", "take things out of Cloudflare's cache"},
    {"zones", "the zones whose caches can be purged"},
    {"cache", "a local cache for scripts: fast, exact, shared by many processes"},
    {"jobs", "bulk runs that left a journal, to look at or to resume"},
    {"config", "the config file"},
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
