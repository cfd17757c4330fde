#include "bulk/keys_reader.h"

#include "bulk/byte_order_mark.h"
#include "bulk/lines.h"

namespace sluice::bulk {

Result<> KeysReader::feed(std::string_view chunk, Records& out) {
  const bool whole = split_lines(chunk, nul_ ? '\0' : '\n', longest_, begun_,
                                 [&](std::string_view line) { take(line, line.size() + 1, out); });
  out.end = offset_;
  if (whole) return {};
  return fail(ErrorCode::invalid_argument,
              "line {}: it is longer than {} bytes; this is no list of keys{}.", line_, longest_,
              nul_ ? " that end in NUL" : "");
}

Result<> KeysReader::finish(Records& out) {
  if (!begun_.empty()) take(begun_, begun_.size(), out);
  out.end = offset_;
  begun_.clear();
  return {};
}

void KeysReader::resume(std::uint64_t offset, std::uint64_t line) {
  offset_ = offset;
  line_ = line;
  begun_.clear();
}

void KeysReader::take(std::string_view text, std::size_t size, Records& out) {
  if (!nul_) {
    if (offset_ == 0 && text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
    if (text.ends_with('\r')) text.remove_suffix(1);
  }
  const std::uint64_t end = offset_ + size;
  if (!text.empty()) {
    if (accept(text, out)) {
      out.ends.push_back(end);
    } else {
      out.bad.push_back({line_, offset_, std::move(reason_)});
    }
  }
  offset_ = end;
  ++line_;
}

bool KeysReader::accept(std::string_view text, Records& out) {
  fields_ = {};
  if (text.front() == '{' && (text.back() == '}' || text.starts_with("{\"key\""))) {
    const Verdict verdict = parser_.parse_object(text, fields_, reason_);
    if (verdict == Verdict::bad) return false;
    if (verdict == Verdict::good) {
      if (fields_.key) return parser_.accept_key(fields_, out.entries, reason_);
      reason_ = "a JSON object without \"key\"; a key that looks like this is written {\"key\":…}";
      return false;
    }
    if (text.starts_with("{\"key\"")) {
      reason_.insert(0, "it begins as {\"key\" but cannot be read as that: ");
      return false;
    }
  }
  // A key such as {user}:1, or anything else.
  store::EntryView entry;
  entry.key = text;
  out.entries.append(entry);
  return true;
}

}  // namespace sluice::bulk
