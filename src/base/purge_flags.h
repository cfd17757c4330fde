// The arguments, flags and examples of the commands that purge caches. For command_table.cc only.
#pragma once

#include "base/shared_flags.h"

namespace sluice::table {

inline constexpr std::string_view plans[] = {"free", "pro", "business", "enterprise"};
inline constexpr std::string_view list_formats[] = {"auto", "text", "csv", "json", "ndjson"};

inline constexpr Flag zone_place[] = {
    {.name = "account",
     .value = "ID",
     .kind = text,
     .help = "only zones of this Cloudflare account"},
    api_base_url_flag,
};
inline constexpr Flag one_zone[] = {
    {.name = "zone",
     .value = "ZONE",
     .kind = text,
     .repeatable = true,
     .help = "the zone, by name or id; several: repeated, or a list with commas "
             "(else CLOUDFLARE_ZONE_ID)"},
    {.name = "plan",
     .value = "PLAN",
     .kind = choice,
     .choices = plans,
     .help = "keep to the rate of this plan: free, pro, business or enterprise (default: what the "
             "zone says, else free)"},
};
inline constexpr Flag all_zones[] = {
    {.name = "all-zones", .help = "all zones that the credentials can see"},
};
inline constexpr Flag purge_input[] = {
    {.name = "from",
     .value = "FILE",
     .kind = file,
     .repeatable = true,
     .help = "items in this file, plain or compressed; - is stdin"},
    {.name = "format",
     .value = "FORMAT",
     .kind = choice,
     .choices = list_formats,
     .standard = "auto",
     .help = "of the file: text (one a line), csv, json or ndjson (default: by its name, else its "
             "beginning)"},
    {.name = "column",
     .value = "COLUMN",
     .kind = text,
     .help = "the column of a CSV file, by name, or by number if it has no header"},
    {.name = "field", .value = "NAME", .kind = text, .help = "the field of JSON objects"},
    {.name = "null", .letter = '0', .help = "items in a text file end in NUL"},
};
inline constexpr Flag file_headers[] = {
    {.name = "header",
     .value = "NAME: VALUE",
     .kind = text,
     .repeatable = true,
     .help = "purge the variant that requests with this header are answered with"},
};
inline constexpr Flag purge_work[] = {
    {.name = "batch-size",
     .value = "N",
     .kind = count,
     .least = 1,
     .help = "items of one call at most (default and most: 100; files of the plan enterprise 500)"},
    concurrency_flag,
    {.name = "failures",
     .value = "FILE",
     .kind = file,
     .help = "write what was not purged to this file (default: one in the folder of jobs)"},
};

inline constexpr FlagGroup purge_everything_groups[] = {
    {"Zone", one_zone}, {"Zones", all_zones}, {"Cloudflare", zone_place},
    {"Change", change}, {"Work", purge_work}, {"Cache", looking_up}};
inline constexpr FlagGroup purge_items_groups[] = {
    {"Zone", one_zone}, {"Zones", all_zones}, {"Input", purge_input}, {"Cloudflare", zone_place},
    {"Change", change}, {"Work", purge_work}, {"Cache", looking_up}};
inline constexpr FlagGroup purge_files_groups[] = {
    {"Zone", one_zone},         {"Zones", all_zones},       {"Input", purge_input},
    {"Variants", file_headers}, {"Cloudflare", zone_place}, {"Change", change},
    {"Work", purge_work},       {"Cache", looking_up}};

inline constexpr Argument urls_to_purge[] = {
    {.name = "URL", .required = false, .repeatable = true, .help = "URLs of files"}};
inline constexpr Argument tags_to_purge[] = {{.name = "TAG",
                                              .required = false,
                                              .repeatable = true,
                                              .help = "cache tags, or lists of them with commas"}};
inline constexpr Argument hosts_to_purge[] = {{.name = "HOST",
                                               .required = false,
                                               .repeatable = true,
                                               .help = "hosts, or lists of them with commas"}};
inline constexpr Argument prefixes_to_purge[] = {
    {.name = "PREFIX",
     .required = false,
     .repeatable = true,
     .help = "beginnings of URLs without a scheme (www.example.com/blog), or lists with commas"}};

inline constexpr Example purge_everything_examples[] = {
    {"sluice purge everything --zone example.com", "asks, since everything is loaded anew"},
    {"sluice purge everything --all-zones --dry-run", "says which zones those are"},
};
inline constexpr Example purge_files_examples[] = {
    {"sluice purge files https://www.example.com/logo.png", "finds the zone from the host"},
    {"sluice purge files --from urls.csv --column url --header 'CF-Device-Type: mobile'",
     "the mobile variants of a list"},
};
inline constexpr Example purge_tags_examples[] = {
    {"sluice purge tags --zone example.com blog,news", "two tags"},
    {"sluice purge tags --zone example.com,example.org --from tags.txt", "a list, in two zones"},
};
inline constexpr Example purge_hosts_examples[] = {
    {"sluice purge hosts www.example.com images.example.com", "finds the zone from the host"},
};
inline constexpr Example purge_prefixes_examples[] = {
    {"sluice purge prefixes www.example.com/blog", "everything below that path"},
};

inline constexpr Flag zone_list[] = {
    {.name = "name",
     .value = "TEXT",
     .kind = text,
     .help = "only zones with this text in their name"},
};
inline constexpr FlagGroup zones_list_groups[] = {{"Zones", zone_list}, {"Cloudflare", zone_place}};
inline constexpr FlagGroup zones_get_groups[] = {{"Cloudflare", zone_place}};
inline constexpr Argument zone_argument[] = {{.name = "ZONE", .help = "the zone, by name or id"}};
inline constexpr Example zones_list_examples[] = {
    {"sluice zones list", "every zone that the credentials can see"},
    {"sluice zones list --name example --json", "for a script"},
};
inline constexpr Example zones_get_examples[] = {
    {"sluice zones get example.com", "its id, status, plan and account"}};

inline constexpr Argument keys_to_kv_purge[] = {
    {.name = "KEY",
     .required = false,
     .repeatable = true,
     .help = "keys to delete; else the selection says which"}};
inline constexpr Flag kv_purge_tags[] = {
    {.name = "tags-from",
     .value = "FIELD",
     .kind = text,
     .help = "the metadata field that holds the cache tags (default: cache-tag, cache-tags, "
             "cacheTags, tag and tags)"},
    {.name = "tag",
     .value = "TAG",
     .kind = text,
     .repeatable = true,
     .help = "purge this cache tag, too; several: repeated, or a list with commas"},
};
inline constexpr Example kv_purge_examples[] = {
    {"sluice kv purge --namespace pages --prefix blog/ --zone example.com --dry-run",
     "how many keys and tags would go"},
    {"sluice kv purge --namespace pages --search old-data --zone example.com --tag front-page",
     "deletes the keys, then purges their tags and one more"},
};

}  // namespace sluice::table
