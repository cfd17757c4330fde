#include "bulk/entry_writer.h"

#include <algorithm>
#include <charconv>

#include "base/base64.h"
#include "base/json_text.h"
#include "base/utf8.h"
#include "bulk/byte_order_mark.h"

namespace sluice::bulk {

namespace {

using store::EntryView;
using store::Presence;

void append_integer(std::int64_t number, std::string& out) {
  char text[24];
  out.append(text, std::to_chars(text, text + sizeof text, number).ptr);
}

// memchr is several times as fast as find_first_of with a set.
bool has(std::string_view text, char c) {
  return text.find(c) != std::string_view::npos;
}

void append_field(std::string_view text, std::string& out) {
  if (!has(text, ',') && !has(text, '"') && !has(text, '\n') && !has(text, '\r')) {
    out += text;
    return;
  }
  out += '"';
  for (;;) {
    const std::size_t quote = text.find('"');
    if (quote == std::string_view::npos) break;
    out.append(text, 0, quote + 1);
    out += '"';
    text.remove_prefix(quote + 1);
  }
  out += text;
  out += '"';
}

}  // namespace

void append_key_field(std::string_view key, std::string& out) {
  if (is_utf8(key)) {
    out += "\"key\":";
    append_json_string(out, key);
    return;
  }
  out += "\"key\":\"";
  append_base64(out, key);
  out += "\",\"key_base64\":true";
}

void EntryWriter::begin(std::string& out) const {
  if (!empty_) return;
  if (options_.format == Format::json) out += '[';
  if (options_.format == Format::csv) {
    out += options_.values ? "key,value,base64" : "key";
    out += options_.metadata ? ",metadata,expiration\r\n" : ",expiration\r\n";
  }
}

void EntryWriter::append(const EntryView& entry, std::string& out) {
  switch (options_.format) {
    case Format::ndjson: {
      append_object(entry, out);
      out += '\n';
      break;
    }
    case Format::json: {
      out += empty_ ? "\n" : ",\n";
      append_object(entry, out);
      break;
    }
    case Format::csv:
      append_record(entry, out);
      break;
    case Format::keys:
      append_key(entry.key, out);
      break;
  }
  empty_ = false;
}

void EntryWriter::end(std::string& out) const {
  if (options_.format == Format::json) out += "\n]\n";
}

void EntryWriter::append_object(const EntryView& entry, std::string& out) const {
  out += '{';
  append_key_field(entry.key, out);
  if (entry.presence == Presence::present) {
    if (is_utf8(entry.value)) {
      out += ",\"value\":";
      append_json_string(out, entry.value);
    } else {
      out += ",\"value\":\"";
      append_base64(out, entry.value);
      out += "\",\"base64\":true";
    }
  }
  if (options_.metadata && !entry.metadata.empty()) {
    out += ",\"metadata\":";
    const std::size_t from = out.size();
    out += entry.metadata;
    // Valid JSON has line breaks only between tokens, where a space means the same. Within a line
    // of NDJSON one would cut the record in two.
    if (options_.format == Format::ndjson &&
        (has(entry.metadata, '\n') || has(entry.metadata, '\r'))) {
      std::replace_if(
          out.begin() + static_cast<std::ptrdiff_t>(from), out.end(),
          [](char c) { return c == '\n' || c == '\r'; }, ' ');
    }
  }
  if (entry.expiration != 0) {
    out += ",\"expiration\":";
    append_integer(entry.expiration, out);
  }
  out += '}';
}

void EntryWriter::append_record(const EntryView& entry, std::string& out) const {
  append_field(entry.key, out);
  if (options_.values) {
    out += ',';
    if (entry.presence == Presence::present && !is_utf8(entry.value)) {
      append_base64(out, entry.value);
      out += ",true";
    } else {
      append_field(entry.value, out);
      out += ',';
    }
  }
  if (options_.metadata) {
    out += ',';
    append_field(entry.metadata, out);
  }
  out += ',';
  if (entry.expiration != 0) append_integer(entry.expiration, out);
  out += "\r\n";
}

void EntryWriter::append_key(std::string_view key, std::string& out) const {
  const char end = options_.nul ? '\0' : '\n';
  bool as_object = key.empty() || key.find(end) != std::string_view::npos ||
                   (key.front() == '{' && (key.back() == '}' || key.starts_with("{\"key\"")));
  if (!options_.nul && !as_object)
    as_object = key.back() == '\r' || key.starts_with(kByteOrderMark);
  if (as_object) {
    out += '{';
    append_key_field(key, out);
    out += '}';
  } else {
    out += key;
  }
  out += end;
}

}  // namespace sluice::bulk
