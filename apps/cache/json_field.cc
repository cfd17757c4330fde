#include "json_field.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/base64.h"
#include "base/json_text.h"
#include "base/timestamp.h"
#include "base/utf8.h"

namespace sluice::cache_cli {

void append_json_field(std::string& out, std::string_view name, std::string_view bytes) {
  append_json_string(out, name);
  out += ':';
  if (is_utf8(bytes)) {
    append_json_string(out, bytes);
    return;
  }
  out += '"';
  append_base64(out, bytes);
  out += name == "value" ? std::string(R"(","base64":true)")
                         : fmt::format(R"(","{}_base64":true)", name);
}

void append_json_tags(std::string& out, const std::vector<std::string>& tags) {
  out += R"("tags":[)";
  for (const std::string& tag : tags) {
    if (!out.ends_with('[')) out += ',';
    append_json_string(out, is_utf8(tag) ? tag : printable(tag));
  }
  out += ']';
}

std::string time_text(localcache::TimePoint time) {
  return format_timestamp(
      std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count());
}

namespace {

// Whether pieces are UTF-8 together.
class Utf8Check {
 public:
  void add(std::string_view piece) {
    if (!holds_) return;
    rest_ += piece;
    const std::size_t whole = rest_.size() - begun(rest_);
    holds_ = is_utf8(std::string_view(rest_).substr(0, whole));
    rest_.erase(0, whole);
  }
  [[nodiscard]] bool holds() const { return holds_ && rest_.empty(); }

 private:
  // How many bytes at the end are the beginning of a character.
  static std::size_t begun(std::string_view text) {
    for (std::size_t back = 1; back <= std::min<std::size_t>(3, text.size()); ++back) {
      const auto byte = static_cast<unsigned char>(text[text.size() - back]);
      if (byte < 0x80) return 0;
      if (byte < 0xc0) continue;  // inside of one
      const std::size_t length = byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
      return length > back ? back : 0;
    }
    return 0;
  }

  std::string rest_;
  bool holds_ = true;
};

// Base64 of pieces together.
class Base64Pieces {
 public:
  std::string encode(std::string_view piece) {
    rest_ += piece;
    const std::size_t whole = rest_.size() - rest_.size() % 3;
    std::string out;
    append_base64(out, std::string_view(rest_).substr(0, whole));
    rest_.erase(0, whole);
    return out;
  }
  [[nodiscard]] std::string end() const {
    std::string out;
    append_base64(out, rest_);
    return out;
  }

 private:
  std::string rest_;
};

}  // namespace

Result<> write_json_value(localcache::Value& value, std::vector<std::string> spool_folders,
                          const Spool::Take& take) {
  auto piece = value.next();
  if (!piece) return std::unexpected(piece.error());
  if (piece->size() == value.size()) {
    std::string out;
    append_json_field(out, "value", *piece);
    return take(out);
  }
  Spool spool(std::move(spool_folders));
  Utf8Check utf8;
  for (; piece && !piece->empty(); piece = value.next()) {
    utf8.add(*piece);
    if (auto kept = spool.append(*piece); !kept) return kept;
  }
  if (!piece) return std::unexpected(piece.error());

  if (auto taken = take("\"value\":\""); !taken) return taken;
  std::string text;
  Base64Pieces base64;
  auto done = spool.each([&](std::string_view bytes) -> Result<> {
    if (!utf8.holds()) return take(base64.encode(bytes));
    text.clear();
    append_json_string(text, bytes);  // which cares about ASCII only, wherever the piece is cut
    return take(std::string_view(text).substr(1, text.size() - 2));
  });
  if (!done) return done;
  return take(utf8.holds() ? "\"" : base64.end() + "\",\"base64\":true");
}

}  // namespace sluice::cache_cli
