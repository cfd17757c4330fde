// The arguments, flags and examples of `sluice kv`. For command_table.cc only.
#pragma once

#include "base/purge_flags.h"
#include "base/shared_flags.h"

namespace sluice::table {

inline constexpr FlagGroup namespace_list_groups[] = {{"Store", store_place}};
inline constexpr FlagGroup namespace_change_groups[] = {{"Store", store_place}, {"Change", change}};
inline constexpr Argument new_namespace[] = {
    {.name = "TITLE", .help = "the title of the new namespace"}};
inline constexpr Argument rename_namespace[] = {
    {.name = "NAME", .help = "the namespace, by its title or id"},
    {.name = "TITLE", .help = "its new title"}};
inline constexpr Argument old_namespace[] = {
    {.name = "NAME", .help = "the namespace, by its title or id"}};
inline constexpr Example namespace_list_examples[] = {
    {"sluice kv namespace list --store cloudflare:", "all namespaces of the Cloudflare account"},
};
inline constexpr Example namespace_create_examples[] = {
    {"sluice kv namespace create sessions", "a new namespace in the embedded store"},
};
inline constexpr Example namespace_rename_examples[] = {
    {"sluice kv namespace rename sessions old-sessions", "keeps its entries"},
};
inline constexpr Example namespace_delete_examples[] = {
    {"sluice kv namespace delete old-sessions --dry-run", "says what would go"},
    {"sluice kv namespace delete old-sessions --yes", "removes it with all its entries"},
};

inline constexpr Flag list_output[] = {
    metadata_flag,
    {.name = "format",
     .value = "FORMAT",
     .kind = choice,
     .choices = entry_formats,
     .help = "table (the default on a terminal), ndjson, json, csv, or keys; else what the ending "
             "of -o's name says, or ndjson"},
    nul_output_flag,
    output_flag,
};
inline constexpr FlagGroup list_groups[] = {
    {"Store", store_namespace}, {"Selection", selection}, {"Listing", listing},
    {"Output", list_output},    {"Work", work},           {"Cache", reading}};
inline constexpr Example list_examples[] = {
    {"sluice kv list --namespace sessions --metadata", "the first 1,000 entries, with metadata"},
    {"sluice kv list --namespace sessions --all --format keys > keys.txt", "every key"},
    {"sluice kv list --namespace pages --tag-field tags --tag-value blog",
     "by a tag in the metadata"},
};

inline constexpr Argument keys_to_get[] = {{.name = "KEY",
                                            .required = false,
                                            .repeatable = true,
                                            .help = "keys to get; else the selection says which"}};
inline constexpr Flag get_output[] = {
    metadata_flag,
    {.name = "format",
     .value = "FORMAT",
     .kind = choice,
     .choices = entry_formats,
     .help =
         "how entries are written (default: one key's bare value; several as the ending of -o's "
         "name says, or ndjson)"},
    exact_flag,
    nul_keys_flag,
    output_flag,
};
inline constexpr FlagGroup get_groups[] = {
    {"Store", store_namespace}, {"Selection", selection}, {"Listing", listing},
    {"Output", get_output},     {"Work", work},           {"Cache", reading}};
inline constexpr Example get_examples[] = {
    {"sluice kv get --namespace sessions user:1", "the value, byte for byte, on stdout"},
    {"sluice kv get --namespace sessions user:1 user:2 --metadata --json",
     "several, with metadata"},
};

inline constexpr Argument put_arguments[] = {
    {.name = "KEY", .help = "the key, 1 to 512 bytes"},
    {.name = "VALUE", .required = false, .help = "the value; - or nothing: read from stdin"}};
inline constexpr Flag put_entry[] = {
    value_file_flag,
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
inline constexpr FlagGroup put_groups[] = {{"Store", store_namespace},
                                           {"Entry", put_entry},
                                           {"Change", change},
                                           {"Namespace", create_namespace},
                                           {"Cache", looking_up}};
inline constexpr Example put_examples[] = {
    {"sluice kv put --namespace sessions user:1 '{\"name\":\"Ada\"}' --ttl 1h", "with an expiry"},
    {"sluice kv put --namespace pages logo.png --file logo.png --metadata '{\"tags\":[\"img\"]}'",
     "from a file, with metadata"},
};

inline constexpr Argument keys_to_delete[] = {
    {.name = "KEY",
     .required = false,
     .repeatable = true,
     .help = "keys to delete; else the selection says which"}};
inline constexpr Flag delete_guard[] = {
    max_delete_flag,
    nul_keys_flag,
};
inline constexpr FlagGroup delete_groups[] = {
    {"Store", store_namespace}, {"Selection", selection}, {"Listing", listing}, {"Change", change},
    {"Guard", delete_guard},    {"Work", work},           {"Cache", looking_up}};
inline constexpr Example delete_examples[] = {
    {"sluice kv delete --namespace sessions --search old-data --dry-run", "says what would go"},
    {"sluice kv delete --namespace sessions --prefix tmp: --max-delete 5000",
     "asks with the count; refuses if there are more"},
    {"sluice kv delete --namespace sessions --keys-file keys.txt --yes", "exactly these keys"},
};

inline constexpr FlagGroup kv_purge_groups[] = {
    {"Store", store_namespace},    {"Selection", selection},
    {"Listing", listing},          {"Zone", one_zone},
    {"Cache tags", kv_purge_tags}, {"Change", change},
    {"Guard", delete_guard},       {"Work", work},
    {"Cache", looking_up}};

inline constexpr Flag export_output[] = {
    {.name = "format",
     .value = "FORMAT",
     .kind = choice,
     .choices = export_formats,
     .standard = "ndjson",
     .help = "ndjson, json (what wrangler's bulk put takes), csv, or keys; not given, the ending "
             "of -o's name says it: .csv, .json, .keys, .jsonl"},
    exact_flag,
    {.name = "metadata", .help = "accepted: an export always holds the metadata"},
    nul_output_flag,
    output_flag,
};
inline constexpr FlagGroup export_groups[] = {
    {"Store", store_namespace}, {"Selection", selection}, {"Listing", listing},
    {"Output", export_output},  {"Work", work},           {"Cache", looking_up}};
inline constexpr Example export_examples[] = {
    {"sluice kv export --namespace sessions -o sessions.ndjson", "everything, one object a line"},
    {"sluice kv export --namespace sessions -o bulk.json", "a file for `wrangler kv bulk put`"},
    {"sluice kv export --namespace sessions -o sessions.ndjson --resume", "goes on where it ended"},
};

inline constexpr Argument import_arguments[] = {
    {.name = "FILE",
     .required = false,
     .kind = file,
     .help = "the file to read, gzip or zstd included; - or nothing: stdin"}};
inline constexpr Flag import_input[] = {
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
inline constexpr FlagGroup import_groups[] = {
    {"Store", store_namespace},      {"Input", import_input}, {"Change", change},
    {"Namespace", create_namespace}, {"Work", work},          {"Cache", looking_up}};
inline constexpr Example import_examples[] = {
    {"sluice kv import --namespace sessions --create-namespace sessions.ndjson.zst",
     "into a new namespace"},
    {"zcat dump.csv.gz | sluice kv import --namespace sessions --format csv - --yes",
     "from a pipe"},
};

inline constexpr Flag copy_target[] = {
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
    create_namespace_flag,
    exact_flag,
    {.name = "metadata", .help = "accepted: a copy always keeps the metadata"},
    nul_keys_flag,
};
inline constexpr FlagGroup copy_groups[] = {{"Store", store_namespace}, {"Target", copy_target},
                                            {"Selection", selection},   {"Listing", listing},
                                            {"Change", change},         {"Work", work},
                                            {"Cache", looking_up}};
inline constexpr Example copy_examples[] = {
    {"sluice kv copy --store cloudflare: --namespace sessions --to sqlite:backup.db "
     "--create-namespace",
     "a backup, with metadata and expiry"},
};

inline constexpr Flag sync_target[] = {
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
    create_namespace_flag,
    nul_keys_flag,
};
inline constexpr Flag sync_how[] = {
    {.name = "delete", .help = "delete what only the target has, once all else is done"},
    max_delete_flag,
    {.name = "checksum", .help = "read and compare the values, too, not only metadata and expiry"},
    exact_flag,
};
inline constexpr FlagGroup sync_groups[] = {{"Store", store_namespace},
                                            {"Target", sync_target},
                                            {"Sync", sync_how},
                                            {"Selection", selection},
                                            {"Listing", listing},
                                            {"Change", change},
                                            {"Work", work},
                                            {"Cache", looking_up}};
inline constexpr Example sync_examples[] = {
    {"sluice kv sync --store cloudflare: --namespace sessions --to sqlite:backup.db --dry-run",
     "says what is missing, different, or only in the target"},
    {"sluice kv sync --store cloudflare: --namespace sessions --to sqlite:backup.db --delete",
     "makes the backup equal; asks before it deletes"},
    {"sluice kv sync --namespace old --to-namespace new --checksum", "compares values, too"},
};

inline constexpr Flag stats_flags[] = {
    {.name = "values", .help = "get the values, too, where a listing does not tell their length"},
    nul_keys_flag,
};
inline constexpr FlagGroup stats_groups[] = {
    {"Store", store_namespace}, {"Selection", selection}, {"Listing", listing},
    {"Count", stats_flags},     {"Work", work},           {"Cache", looking_up}};
inline constexpr Example stats_examples[] = {
    {"sluice kv stats --namespace sessions --json", "entries and bytes, for a script"},
};

}  // namespace sluice::table
