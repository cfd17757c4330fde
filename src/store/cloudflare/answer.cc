#include "store/cloudflare/answer.h"

#include <unordered_map>

#include "store/cloudflare/answer_walk.h"

namespace sluice::store::cloudflare {

namespace {

// A time: seconds since 1970, or null.
error_code read_expiration(ondemand::value value, std::int64_t& expiration) {
  bool null = false;
  if (const auto error = is_null(value, null)) return error;
  expiration = 0;
  if (null) return simdjson::SUCCESS;
  if (const auto error = value.get_int64().get(expiration)) return error;
  return expiration < 0 ? simdjson::NUMBER_OUT_OF_RANGE : simdjson::SUCCESS;
}

error_code read_namespace(ondemand::value value, Namespace& which) {
  return each_field(value, [&](std::string_view key, ondemand::value field) -> error_code {
    std::string_view text;
    if (key != "id" && key != "title") return simdjson::SUCCESS;
    if (const auto error = read_string(field, text)) return error;
    (key == "id" ? which.id : which.title) = text;
    return simdjson::SUCCESS;
  });
}

error_code read_entry(ondemand::document& document, ondemand::value value, Block& entries) {
  EntryView entry;
  bool named = false;
  const auto error =
      each_field(value, [&](std::string_view key, ondemand::value field) -> error_code {
        if (key == "name") {
          named = true;
          return read_string(field, entry.key);
        }
        if (key == "expiration") return read_expiration(field, entry.expiration);
        if (key == "metadata") return raw_text(document, field, entry.metadata);
        return simdjson::SUCCESS;
      });
  if (error) return error;
  if (!named) return simdjson::NO_SUCH_FIELD;
  entries.append(entry);
  return simdjson::SUCCESS;
}

// `{"value":…,"metadata":…,"expiration":…}`, or the value alone. A value of null is a missing key.
error_code read_found(ondemand::document& document, ondemand::value value, Block& block,
                      EntryView& entry) {
  ondemand::json_type type{};
  if (const auto error = value.type().get(type)) return error;
  if (type != ondemand::json_type::object) {
    bool null = false;
    if (const auto error = is_null(value, null)) return error;
    entry.presence = null ? Presence::missing : Presence::present;
    if (null) return simdjson::SUCCESS;
    std::string_view text;
    if (const auto error = read_string(value, text)) return error;
    entry.value = block.copy(text);
    return simdjson::SUCCESS;
  }
  return each_field(value, [&](std::string_view key, ondemand::value field) -> error_code {
    if (key == "value") {
      bool null = false;
      if (const auto error = is_null(field, null)) return error;
      entry.presence = null ? Presence::missing : Presence::present;
      if (null) return simdjson::SUCCESS;
      std::string_view text;
      if (const auto error = read_string(field, text)) return error;
      entry.value = block.copy(text);
    } else if (key == "metadata") {
      std::string_view text;
      if (const auto error = raw_text(document, field, text)) return error;
      entry.metadata = block.copy(text);
    } else if (key == "expiration") {
      return read_expiration(field, entry.expiration);
    }
    return simdjson::SUCCESS;
  });
}

}  // namespace

struct AnswerParser::Parsers {
  ondemand::parser answers;
  ondemand::parser texts;
  std::string text;
};

AnswerParser::AnswerParser() : parsers_(std::make_unique<Parsers>()) {}
AnswerParser::~AnswerParser() = default;

Result<Envelope> AnswerParser::envelope(std::string& body) {
  const auto any = [](ondemand::document&, ondemand::value) { return simdjson::SUCCESS; };
  return read_answer(parsers_->answers, body, any, no_info);
}

Result<Envelope> AnswerParser::list_page(std::string& body, ListPage& page) {
  page = ListPage();
  bool listed = false;
  bool tells_cursor = false;
  const auto result = [&](ondemand::document& document, ondemand::value value) {
    listed = true;
    return each_item(
        value, [&](ondemand::value item) { return read_entry(document, item, page.entries); });
  };
  const auto info = [&](std::string_view key, ondemand::value value) -> error_code {
    if (key == "count") return read_count(value, page.count);
    if (key != "cursor") return simdjson::SUCCESS;
    tells_cursor = true;
    bool null = false;
    if (const auto error = is_null(value, null)) return error;
    if (null) return simdjson::SUCCESS;
    std::string_view cursor;
    if (const auto error = read_string(value, cursor)) return error;
    page.cursor = cursor;
    return simdjson::SUCCESS;
  };
  page.entries.reserve(1000);
  Result<Envelope> envelope = read_answer(parsers_->answers, body, result, info);
  if (envelope && envelope->success && !listed) return not_understood(simdjson::NO_SUCH_FIELD);
  // An answer that leaves the cursor out does not prove that the listing has ended.
  if (envelope && envelope->success && !tells_cursor) {
    return not_understood(simdjson::NO_SUCH_FIELD);
  }
  return envelope;
}

Result<Envelope> AnswerParser::namespaces(std::string& body, NamespacePage& page) {
  page = NamespacePage();
  bool listed = false;
  const auto result = [&](ondemand::document&, ondemand::value value) {
    listed = true;
    return each_item(value, [&](ondemand::value item) {
      Namespace& which = page.namespaces.emplace_back();
      const auto error = read_namespace(item, which);
      if (error) return error;
      return which.id.empty() ? simdjson::NO_SUCH_FIELD : simdjson::SUCCESS;
    });
  };
  const auto info = [&](std::string_view key, ondemand::value value) -> error_code {
    if (key == "per_page") return read_count(value, page.per_page);
    if (key == "total_count") return read_count(value, page.total_count);
    return simdjson::SUCCESS;
  };
  Result<Envelope> envelope = read_answer(parsers_->answers, body, result, info);
  if (envelope && envelope->success && !listed) return not_understood(simdjson::NO_SUCH_FIELD);
  return envelope;
}

Result<Envelope> AnswerParser::one_namespace(std::string& body, Namespace& which) {
  which = Namespace();
  const auto result = [&](ondemand::document&, ondemand::value value) {
    return read_namespace(value, which);
  };
  Result<Envelope> envelope = read_answer(parsers_->answers, body, result, no_info);
  if (envelope && envelope->success && which.id.empty()) {
    return not_understood(simdjson::NO_SUCH_FIELD);
  }
  return envelope;
}

Result<Envelope> AnswerParser::bulk_write(std::string& body, BulkResult& bulk) {
  bulk = BulkResult();
  const auto result = [&](ondemand::document&, ondemand::value value) {
    return each_field(value, [&](std::string_view key, ondemand::value field) -> error_code {
      if (key == "successful_key_count") return read_count(field, bulk.successful);
      if (key != "unsuccessful_keys") return simdjson::SUCCESS;
      bool null = false;
      if (const auto error = is_null(field, null)) return error;
      if (null) return simdjson::SUCCESS;
      return each_item(field, [&](ondemand::value item) -> error_code {
        std::string_view name;
        if (const auto error = read_string(item, name)) return error;
        bulk.unsuccessful.emplace_back(name);
        return simdjson::SUCCESS;
      });
    });
  };
  return read_answer(parsers_->answers, body, result, no_info);
}

Result<Envelope> AnswerParser::bulk_get(std::string& body, std::span<const std::string_view> keys,
                                        Block& entries) {
  entries.clear();
  entries.reserve(keys.size());
  std::unordered_map<std::string_view, std::size_t> places;
  places.reserve(keys.size());
  for (const std::string_view key : keys) {
    places.emplace(key, entries.size());
    entries.append({.key = key, .value = {}, .metadata = {}, .presence = Presence::failed});
  }
  bool answered = false;
  const auto result = [&](ondemand::document& document, ondemand::value value) {
    return each_field(value, [&](std::string_view name, ondemand::value values) -> error_code {
      if (name != "values") return simdjson::SUCCESS;
      answered = true;
      return each_field(values, [&](std::string_view key, ondemand::value found) -> error_code {
        const auto place = places.find(key);
        // What was not asked for is of no interest, but has to be JSON.
        if (place == places.end()) return walk(found, 0);
        return read_found(document, found, entries, entries[place->second]);
      });
    });
  };
  Result<Envelope> envelope = read_answer(parsers_->answers, body, result, no_info);
  if (envelope && envelope->success && !answered) return not_understood(simdjson::NO_SUCH_FIELD);
  return envelope;
}

Result<Envelope> AnswerParser::metadata(std::string& body, std::string& metadata) {
  metadata.clear();
  const auto result = [&](ondemand::document& document, ondemand::value value) {
    std::string_view text;
    const auto error = raw_text(document, value, text);
    metadata = text;
    return error;
  };
  return read_answer(parsers_->answers, body, result, no_info);
}

bool AnswerParser::is_json(std::string_view text) {
  // Within an array, so that a number or string alone is checked like any other value.
  std::string& copy = parsers_->text;
  copy.clear();
  copy.append("[").append(text).append("]");
  ondemand::document document;
  if (parse(parsers_->texts, copy, document)) return false;
  ondemand::array array;
  if (document.get_array().get(array)) return false;
  std::size_t values = 0;
  for (auto item : array) {
    ondemand::value value;
    if (std::move(item).get(value) || walk(value, 0)) return false;
    ++values;
  }
  return values == 1 && check_end(document) == simdjson::SUCCESS;
}

bool adds_up(const BulkResult& result, bool success, std::size_t sent) {
  const std::size_t failed = result.unsuccessful.size();
  if (failed > sent) return false;
  if (result.successful) return *result.successful == sent - failed;
  // Older answers have no result, and mean that all is done.
  return success;
}

}  // namespace sluice::store::cloudflare
