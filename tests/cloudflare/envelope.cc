#include "tests/cloudflare/envelope.h"

#include <simdjson.h>

#include <charconv>

namespace sluice::cloudflare_fake {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

Answer succeed(std::string_view result, std::string_view info) {
  Answer answer;
  answer.body.reserve(result.size() + info.size() + 80);
  answer.body += R"({"result":)";
  answer.body += result;
  answer.body += R"(,"success":true,"errors":[],"messages":[])";
  if (!info.empty()) {
    answer.body += R"(,"result_info":)";
    answer.body += info;
  }
  answer.body += '}';
  return answer;
}

Answer refuse(int status, Code code, std::string_view message, std::string_view result) {
  Answer answer;
  answer.status = status;
  answer.body = fmt::format(R"({{"result":{},"success":false,"errors":[{{"code":{},"message":)",
                            result, static_cast<int>(code));
  append_text(answer.body, message);
  answer.body += R"(}],"messages":[]})";
  return answer;
}

Answer html_page(int status, std::string_view title) {
  Answer answer;
  answer.status = status;
  answer.content_type = "text/html; charset=UTF-8";
  answer.body = fmt::format(
      "<!DOCTYPE html>\n<html><head><title>{}</title></head>\n<body><h1>{}</h1><p>Ray ID: "
      "7f0000000000</p></body></html>\n",
      title, title);
  return answer;
}

void append_text(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default: {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || c == '<' || c == '>' || c == '&') {
          out += fmt::format("\\u{:04x}", byte);
        } else {
          out += c;
        }
      }
    }
  }
  out += '"';
}

std::string as_text(std::string_view bytes, bool drop_byte_order_mark) {
  if (drop_byte_order_mark && bytes.starts_with("\xEF\xBB\xBF")) bytes.remove_prefix(3);
  if (simdjson::validate_utf8(bytes.data(), bytes.size())) return std::string(bytes);
  std::string text;
  std::size_t at = 0;
  while (at < bytes.size()) {
    const auto first = static_cast<unsigned char>(bytes[at]);
    std::size_t more = 0;
    unsigned char low = 0x80;
    unsigned char high = 0xBF;
    if (first < 0x80) {
      text += bytes[at++];
      continue;
    }
    if (first >= 0xC2 && first <= 0xDF) {
      more = 1;
    } else if (first >= 0xE0 && first <= 0xEF) {
      more = 2;
      if (first == 0xE0) low = 0xA0;
      if (first == 0xED) high = 0x9F;
    } else if (first >= 0xF0 && first <= 0xF4) {
      more = 3;
      if (first == 0xF0) low = 0x90;
      if (first == 0xF4) high = 0x8F;
    }
    std::size_t length = 1;
    while (length <= more && at + length < bytes.size()) {
      const auto next = static_cast<unsigned char>(bytes[at + length]);
      if (next < low || next > high) break;
      low = 0x80;
      high = 0xBF;
      ++length;
    }
    if (more != 0 && length == more + 1) {
      text += bytes.substr(at, length);
    } else {
      text += "\xEF\xBF\xBD";
    }
    at += length;
  }
  return text;
}

std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '+' && plus_is_space) {
      decoded += ' ';
    } else if (text[at] != '%') {
      decoded += text[at];
    } else {
      if (at + 2 >= text.size()) return std::nullopt;
      const int high = hex_digit(text[at + 1]);
      const int low = hex_digit(text[at + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      decoded += static_cast<char>(high * 16 + low);
      at += 2;
    }
  }
  return decoded;
}

std::optional<std::map<std::string, std::string, std::less<>>> parse_query(std::string_view text) {
  std::map<std::string, std::string, std::less<>> query;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('&'), text.size());
    const std::string_view pair = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (pair.empty()) continue;
    const std::size_t equals = std::min(pair.find('='), pair.size());
    const auto name = percent_decode(pair.substr(0, equals), true);
    const auto value =
        percent_decode(equals < pair.size() ? pair.substr(equals + 1) : std::string_view(), true);
    if (!name || !value) return std::nullopt;
    query.insert_or_assign(*name, *value);
  }
  return query;
}

std::optional<std::int64_t> parse_integer(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::string key_problem(std::string_view key) {
  if (key.empty()) return "key names cannot be empty";
  if (key == "." || key == "..") return "key names cannot be '.' or '..'";
  if (key.size() > 512) return fmt::format("key length of {} exceeds limit of 512", key.size());
  if (!simdjson::validate_utf8(key.data(), key.size())) return "key names must be UTF-8";
  return {};
}

std::string expiration_problem(std::optional<std::int64_t> expiration,
                               std::optional<std::int64_t> ttl, std::int64_t now,
                               std::int64_t& expires) {
  expires = 0;
  if (ttl) {
    if (*ttl < 60) {
      return fmt::format("Invalid expiration_ttl of {}. Expiration TTL must be at least 60.", *ttl);
    }
    expires = now + *ttl;
  } else if (expiration) {
    if (*expiration < now + 60) {
      return fmt::format(
          "Invalid expiration of {}. Expiration times must be at least 60 seconds in the future.",
          *expiration);
    }
    expires = *expiration;
  }
  return {};
}

}  // namespace sluice::cloudflare_fake
