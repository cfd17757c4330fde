// The groups of flags that several commands share. For command_table.cc only.
#pragma once

#include "base/command.h"

namespace sluice::table {

using enum ValueKind;

inline constexpr std::string_view log_levels[] = {"trace", "debug", "info", "warn", "error", "off"};
inline constexpr std::string_view progress_styles[] = {"auto", "bar", "plain", "off"};
inline constexpr std::string_view color_choices[] = {"auto", "always", "never"};
inline constexpr std::string_view entry_formats[] = {"table", "ndjson", "json", "csv", "keys"};
inline constexpr std::string_view export_formats[] = {"ndjson", "json", "csv", "keys"};
inline constexpr std::string_view import_formats[] = {"auto", "ndjson", "json", "csv"};
inline constexpr std::string_view shells[] = {"bash", "zsh", "fish"};

// Flags that stand in several groups.
inline constexpr Flag store_flag = {
    .name = "store",
    .value = "URL",
    .kind = text,
    .help =
        "the store: sqlite:, sqlite:/path.db, cloudflare:, cloudflare://ACCOUNT, "
        "redis://HOST:PORT/DATABASE, postgres://USER@HOST/DATABASE, memory:"};
inline constexpr Flag account_flag = {
    .name = "account",
    .value = "ID",
    .kind = text,
    .help = "the Cloudflare account, if the store's URL does not name it"};
inline constexpr Flag api_base_url_flag = {
    .name = "api-base-url",
    .value = "URL",
    .kind = text,
    .help = "where Cloudflare's API is, if not at Cloudflare"};
inline constexpr Flag concurrency_flag = {
    .name = "concurrency",
    .value = "N",
    .kind = count,
    .least = 1,
    .standard = "10",
    .help = "requests at the same time at most; adapts below it"};
inline constexpr Flag prefix_flag = {
    .name = "prefix", .value = "TEXT", .kind = text, .help = "keys that begin with this text"};
inline constexpr Flag pattern_flag = {
    .name = "pattern",
    .value = "REGEX",
    .kind = text,
    .help = "keys in which this regular expression (RE2) is found"};
inline constexpr Flag limit_flag = {
    .name = "limit", .value = "N", .kind = count, .help = "no more than this many entries"};
inline constexpr Flag max_delete_flag = {
    .name = "max-delete",
    .value = "N",
    .kind = count,
    .help = "stop before the first deletion if more than N entries would go"};
inline constexpr Flag create_namespace_flag = {
    .name = "create-namespace",
    .help = "create the namespace that is written to if it does not exist"};
inline constexpr Flag exact_flag = {
    .name = "exact",
    .help = "get every value singly, byte for byte, whatever it costs in requests"};
inline constexpr Flag metadata_flag = {.name = "metadata",
                                       .help = "with the metadata of each entry"};
inline constexpr Flag nul_keys_flag = {
    .name = "null", .letter = '0', .help = "keys end in NUL in --keys-file"};
inline constexpr Flag nul_output_flag = {
    .name = "null",
    .letter = '0',
    .help = "keys end in NUL instead of a new line, here and in --keys-file"};
inline constexpr Flag output_flag = {
    .name = "output",
    .letter = 'o',
    .value = "FILE",
    .kind = file,
    .help = "write to this file, which appears when it is complete"};
inline constexpr Flag value_file_flag = {
    .name = "file", .value = "FILE", .kind = file, .help = "take the value from this file"};

inline constexpr Flag every_command[] = {
    {.name = "config", .value = "FILE", .kind = file, .help = "read this config file"},
    {.name = "json", .help = "write a machine-readable result, and nothing else, to stdout"},
    {.name = "quiet", .letter = 'q', .help = "say nothing but errors"},
    {.name = "verbose",
     .letter = 'v',
     .help = "say more: the timing of each operation, what was adapted"},
    {.name = "log-level",
     .value = "LEVEL",
     .kind = choice,
     .choices = log_levels,
     .standard = "warn",
     .help = "log to stderr from this level on"},
    {.name = "progress",
     .letter = 'P',
     .value = "STYLE",
     .kind = choice,
     .choices = progress_styles,
     .standard = "auto",
     .help = "how progress is shown on stderr"},
    {.name = "color",
     .value = "WHEN",
     .kind = choice,
     .choices = color_choices,
     .standard = "auto",
     .help = "colours; NO_COLOR turns them off, too"},
    {.name = "timeout",
     .value = "TIME",
     .kind = duration,
     .least = 1,
     .standard = "60s",
     .help = "give up a single request after this time"},
    {.name = "deadline",
     .value = "TIME",
     .kind = duration,
     .least = 1,
     .help = "end the whole run after this time (what is in flight then has 5s to end), so that it "
             "can be resumed"},
    {.name = "rate",
     .value = "N/TIME",
     .kind = text,
     .help = "send at most N requests in any such time (1200/5m), or \"off\" for no limit"},
    {.name = "help", .letter = 'h', .help = "show the help of a command"},
};

inline constexpr Flag store_place[] = {
    store_flag,
    account_flag,
    api_base_url_flag,
};

inline constexpr Flag store_namespace[] = {
    store_flag,
    {.name = "namespace",
     .value = "NAME",
     .kind = text,
     .help = "the namespace, by its title or id (all but cloudflare: have one named default)"},
    {.name = "namespace-id",
     .value = "ID",
     .kind = text,
     .help = "the namespace by its id, without looking it up"},
    account_flag,
    api_base_url_flag,
};

inline constexpr Flag selection[] = {
    prefix_flag,
    pattern_flag,
    {.name = "search",
     .value = "TEXT",
     .kind = text,
     .help = "entries with this text in any metadata value, at any depth, in either case"},
    {.name = "tag-field",
     .value = "FIELD",
     .kind = text,
     .help = "entries whose metadata has this field"},
    {.name = "tag-value",
     .value = "VALUE",
     .kind = text,
     .help = "… and there this value (alone, in a list or among a comma-separated text)"},
    {.name = "keys-file",
     .value = "FILE",
     .kind = file,
     .help = "the keys in this file, one a line (NUL-ended with -0); - is stdin"},
    {.name = "all", .alias = "all-keys", .help = "every entry of the namespace"},
    limit_flag,
};

inline constexpr Flag listing[] = {
    {.name = "list-partitions",
     .value = "PARTS",
     .kind = text,
     .standard = "auto",
     .help = "list in pieces side by side: auto, a number (stores that can seek), or prefixes "
             "a,b,c (complete only if every key begins with one of them)"},
};

inline constexpr Flag work[] = {
    {.name = "batch-size",
     .value = "N",
     .kind = count,
     .least = 1,
     .help = "entries of one call at most (default: as many as the store takes)"},
    concurrency_flag,
    {.name = "in-flight",
     .value = "SIZE",
     .kind = size,
     .least = 1,
     .standard = "32MB",
     .help = "memory for entries on their way"},
    {.name = "bulk",
     .help = "accepted for compatibility: calls are always bulk calls where they can be"},
    {.name = "resume",
     .help = "continue the unfinished job that asked for the same; else start it"},
    {.name = "failures",
     .value = "FILE",
     .kind = file,
     .help = "write the keys that failed to this file (default: beside the job's journal)"},
};

inline constexpr Flag cache_age = {
    .name = "cache-ttl",
    .value = "TIME",
    .kind = duration,
    .standard = "5m",
    .help =
        "how long look-ups (namespaces, zones) and, with --cached, values are kept in the local "
        "cache; 0s: nothing is"};
inline constexpr Flag cache_entries = {.name = "cache-max-entries",
                                       .value = "N",
                                       .kind = count,
                                       .least = 1,
                                       .standard = "10000",
                                       .help = "keep so many at most, of either kind"};
inline constexpr Flag cache_bytes = {.name = "cache-max-size",
                                     .value = "SIZE",
                                     .kind = size,
                                     .least = 1,
                                     .standard = "50MB",
                                     .help = "keep so many bytes at most, of either kind"};

// Of commands that look up a namespace or a zone.
inline constexpr Flag looking_up[] = {cache_age, cache_entries, cache_bytes};

// The same for commands that get entries by their keys.
inline constexpr Flag reading[] = {
    {.name = "cached",
     .help =
         "take what is asked for by key (kv get; kv list --keys-file, up to 64 KB of keys) from "
         "the local cache while it is fresh there; of cloudflare:, redis: and postgres:; "
         "listings are read anew"},
    cache_age,
    cache_entries,
    cache_bytes,
};

inline constexpr Flag change[] = {
    {.name = "dry-run", .letter = 'n', .help = "say what would be done and send no change"},
    {.name = "yes", .letter = 'y', .alias = "force", .help = "do not ask"},
    {.name = "interactive",
     .letter = 'i',
     .help = "ask before the change, also where it is not usual"},
};

inline constexpr Flag create_namespace[] = {
    create_namespace_flag,
};

}  // namespace sluice::table
