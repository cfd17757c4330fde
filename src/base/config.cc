#include "base/config.h"

// The library is told here, and only here, to answer errors instead of throwing them.
#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <sstream>
#include <vector>

#include "base/command.h"
#include "base/text_distance.h"
#include "base/uri.h"
#include "base/utf8.h"

namespace sluice {
namespace {

constexpr ConfigKey keys[] = {
    {.key = "store",
     .flag = "store",
     .help = "The store that commands work on (default: the embedded one, sqlite:).",
     .sample = "\"sqlite:\""},
    {.key = "namespace",
     .flag = "namespace",
     .help = "The namespace in it, by title or id.",
     .sample = "\"default\""},
    {.key = "concurrency",
     .flag = "concurrency",
     .help = "Requests at the same time at most.",
     .sample = "10"},
    {.key = "batch_size",
     .flag = "batch-size",
     .help = "Entries of one call at most (default: as many as the store takes).",
     .sample = "10000"},
    {.key = "in_flight",
     .flag = "in-flight",
     .help = "Memory for entries on their way.",
     .sample = "\"32MB\""},
    {.key = "rate",
     .flag = "rate",
     .help = "Requests in any such time at most, or \"off\" (default: what the service allows).",
     .sample = "\"1200/5m\""},
    {.key = "timeout",
     .flag = "timeout",
     .help = "Give up a single request after this time.",
     .sample = "\"60s\""},
    {.key = "progress",
     .flag = "progress",
     .help = "How progress is shown: auto, bar, plain or off.",
     .sample = "\"auto\""},
    {.key = "color",
     .flag = "color",
     .help = "Colours: auto, always or never.",
     .sample = "\"auto\""},
    {.key = "log_level",
     .flag = "log-level",
     .help = "Log from this level on: trace, debug, info, warn, error or off.",
     .sample = "\"warn\""},
    {.key = "cache_ttl",
     .flag = "cache-ttl",
     .help = "How long look-ups and values are kept in the local cache; \"0s\": nothing is.",
     .sample = "\"5m\""},
    {.key = "cache_max_entries",
     .flag = "cache-max-entries",
     .help = "How many of either kind at most.",
     .sample = "10000"},
    {.key = "cache_max_size",
     .flag = "cache-max-size",
     .help = "How many bytes of either kind at most.",
     .sample = "\"50MB\""},
    {.key = "cloudflare.account_id",
     .flag = "account",
     .environment = "CLOUDFLARE_ACCOUNT_ID",
     .help = "The account (CLOUDFLARE_ACCOUNT_ID).",
     .sample = "\"0123456789abcdef0123456789abcdef\""},
    {.key = "cloudflare.api_token",
     .environment = "CLOUDFLARE_API_TOKEN",
     .secret = true,
     .help = "A token that may edit Workers KV, or purge caches (CLOUDFLARE_API_TOKEN).",
     .sample = "\"…\""},
    {.key = "cloudflare.email",
     .environment = "CLOUDFLARE_EMAIL",
     .help = "Instead of a token: the user's address (CLOUDFLARE_EMAIL) …",
     .sample = "\"you@example.com\""},
    {.key = "cloudflare.api_key",
     .environment = "CLOUDFLARE_API_KEY",
     .secret = true,
     .help = "… and global API key (CLOUDFLARE_API_KEY).",
     .sample = "\"…\""},
    {.key = "cloudflare.zone_id",
     .flag = "zone",
     .environment = "CLOUDFLARE_ZONE_ID",
     .help = "The zone whose cache is purged (CLOUDFLARE_ZONE_ID).",
     .sample = "\"0123456789abcdef0123456789abcdef\""},
    {.key = "cloudflare.api_base_url",
     .flag = "api-base-url",
     .environment = "CLOUDFLARE_API_BASE_URL",
     .help = "Where the API is, if not at Cloudflare (CLOUDFLARE_API_BASE_URL).",
     .sample = "\"https://api.cloudflare.com/client/v4\""},
    {.key = "serve.listen",
     .flag = "listen",
     .help = "Where `sluice serve` listens.",
     .sample = "\"127.0.0.1:8787\""},
    {.key = "serve.token_file",
     .flag = "token-file",
     .help = "Who may do what there: a file of tokens …",
     .sample = "\"/etc/sluice/tokens.toml\""},
    {.key = "serve.tokens",
     .secret = true,
     .tables = true,
     .help = "… or the tokens themselves, also written as [[serve.tokens]] (docs/server.md).",
     .sample = "[{ name = \"ci\", sha256 = \"5e884898…\", access = \"write\" }]"},
};

const ConfigKey* find_key(std::string_view key) {
  const auto found = std::ranges::find(keys, key, &ConfigKey::key);
  return found == std::end(keys) ? nullptr : &*found;
}

// The table's flag behind a key, from whichever command has it.
const Flag* flag_of(const ConfigKey& key) {
  if (key.flag.empty()) return nullptr;
  for (const Command& command : commands()) {
    if (const Flag* flag = find_flag(command, key.flag)) return flag;
  }
  return nullptr;
}

std::string did_you_mean_key(std::string_view key) {
  std::vector<std::string_view> names;
  names.reserve(std::size(keys));
  for (const ConfigKey& known : keys) names.push_back(known.key);
  if (std::string guess = did_you_mean(key, names); !guess.empty()) return guess;
  // "api_token" outside its table, or inside a wrong one.
  const std::string_view last = key.substr(key.rfind('.') + 1);
  std::vector<std::string_view> lasts;
  lasts.reserve(names.size());
  for (const std::string_view name : names) lasts.push_back(name.substr(name.rfind('.') + 1));
  const std::optional<std::string_view> guess = nearest(last, lasts);
  if (!guess) return {};
  const auto at = static_cast<std::size_t>(std::ranges::find(lasts, *guess) - lasts.begin());
  return fmt::format(" Did you mean \"{}\"?", names[at]);
}

struct Place {
  std::string_view file;
  toml::source_index line;
};

// The tables of an array as TOML text of their own.
Result<std::string> tables_text(const toml::node& node, std::string_view key, Place place) {
  const toml::array* array = node.as_array();
  if (array == nullptr || array->empty() || !array->is_homogeneous<toml::table>()) {
    return fail(ErrorCode::invalid_argument, "{}:{}: \"{}\" must be tables: write [[{}]].",
                place.file, place.line, key, key);
  }
  std::ostringstream out;
  out << toml::table{{key.substr(key.rfind('.') + 1), *array}};
  return out.str();
}

// The value as a flag would be given it. Only the kinds of values that flags can be written with.
Result<std::string> value_text(const toml::node& node, std::string_view key, Place place) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return fmt::format("{}", number->get());
  if (const auto* boolean = node.as_boolean()) return boolean->get() ? "true" : "false";
  return fail(
      ErrorCode::invalid_argument,
      "{}:{}: the value of \"{}\" must be a text in quotes, a whole number, or true or false.",
      place.file, place.line, key);
}

}  // namespace

std::span<const ConfigKey> config_keys() {
  return keys;
}

const ConfigKey* find_config_key_of_variable(std::string_view variable) {
  if (variable.empty()) return nullptr;
  const auto found = std::ranges::find(keys, variable, &ConfigKey::environment);
  return found == std::end(keys) ? nullptr : &*found;
}

Result<Config> Config::parse(std::string_view toml_text, std::string_view file) {
  const toml::parse_result parsed = toml::parse(toml_text);
  if (!parsed) {
    // The library's own description quotes the text, which may be a secret without its quotes.
    const toml::source_position at = parsed.error().source().begin;
    return fail(
        ErrorCode::invalid_argument,
        "{}:{}: the file is not valid TOML here (column {}). A setting is written as "
        "name = \"text\" or name = 10, and each name only once; `sluice config init` writes a "
        "sample.",
        file, at.line, at.column);
  }
  Config config;
  // Tables still to be read, each with the path of its keys.
  std::vector<std::pair<std::string, const toml::table*>> tables{{"", &parsed.table()}};
  while (!tables.empty()) {
    const auto [prefix, table] = tables.back();
    tables.pop_back();
    for (const auto& [name, node] : *table) {
      const std::string key = prefix + std::string(name.str());
      const Place place{file, node.source().begin.line};
      if (const toml::table* inner = node.as_table()) {
        const bool known = std::ranges::any_of(
            keys, [&](const ConfigKey& known_key) { return known_key.key.starts_with(key + "."); });
        if (!known) {
          return fail(ErrorCode::invalid_argument, "{}:{}: there is no section [{}].{}", file,
                      place.line, printable(key), did_you_mean_key(key));
        }
        tables.emplace_back(key + ".", inner);
        continue;
      }
      const ConfigKey* known = find_key(key);
      if (known == nullptr) {
        return fail(ErrorCode::invalid_argument, "{}:{}: there is no setting \"{}\".{}", file,
                    place.line, printable(key), did_you_mean_key(key));
      }
      Result<std::string> text =
          known->tables ? tables_text(node, key, place) : value_text(node, key, place);
      if (!text) return std::unexpected(std::move(text.error()));
      if (const Flag* flag = flag_of(*known)) {
        if (Result<> ok =
                check_value(*flag, *text, fmt::format("{}:{}: {}", file, place.line, key));
            !ok) {
          return std::unexpected(std::move(ok.error()));
        }
      }
      config.values_.insert_or_assign(key, Secret(std::move(*text)));
    }
  }
  return config;
}

std::optional<std::string_view> Config::get(std::string_view key) const {
  const auto found = values_.find(key);
  if (found == values_.end()) return std::nullopt;
  return found->second.reveal();
}

bool Config::has_secrets() const {
  const std::string_view store = get("store").value_or("");
  if (without_password(store) != store) return true;
  return std::ranges::any_of(
      keys, [&](const ConfigKey& key) { return key.secret && !get(key.key).value_or("").empty(); });
}

std::string sample_config() {
  std::string out =
      "# Sluice's settings. A line that begins with # is a comment: take the # away to set a "
      "value.\n"
      "# A flag goes before the environment (SLUICE_STORE, …), which goes before this file.\n"
      "# `sluice config show` tells what is in effect and why, `sluice doctor` whether it works.\n";
  std::string section;
  for (const ConfigKey& key : keys) {
    const std::size_t dot = key.key.rfind('.');
    std::string_view name = key.key;
    if (dot != std::string_view::npos) {
      if (section != key.key.substr(0, dot)) {
        section = key.key.substr(0, dot);
        out += fmt::format("\n[{}]\n", section);
      }
      name = key.key.substr(dot + 1);
    }
    out += fmt::format("\n# {}\n# {} = {}\n", key.help, name, key.sample);
  }
  return out;
}

}  // namespace sluice
