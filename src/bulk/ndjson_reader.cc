#include "bulk/ndjson_reader.h"

#include "bulk/byte_order_mark.h"
#include "bulk/lines.h"

namespace sluice::bulk {

Result<> NdjsonReader::feed(std::string_view chunk, Records& out) {
  const bool whole = split_lines(chunk, '\n', longest_, begun_,
                                 [&](std::string_view line) { take(line, line.size() + 1, out); });
  out.end = offset_;
  if (whole) return {};
  return fail(ErrorCode::invalid_argument,
              "line {}: it is longer than {} bytes, the most that is accepted; is this NDJSON?",
              line_, longest_);
}

void NdjsonReader::resume(std::uint64_t offset, std::uint64_t line) {
  offset_ = offset;
  line_ = line;
  begun_.clear();
}

Verdict NdjsonReader::parse(std::string_view text, Records& out) {
  if (offset_ == 0 && text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  if (text.find_first_not_of(" \t\r") == std::string_view::npos) {
    reason_.clear();
    return Verdict::good;  // an empty line
  }
  if (items_) {
    const std::size_t before = out.entries.size();
    const Verdict verdict = parser_.accept_items(text, *items_, out.entries, reason_);
    if (verdict == Verdict::good) out.ends.resize(out.entries.size());  // set by the caller
    if (verdict != Verdict::good) out.entries.truncate(before);
    return verdict;
  }
  const Verdict verdict = parser_.parse_object(text, fields_, reason_);
  if (verdict != Verdict::good) return verdict;
  if (!parser_.accept(fields_, out.entries, reason_)) return Verdict::bad;
  out.ends.push_back(0);  // set by the caller
  return Verdict::good;
}

void NdjsonReader::take(std::string_view text, std::size_t size, Records& out) {
  const std::size_t before = out.ends.size();
  if (parse(text, out) != Verdict::good) out.bad.push_back({line_, offset_, std::move(reason_)});
  offset_ += size;
  ++line_;
  for (std::size_t i = before; i < out.ends.size(); ++i) out.ends[i] = offset_;
}

Result<> NdjsonReader::finish(Records& out) {
  out.end = offset_;
  if (begun_.empty()) return {};
  const std::size_t before = out.ends.size();
  const Verdict verdict = parse(begun_, out);
  if (verdict == Verdict::malformed) {
    return fail(ErrorCode::invalid_argument,
                "line {}: the input ends in the middle of a record ({}); it is truncated. The "
                "records before it are complete.",
                line_, reason_);
  }
  if (verdict == Verdict::bad) out.bad.push_back({line_, offset_, std::move(reason_)});
  offset_ += begun_.size();
  for (std::size_t i = before; i < out.ends.size(); ++i) out.ends[i] = offset_;
  out.end = offset_;
  begun_.clear();
  return {};
}

}  // namespace sluice::bulk
