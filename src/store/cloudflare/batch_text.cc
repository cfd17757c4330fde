#include "store/cloudflare/batch_text.h"

#include <fmt/format.h>

#include <iterator>
#include <utility>

#include "base/base64.h"
#include "base/json_text.h"
#include "base/utf8.h"

namespace sluice::store::cloudflare {

namespace {

std::size_t base64_size(std::size_t bytes) {
  return (bytes + 2) / 3 * 4;
}

void append_value(std::string& out, std::string_view value) {
  if (is_utf8(value)) {
    const std::size_t begin = out.size();
    append_json_string(out, value);
    // A control character takes six bytes as an escape.
    constexpr std::size_t most_overhead = 64;
    if (out.size() - begin <= base64_size(value.size()) + most_overhead) return;
    out.resize(begin);
  }
  out += '"';
  append_base64(out, value);
  out += R"(","base64":true)";
}

}  // namespace

bool PutText::append(const EntryView& entry) {
  const std::size_t before = text_.size();
  text_ += entries_ == 0 ? "[" : ",";
  text_ += R"({"key":)";
  append_json_string(text_, entry.key);
  text_ += R"(,"value":)";
  append_value(text_, entry.value);
  if (entry.expiration > 0) {
    fmt::format_to(std::back_inserter(text_), R"(,"expiration":{})", entry.expiration);
  }
  if (!entry.metadata.empty()) {
    text_ += R"(,"metadata":)";
    text_ += entry.metadata;
  }
  text_ += '}';
  if (text_.size() + 1 > most_bytes_ && entries_ > 0) {
    text_.resize(before);
    return false;
  }
  ++entries_;
  return true;
}

std::string PutText::take() {
  if (entries_ == 0) text_ += '[';
  text_ += ']';
  entries_ = 0;
  return std::exchange(text_, {});
}

std::string key_list(std::span<const std::string_view> keys) {
  std::size_t bytes = 2;
  for (const std::string_view key : keys) bytes += key.size() + 3;
  std::string text;
  text.reserve(bytes);
  text += '[';
  for (const std::string_view key : keys) {
    if (text.size() > 1) text += ',';
    append_json_string(text, key);
  }
  text += ']';
  return text;
}

std::string get_text(std::span<const std::string_view> keys) {
  return R"({"keys":)" + key_list(keys) + R"(,"type":"text","withMetadata":true})";
}

std::string title_text(std::string_view title) {
  std::string text = R"({"title":)";
  append_json_string(text, title);
  text += '}';
  return text;
}

}  // namespace sluice::store::cloudflare
