// The commands of `sluice cache` and their flags: nothing but data, for command_table.cc only.
#pragma once

#include <array>

#include "base/command.h"
#include "base/shared_flags.h"

namespace sluice::table {

// The flags of every command, with another --timeout, and nothing that could be resumed.
template <std::size_t count>
consteval std::array<Flag, count> with_timeout(const Flag (&flags)[count], const Flag& timeout,
                                               std::string_view deadline_help) {
  std::array<Flag, count> changed = std::to_array(flags);
  for (Flag& flag : changed) {
    if (flag.name == "timeout") flag = timeout;
    if (flag.name == "deadline") flag.help = deadline_help;
  }
  return changed;
}
inline constexpr Flag cache_timeout{.name = "timeout",
                                    .value = "TIME",
                                    .kind = ttl,
                                    .least = 1,
                                    .standard = "10s",
                                    .help = "wait no longer than this for others that write"};
inline constexpr auto cache_every_flag = with_timeout(
    every_command, cache_timeout, "end the whole run after this time, with exit code 6");
inline constexpr FlagGroup cache_every{"Every command", cache_every_flag};
// Of those that run a command.
inline constexpr std::string_view cache_deadline_help =
    "end the whole run after this time, with exit code 125: the command gets SIGTERM, and SIGKILL "
    "5s "
    "later";
inline constexpr auto cache_exec_every_flag =
    with_timeout(every_command, cache_timeout, cache_deadline_help);
inline constexpr FlagGroup cache_exec_every{"Every command", cache_exec_every_flag};
inline constexpr auto cache_lock_every_flag =
    with_timeout(every_command,
                 {.name = "timeout",
                  .value = "TIME",
                  .kind = ttl,
                  .standard = "30s",
                  .help = "wait no longer than this for the lock; 0: take it only if it is free"},
                 cache_deadline_help);
inline constexpr FlagGroup cache_lock_every{"Every command", cache_lock_every_flag};

inline constexpr Flag cache_place[] = {
    {.name = "ns",
     .value = "NAME",
     .kind = text,
     .help = "the cache's namespace (default: FLOWFORGE_DEVELOPER, git's user.email, or default; "
             "with --dir: shared)"},
    {.name = "dir",
     .value = "PATH",
     .kind = file,
     .help = "keep the cache in this folder, for a group to share (default: "
             "$XDG_CACHE_HOME/sluice/cache, private)"},
};
inline constexpr FlagGroup cache_place_only[] = {{"Cache", cache_place}};

inline constexpr Argument cache_key[] = {{.name = "KEY", .help = "1 to 4096 bytes"}};

inline constexpr Flag cache_get_flags[] = {
    {.name = "stale-ok", .help = "also an entry that has expired and is still there"},
    {.name = "max-age",
     .value = "TIME",
     .kind = ttl,
     .help = "not an entry that was set longer ago"},
};
inline constexpr FlagGroup cache_get_groups[] = {{"Entry", cache_get_flags},
                                                 {"Cache", cache_place}};
inline constexpr Example cache_get_examples[] = {
    {"token=$(sluice cache get token)", "a miss writes nothing, and exits with 4"},
    {"sluice cache get report --max-age 1h --stale-ok", "a copy that is at most an hour old"},
};

inline constexpr Argument cache_set_arguments[] = {
    {.name = "KEY", .help = "1 to 4096 bytes"},
    {.name = "VALUE", .required = false, .help = "the value; - or nothing: read from stdin"}};
inline constexpr Flag cache_set_flags[] = {
    value_file_flag,
    {.name = "ttl",
     .value = "TIME",
     .kind = ttl,
     .help = "the entry expires after this time (5m, or seconds; default: never)"},
    {.name = "tag",
     .value = "TAG",
     .kind = text,
     .repeatable = true,
     .help = "a name to delete many entries by; may be given several times"},
    {.name = "cost",
     .value = "MS",
     .kind = count,
     .help = "what computing the value took, in milliseconds (default: 100); entries that cost "
             "more stay longer"},
};
inline constexpr FlagGroup cache_set_groups[] = {
    {"Entry", cache_set_flags}, {"Cache", cache_place}, {"Change", change}};
inline constexpr Example cache_set_examples[] = {
    {"sluice cache set greeting hello --ttl 5m", "a value from the command line"},
    {"sluice cache set logo --file logo.png --tag images", "a value from a file, with a tag"},
};

inline constexpr Argument cache_delete_arguments[] = {
    {.name = "KEY", .required = false, .repeatable = true, .help = "the keys to delete"}};
inline constexpr Flag cache_delete_flags[] = {
    {.name = "tag",
     .value = "TAG",
     .kind = text,
     .repeatable = true,
     .help = "entries that have one of these tags"},
    pattern_flag,
    prefix_flag,
    max_delete_flag,
};
inline constexpr FlagGroup cache_delete_groups[] = {
    {"Selection", cache_delete_flags}, {"Cache", cache_place}, {"Change", change}};
inline constexpr Example cache_delete_examples[] = {
    {"sluice cache delete greeting", "one entry; one that is absent is a success, too"},
    {"sluice cache delete --tag images --prefix thumb:", "what has the tag and the prefix"},
};

inline constexpr Argument cache_exec_arguments[] = {
    {.name = "COMMAND", .repeatable = true, .help = "the command and its arguments, after --"}};
inline constexpr Flag cache_exec_flags[] = {
    {.name = "ttl",
     .value = "TIME",
     .kind = ttl,
     .standard = "1m",
     .help = "how long a result is fresh"},
    {.name = "stale",
     .value = "TIME",
     .kind = ttl,
     .standard = "0s",
     .help = "how long after that it is given out at once while it is computed anew in the "
             "background"},
    {.name = "key-env",
     .value = "VARIABLE",
     .kind = text,
     .repeatable = true,
     .help = "results depend on this variable, too; may be given several times"},
    {.name = "key-file",
     .value = "FILE",
     .kind = file,
     .repeatable = true,
     .help = "results depend on the content of this file, too; may be given several times"},
    {.name = "discard-failures", .help = "do not keep results whose exit code is not 0"},
    {.name = "tag",
     .value = "TAG",
     .kind = text,
     .repeatable = true,
     .help = "a name to delete the result by; may be given several times"},
    {.name = "max-output",
     .value = "SIZE",
     .kind = size,
     .standard = "16MB",
     .help = "pass longer output through without keeping it"},
};
inline constexpr FlagGroup cache_exec_groups[] = {{"Result", cache_exec_flags},
                                                  {"Cache", cache_place}};
inline constexpr Example cache_exec_examples[] = {
    {"sluice cache exec --ttl 5m -- curl -fsS https://example.com/status.json",
     "asks once in five minutes, whoever asks"},
    {"sluice cache exec --ttl 1h --stale 1d --key-file package.json -- npm ls --json",
     "an old answer at once, a new one for the next caller"},
};

inline constexpr Flag cache_batch_flags[] = {
    {.name = "null",
     .letter = '0',
     .help = "fields end in NUL: set KEY VALUE, get KEY, delete KEY; and so do the answers"},
    {.name = "ttl",
     .value = "TIME",
     .kind = ttl,
     .help = "what is set without a ttl of its own expires after this time"},
    {.name = "tag",
     .value = "TAG",
     .kind = text,
     .repeatable = true,
     .help = "a tag for what is set without tags of its own"},
};
inline constexpr FlagGroup cache_batch_groups[] = {
    {"Batch", cache_batch_flags}, {"Cache", cache_place}, {"Change", change}};
inline constexpr Example cache_batch_examples[] = {
    {"printf '%s\\0' set a 1 set b 2 get a | sluice cache batch -0", "NUL-ended fields"},
    {"sluice cache batch < operations.ndjson", "{\"op\":\"set\",\"key\":\"a\",\"value\":\"1\"} …"},
};

inline constexpr Flag cache_list_flags[] = {
    prefix_flag,
    pattern_flag,
    {.name = "tag",
     .value = "TAG",
     .kind = text,
     .repeatable = true,
     .help = "entries that have this tag"},
    limit_flag,
    {.name = "null", .letter = '0', .help = "keys end in NUL instead of a new line"},
    {.name = "long", .letter = 'l', .help = "a table with size, age, hits and tags"},
    {.name = "namespaces", .help = "list the namespaces instead"},
};
inline constexpr FlagGroup cache_list_groups[] = {{"Listing", cache_list_flags},
                                                  {"Cache", cache_place}};
inline constexpr Example cache_list_examples[] = {
    {"sluice cache list --prefix user:", "keys, one a line"},
    {"sluice cache list --namespaces", "which namespaces there are"},
};

inline constexpr Example cache_size_examples[] = {
    {"sluice cache size --json", "entries and bytes, exact at this moment"}};

inline constexpr Flag cache_stats_flags[] = {
    {.name = "csv", .help = "the last 10,000 operations: timestamp,operation,duration_ms"},
    {.name = "prometheus", .help = "the text format of Prometheus, for node_exporter"},
    {.name = "reset", .help = "forget what was measured"},
    {.name = "record",
     .value = "OPERATION=MS",
     .kind = text,
     .help = "count one more operation, of a script's own, that took so long"},
};
inline constexpr FlagGroup cache_stats_groups[] = {{"Output", cache_stats_flags},
                                                   {"Cache", cache_place}};
inline constexpr Example cache_stats_examples[] = {
    {"sluice cache stats", "hits, misses and latencies"},
    {"sluice cache stats --prometheus > sluice.prom", "for the textfile collector"},
};

inline constexpr Flag cache_limit_flags[] = {
    {.name = "max-size",
     .value = "SIZE",
     .kind = size,
     .least = 1,
     .help = "the bytes of keys and values at most (default of a namespace: 100MB)"},
    {.name = "max-entries", .value = "N", .kind = count, .help = "entries at most; 0: any number"},
};
inline constexpr FlagGroup cache_limit_groups[] = {
    {"Limit", cache_limit_flags}, {"Cache", cache_place}, {"Change", change}};
inline constexpr Example cache_limit_examples[] = {
    {"sluice cache limit --max-size 100MB --max-entries 10000", "for all who use this namespace"},
    {"sluice cache limit", "shows the limits"},
};

inline constexpr FlagGroup cache_change_groups[] = {{"Cache", cache_place}, {"Change", change}};
inline constexpr Example cache_gc_examples[] = {
    {"sluice cache gc", "deletes what has expired, and gives space back"}};
inline constexpr Example cache_verify_examples[] = {
    {"sluice cache verify", "reads everything; exits with 1 if something is damaged"}};
inline constexpr Example cache_repair_examples[] = {
    {"sluice cache repair", "keeps what is intact"}};
inline constexpr Example cache_clear_examples[] = {
    {"sluice cache clear --ns build --yes", "empties one namespace"}};

inline constexpr Argument cache_lock_arguments[] = {
    {.name = "NAME", .help = "the lock"},
    {.name = "COMMAND",
     .required = false,
     .repeatable = true,
     .help = "the command and its arguments, after --"}};
inline constexpr Flag cache_lock_flags[] = {
    {.name = "shared", .help = "beside others that share the lock"},
    {.name = "hold-for",
     .value = "PID",
     .kind = count,
     .least = 1,
     .help = "no command: hold the lock in the background until it is released, or this process "
             "ends"},
    {.name = "release", .help = "release the lock that --hold-for holds"},
};
inline constexpr FlagGroup cache_lock_groups[] = {{"Lock", cache_lock_flags},
                                                  {"Cache", cache_place}};
inline constexpr Example cache_lock_examples[] = {
    {"sluice cache lock deploy --timeout 5m -- ./deploy.sh",
     "one at a time; waits 30s unless told otherwise"},
    {"sluice cache lock db --shared -- ./report.sh", "readers beside each other"},
};
inline constexpr Example cache_health_examples[] = {
    {"sluice cache health", "five checks, each with its time"}};

inline constexpr Command cache_get{
    .path = "cache get",
    .summary = "write a cached value to stdout",
    .description = "Byte for byte. Exits with 4, and writes nothing, when there is none.",
    .arguments = cache_key,
    .groups = cache_get_groups,
    .global = &cache_every,
    .examples = cache_get_examples};
inline constexpr Command cache_set{
    .path = "cache set",
    .summary = "store a value",
    .description =
        "In place of the one that is there. A value that comes from a file or stdin may "
        "have up to 2 GiB; it is stored when all of it has come.",
    .arguments = cache_set_arguments,
    .groups = cache_set_groups,
    .global = &cache_every,
    .examples = cache_set_examples,
    .changes_something = true};
inline constexpr Command cache_delete{
    .path = "cache delete",
    .summary = "delete entries by key, tag, pattern or prefix",
    .description =
        "Selections combine with AND. It does not ask, unless --interactive says so: "
        "what is in a cache can be had again.",
    .arguments = cache_delete_arguments,
    .groups = cache_delete_groups,
    .global = &cache_every,
    .examples = cache_delete_examples,
    .changes_something = true};
inline constexpr Command cache_exec{
    .path = "cache exec",
    .summary = "run a command, or give out what it said last time",
    .description =
        "Keeps stdout, stderr and the exit code, by the command's words, the working directory "
        "and what --key-env and --key-file name. One process at a time runs a command; the others "
        "wait for its result. The command's stdin is empty. Exits as the command did; 125: an "
        "error of Sluice's own, 126: the command cannot be run, 127: there is none.",
    .arguments = cache_exec_arguments,
    .groups = cache_exec_groups,
    .global = &cache_exec_every,
    .examples = cache_exec_examples,
    .changes_something = true};
inline constexpr Command cache_batch{
    .path = "cache batch",
    .summary = "get, set and delete many entries in one transaction",
    .description =
        "Reads operations from stdin, JSON lines {\"op\":\"set|get|delete\",\"key\":…,\"value\"?,"
        "\"base64\"?,\"ttl\"?,\"tags\"?}, and answers a line each, in order. At most 10,000 "
        "operations or 32 MB share a transaction. Exits with 3 if some failed.",
    .groups = cache_batch_groups,
    .global = &cache_every,
    .examples = cache_batch_examples,
    .changes_something = true};
inline constexpr Command cache_list{.path = "cache list",
                                    .summary = "list keys, or namespaces",
                                    .groups = cache_list_groups,
                                    .global = &cache_every,
                                    .examples = cache_list_examples};
inline constexpr Command cache_size{
    .path = "cache size",
    .summary = "show entries, bytes and limits",
    .description =
        "Takes the same time however many there are. CACHE_SIZE_TRACKING=disabled "
        "counts by walking, for checking.",
    .groups = cache_place_only,
    .global = &cache_every,
    .examples = cache_size_examples};
inline constexpr Command cache_stats{.path = "cache stats",
                                     .summary = "show hits, misses and how long operations took",
                                     .groups = cache_stats_groups,
                                     .global = &cache_every,
                                     .examples = cache_stats_examples};
inline constexpr Command cache_limit{
    .path = "cache limit",
    .summary = "set how much a namespace may hold",
    .description =
        "It holds for everybody who uses the namespace, from now on. What is too much "
        "is evicted, least worth first.",
    .groups = cache_limit_groups,
    .global = &cache_every,
    .examples = cache_limit_examples,
    .changes_something = true};
inline constexpr Command cache_gc{.path = "cache gc",
                                  .summary = "delete what has expired, and files that nobody needs",
                                  .groups = cache_change_groups,
                                  .global = &cache_every,
                                  .examples = cache_gc_examples,
                                  .changes_something = true};
inline constexpr Command cache_verify{
    .path = "cache verify",
    .summary = "read everything and check it",
    .description = "Changes nothing. Exits with 1 when something is damaged.",
    .groups = cache_place_only,
    .global = &cache_every,
    .examples = cache_verify_examples};
inline constexpr Command cache_repair{
    .path = "cache repair",
    .summary = "bring back all that is intact",
    .description = "A damaged database is made anew, and the old one kept beside it.",
    .groups = cache_change_groups,
    .global = &cache_every,
    .examples = cache_repair_examples,
    .changes_something = true};
inline constexpr Command cache_lock{
    .path = "cache lock",
    .summary = "run a command while holding a lock",
    .description =
        "Waits its turn, 30s unless --timeout says otherwise, and exits with 124 when "
        "that is over, naming the holder. The kernel frees a lock whose holder dies. "
        "Exits as the command did; 125: an error of Sluice's own.",
    .arguments = cache_lock_arguments,
    .groups = cache_lock_groups,
    .global = &cache_lock_every,
    .examples = cache_lock_examples,
    .changes_something = true};
inline constexpr Command cache_health{
    .path = "cache health",
    .summary = "check the cache's promises on this machine",
    .description =
        "Size, lock, batch, exactness and statistics, in a namespace of its own. Exits "
        "with 1 when a check fails.",
    .groups = cache_place_only,
    .global = &cache_every,
    .examples = cache_health_examples};
inline constexpr Command cache_clear{
    .path = "cache clear",
    .summary = "delete all entries of a namespace",
    .description =
        "Its limits and statistics stay. On a terminal it asks; elsewhere it needs "
        "--yes.",
    .groups = cache_change_groups,
    .global = &cache_every,
    .examples = cache_clear_examples,
    .changes_something = true};

}  // namespace sluice::table
