// The routes that carry many keys: listing and the bulk calls.
#include <simdjson.h>

#include <algorithm>
#include <array>

#include "tests/cloudflare/api.h"
#include "tests/cloudflare/envelope.h"

namespace sluice::cloudflare_fake {
namespace {

namespace ondemand = simdjson::ondemand;

constexpr std::size_t pairs_limit = 10'000;
constexpr std::size_t put_bytes_limit = 100'000'000;
constexpr std::size_t value_limit = 25u << 20;
constexpr std::size_t metadata_limit = 1024;
constexpr std::size_t get_keys_limit = 100;
constexpr std::size_t get_bytes_limit = 25u << 20;

// What a request's body is refused with. Thrown, because a body is judged deep in its parsing.
struct BadBody {
  int status = 400;
  Code code = Code::malformed_body;
  std::string message;
};

[[noreturn]] void bad(Code code, std::string message) {
  throw BadBody{400, code, std::move(message)};
}

template <class T>
T must(simdjson::simdjson_result<T> result, std::string_view what) {
  T value;
  if (const auto error = std::move(result).get(value); error != simdjson::SUCCESS) {
    bad(Code::malformed_body, fmt::format("could not parse {}", what));
  }
  return value;
}

constexpr std::string_view base64_digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::string decode_base64(std::string_view text) {
  static const std::array<signed char, 256> values = [] {
    std::array<signed char, 256> table;
    table.fill(-1);
    for (std::size_t i = 0; i < base64_digits.size(); ++i) {
      table[static_cast<unsigned char>(base64_digits[i])] = static_cast<signed char>(i);
    }
    return table;
  }();
  if (text.size() % 4 != 0) bad(Code::malformed_body, "the value is not base64");
  std::size_t padding = 0;
  while (padding < 2 && !text.empty() && text.back() == '=') {
    text.remove_suffix(1);
    ++padding;
  }
  std::string bytes;
  bytes.reserve(text.size() * 3 / 4);
  std::uint32_t bits = 0;
  int held = 0;
  for (const char c : text) {
    const int value = values[static_cast<unsigned char>(c)];
    if (value < 0) bad(Code::malformed_body, "the value is not base64");
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    held += 6;
    if (held >= 8) {
      held -= 8;
      bytes += static_cast<char>(bits >> held & 0xFF);
    }
  }
  return bytes;
}

struct Pair {
  std::string key;
  Entry entry;
};

std::optional<std::int64_t> optional_integer(ondemand::object& object, std::string_view name) {
  ondemand::value value;
  if (object.find_field_unordered(name).get(value) != simdjson::SUCCESS) return std::nullopt;
  ondemand::json_type type;
  if (value.type().get(type) == simdjson::SUCCESS && type == ondemand::json_type::null) {
    return std::nullopt;
  }
  return must(value.get_int64(), name);
}

Pair read_pair(ondemand::object object, std::int64_t now) {
  Pair pair;
  pair.key = must(object.find_field_unordered("key").get_string(), "key");
  if (const std::string problem = key_problem(pair.key); !problem.empty()) {
    bad(Code::bad_key, problem);
  }
  const std::string_view value =
      must(object.find_field_unordered("value").get_string(), "value, which must be a string");
  bool base64 = false;
  ondemand::value flag;
  if (object.find_field_unordered("base64").get(flag) == simdjson::SUCCESS) {
    base64 = must(flag.get_bool(), "base64");
  }
  pair.entry.value = base64 ? decode_base64(value) : std::string(value);
  if (pair.entry.value.size() > value_limit) {
    throw BadBody{413, Code::too_large, "value length exceeds limit of 26214400"};
  }
  ondemand::value metadata;
  if (object.find_field_unordered("metadata").get(metadata) == simdjson::SUCCESS) {
    const std::string_view text = must(simdjson::to_json_string(metadata), "metadata");
    if (text != "null") pair.entry.metadata = text;
    if (text.size() > metadata_limit) {
      throw BadBody{413, Code::too_large, "metadata is larger than 1024 bytes"};
    }
  }
  const auto expiration = optional_integer(object, "expiration");
  const auto ttl = optional_integer(object, "expiration_ttl");
  if (const std::string problem = expiration_problem(expiration, ttl, now, pair.entry.expiration);
      !problem.empty()) {
    bad(Code::bad_expiration, problem);
  }
  return pair;
}

// Calls `each(value)` for the elements of an array document, and refuses what follows it.
template <class Each>
void for_each_element(const std::string& body, Each each) {
  simdjson::padded_string padded(body);
  ondemand::parser parser;
  ondemand::document document = must(parser.iterate(padded), "the body");
  ondemand::array array = must(document.get_array(), "the body, which must be an array");
  for (auto element : array) each(must(std::move(element), "an element"));
  const char* ignored = nullptr;
  if (document.current_location().get(ignored) != simdjson::OUT_OF_BOUNDS) {
    bad(Code::malformed_body, "something follows the array");
  }
}

void check_count(std::size_t count, std::size_t limit, std::size_t max_batch) {
  if (count > limit) {
    bad(Code::too_many_pairs,
        fmt::format("received {} key/value pairs, but max allowed per request is: {}", count,
                    limit));
  }
  if (max_batch != 0 && count > max_batch) {
    throw BadBody{413, Code::too_large, "Payload Too Large"};
  }
}

std::vector<std::string> read_keys(const std::string& body) {
  std::vector<std::string> keys;
  for_each_element(body, [&](ondemand::value value) {
    keys.emplace_back(must(value.get_string(), "a key, which must be a string"));
  });
  return keys;
}

Answer answer_to(const BadBody& problem) {
  return refuse(problem.status, problem.code, problem.message);
}

constexpr std::string_view hex_digits = "0123456789abcdef";

std::string to_hex(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text += hex_digits[byte >> 4];
    text += hex_digits[byte & 15];
  }
  return text;
}

std::optional<std::string> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const std::size_t high = hex_digits.find(text[i]);
    const std::size_t low = hex_digits.find(text[i + 1]);
    if (high == std::string_view::npos || low == std::string_view::npos) return std::nullopt;
    bytes += static_cast<char>(high * 16 + low);
  }
  return bytes;
}

}  // namespace

// A cursor belongs to its namespace. As with the service, it does not remember the prefix: a client
// that does not repeat that gets other keys.
std::string Api::cursor_for(const Namespace& where, std::string_view last_key) const {
  return where.id.substr(0, 8) + to_hex(last_key);
}

Answer Api::list_keys(Call& call, Namespace& where) {
  const auto parameter = [&](std::string_view name) -> std::string_view {
    const auto at = call.query.find(name);
    return at == call.query.end() ? std::string_view() : at->second;
  };
  std::size_t limit = 1000;
  if (const std::string_view text = parameter("limit"); !text.empty()) {
    const auto number = parse_integer(text);
    if (!number || *number < 10 || *number > 1000) {
      return refuse(400, Code::bad_limit, "limit must be from 10 to 1000");
    }
    limit = static_cast<std::size_t>(*number);
  }
  std::optional<std::string> after;
  if (const std::string_view cursor = parameter("cursor"); !cursor.empty()) {
    if (call.fault == Fault::refuse_cursor || !cursor.starts_with(where.id.substr(0, 8))) {
      return refuse(400, Code::bad_cursor, "invalid cursor");
    }
    after = from_hex(cursor.substr(8));
    if (!after) return refuse(400, Code::bad_cursor, "invalid cursor");
  }
  const auto page_answer = [](std::string_view result, std::size_t count, std::string_view cursor) {
    return succeed(result, fmt::format(R"({{"count":{},"cursor":"{}"}})", count, cursor));
  };
  if (call.fault == Fault::empty_page) {
    // Nothing is lost: the cursor leads to where this page would have begun.
    return page_answer("[]", 0, cursor_for(where, after.value_or("")));
  }
  bool more = false;
  auto page = where.keyspace.list(parameter("prefix"), after, limit, now(), more);
  const std::string cursor = more ? cursor_for(where, page.back().key) : std::string();
  if (options_.shuffle_pages) std::ranges::shuffle(page, random_);
  stats_.keys_listed += page.size();
  std::string result = "[";
  result.reserve(page.size() * 160);
  for (const auto& listed : page) {
    if (result.size() > 1) result += ',';
    result += R"({"name":)";
    append_text(result, listed.key);
    if (listed.expiration != 0) result += fmt::format(R"(,"expiration":{})", listed.expiration);
    if (!listed.metadata.empty()) {
      result += R"(,"metadata":)";
      result += listed.metadata;
    }
    result += '}';
  }
  result += ']';
  return page_answer(result, page.size(), cursor);
}

std::set<std::string, std::less<>> Api::failing_keys(const Call& call,
                                                     std::span<const std::string> keys) {
  std::set<std::string, std::less<>> failing;
  auto& told = faults_.plan().fail_keys;
  for (const std::string& key : keys) {
    if (const auto at = told.find(key); at != told.end() && at->second != 0) {
      if (at->second > 0) --at->second;
      failing.insert(key);
    } else if (call.fault == Fault::fail_some_keys && (failing.empty() || random_() % 10 == 0) &&
               failed_once_.insert(key).second) {
      failing.insert(key);
    }
  }
  return failing;
}

Answer Api::bulk_answer(const Call& call, const BulkOutcome& outcome) {
  const std::uint64_t count =
      call.fault == Fault::wrong_count && outcome.done > 0 ? outcome.done - 1 : outcome.done;
  std::string result = fmt::format(R"({{"successful_key_count":{},"unsuccessful_keys":[)", count);
  for (std::size_t i = 0; i < outcome.failed.size(); ++i) {
    if (i != 0) result += ',';
    append_text(result, outcome.failed[i]);
  }
  result += "]}";
  if (!outcome.failed.empty() && faults_.plan().partial_status >= 400) {
    return refuse(faults_.plan().partial_status, Code::internal, "some keys could not be processed",
                  result);
  }
  return succeed(result);
}

Answer Api::bulk_put(Call& call, Namespace& where) {
  if (call.request.body.size() > put_bytes_limit) {
    return refuse(413, Code::too_large, "the body is larger than 100 megabytes");
  }
  try {
    std::vector<Pair> pairs;
    std::vector<std::string> keys;
    for_each_element(call.request.body, [&](ondemand::value value) {
      pairs.push_back(
          read_pair(must(value.get_object(), "a pair, which must be an object"), now()));
      keys.push_back(pairs.back().key);
    });
    check_count(pairs.size(), pairs_limit, faults_.plan().max_batch);
    const auto failing = failing_keys(call, keys);
    BulkOutcome outcome;
    for (Pair& pair : pairs) {
      if (failing.contains(pair.key)) {
        outcome.failed.push_back(std::move(pair.key));
        continue;
      }
      ++outcome.done;
      applied_.put(where.id, pair.key);
      if (!options_.discard) where.keyspace.put(std::move(pair.key), std::move(pair.entry));
    }
    stats_.keys_put += outcome.done;
    return bulk_answer(call, outcome);
  } catch (const BadBody& problem) {
    return answer_to(problem);
  }
}

Answer Api::bulk_delete(Call& call, Namespace& where) {
  try {
    std::vector<std::string> keys = read_keys(call.request.body);
    check_count(keys.size(), pairs_limit, faults_.plan().max_batch);
    for (const std::string& key : keys) {
      if (const std::string problem = key_problem(key); !problem.empty()) {
        return refuse(400, Code::bad_key, problem);
      }
    }
    const auto failing = failing_keys(call, keys);
    BulkOutcome outcome;
    for (std::string& key : keys) {
      if (failing.contains(key)) {
        outcome.failed.push_back(std::move(key));
        continue;
      }
      ++outcome.done;
      applied_.erased(where.id, key);
      if (where.keyspace.erase(key, now())) ++stats_.keys_erased;
    }
    return bulk_answer(call, outcome);
  } catch (const BadBody& problem) {
    return answer_to(problem);
  }
}

Answer Api::bulk_get(Call& call, Namespace& where) {
  try {
    std::vector<std::string> keys;
    bool with_metadata = false;
    {
      simdjson::padded_string padded(call.request.body);
      ondemand::parser parser;
      ondemand::document document = must(parser.iterate(padded), "the body");
      ondemand::object object = must(document.get_object(), "the body, which must be an object");
      for (auto key : must(object.find_field_unordered("keys").get_array(), "keys")) {
        keys.emplace_back(must(key.get_string(), "a key, which must be a string"));
      }
      ondemand::value value;
      if (object.find_field_unordered("type").get(value) == simdjson::SUCCESS &&
          must(value.get_string(), "type") != "text") {
        bad(Code::malformed_body, "this server knows only the type text");
      }
      if (object.find_field_unordered("withMetadata").get(value) == simdjson::SUCCESS) {
        with_metadata = must(value.get_bool(), "withMetadata");
      }
    }
    if (keys.empty()) bad(Code::malformed_body, "no keys");
    check_count(keys.size(), get_keys_limit, faults_.plan().max_batch);
    for (const std::string& key : keys) {
      if (const std::string problem = key_problem(key); !problem.empty()) {
        return refuse(400, Code::bad_key, problem);
      }
    }
    // An object names a key once, however often it was asked for.
    std::ranges::sort(keys);
    keys.erase(std::ranges::unique(keys).begin(), keys.end());
    if (faults_.plan().ignore_with_metadata) with_metadata = false;
    std::string result = R"({"values":{)";
    std::size_t bytes = 0;
    bool first = true;
    for (const std::string& key : keys) {
      if (!std::exchange(first, false)) result += ',';
      append_text(result, key);
      result += ':';
      const auto entry = where.keyspace.find(key, now());
      if (!entry) {
        result += "null";
        continue;
      }
      ++stats_.values_read;
      bytes += entry->value.size();
      if (bytes > get_bytes_limit) {
        return refuse(413, Code::too_large, "the values are larger than 25 megabytes in total");
      }
      const std::string text = as_text(entry->value, faults_.plan().drop_byte_order_mark);
      if (!with_metadata) {
        append_text(result, text);
        continue;
      }
      result += R"({"value":)";
      append_text(result, text);
      result += R"(,"metadata":)";
      result += entry->metadata.empty() ? "null" : entry->metadata;
      if (entry->expiration != 0) result += fmt::format(R"(,"expiration":{})", entry->expiration);
      result += '}';
    }
    result += "}}";
    return succeed(result);
  } catch (const BadBody& problem) {
    return answer_to(problem);
  }
}

}  // namespace sluice::cloudflare_fake
