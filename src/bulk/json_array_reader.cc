#include "bulk/json_array_reader.h"

#include <algorithm>

#include "base/utf8.h"
#include "bulk/byte_order_mark.h"

namespace sluice::bulk {

namespace {
bool is_space(char c) {
  return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}
}  // namespace

std::unexpected<Error> JsonArrayReader::unexpected(char found, std::string_view wanted) const {
  return fail(ErrorCode::invalid_argument,
              "byte {}: {} is expected, but \"{}\" found; nothing behind it can be read.", offset_,
              wanted, printable(std::string_view(&found, 1)));
}

Result<> JsonArrayReader::feed(std::string_view chunk, Records& out) {
  out.end = end_;
  std::size_t at = 0;
  while (at != chunk.size()) {
    const char c = chunk[at];
    switch (state_) {
      case State::nested:
      case State::scalar: {
        const std::string_view rest = chunk.substr(at);
        const std::size_t end = state_ == State::nested ? scan_nested(rest) : scan_scalar(rest);
        const std::string_view part = rest.substr(0, end);
        if (part.size() > longest_ - begun_.size()) {
          return fail(ErrorCode::invalid_argument,
                      "byte {}: the element of the array that begins here is longer than {} bytes, "
                      "the most that is accepted.",
                      begin_, longest_);
        }
        at += part.size();
        offset_ += part.size();
        if (end == std::string_view::npos) {
          begun_ += part;
          break;
        }
        Result<> taken;
        if (begun_.empty()) {
          taken = take(part, out);
        } else {
          begun_ += part;
          taken = take(begun_, out);
          // One huge element does not hold its memory.
          if (begun_.capacity() > (std::size_t{1} << 20)) std::string().swap(begun_);
          begun_.clear();
        }
        if (!taken) return taken;
        state_ = State::after_element;
        break;
      }
      case State::before: {
        if (mark_bytes_ == offset_ && mark_bytes_ < kByteOrderMark.size() &&
            c == kByteOrderMark[mark_bytes_]) {
          ++mark_bytes_;
        } else if (c == '[' && mark_bytes_ % kByteOrderMark.size() == 0) {
          state_ = State::first_element;
        } else if (!is_space(c)) {
          return unexpected(c, "a JSON array, which begins with \"[\",");
        }
        ++at, ++offset_;
        break;
      }
      case State::first_element:
      case State::element: {
        if (is_space(c)) {
          ++at, ++offset_;
        } else if (c == ']' && state_ == State::first_element) {
          state_ = State::behind;
          ++at, ++offset_;
        } else if (c == ']' || c == ',' || c == '}' || c == ':') {
          return unexpected(c, "an element of the array");
        } else {
          begin_ = offset_;
          depth_ = 0;
          in_string_ = escaped_ = false;
          state_ = c == '{' || c == '[' ? State::nested : State::scalar;
        }
        break;
      }
      case State::after_element: {
        if (c == ',') {
          state_ = State::element;
        } else if (c == ']') {
          state_ = State::behind;
        } else if (!is_space(c)) {
          return unexpected(c, "a comma or the end of the array");
        }
        ++at, ++offset_;
        break;
      }
      case State::behind: {
        if (!is_space(c)) return unexpected(c, "nothing more behind the end of the array");
        ++at, ++offset_;
        break;
      }
    }
  }
  return {};
}

std::size_t JsonArrayReader::scan_nested(std::string_view text) {
  std::size_t at = 0;
  while (at != text.size()) {
    if (!in_string_) {
      switch (text[at++]) {
        case '"':
          in_string_ = true;
          break;
        case '{':
        case '[':
          ++depth_;
          break;
        case '}':
        case ']':
          if (--depth_ == 0) return at;
          break;
        default:
          break;
      }
      continue;
    }
    if (escaped_) {
      escaped_ = false;
      ++at;
      continue;
    }
    const std::size_t quote = std::min(text.find('"', at), text.size());
    // An odd number of backslashes before it makes the quote a part of the string.
    std::size_t first = quote;
    while (first != at && text[first - 1] == '\\') --first;
    escaped_ = (quote - first) % 2 != 0;
    at = quote;
    if (at != text.size() && !escaped_) {
      in_string_ = false;
      ++at;
    }
  }
  return std::string_view::npos;
}

std::size_t JsonArrayReader::scan_scalar(std::string_view text) {
  for (std::size_t at = 0; at != text.size(); ++at) {
    const char c = text[at];
    if (escaped_) {
      escaped_ = false;
    } else if (in_string_) {
      if (c == '\\') escaped_ = true;
      if (c == '"') in_string_ = false;
    } else if (c == '"') {
      in_string_ = true;
    } else if (c == ',' || c == ']' || is_space(c)) {
      return at;
    }
  }
  return std::string_view::npos;
}

Result<> JsonArrayReader::take(std::string_view text, Records& out) {
  const std::size_t before = out.entries.size();
  const Verdict verdict = items_ ? parser_.accept_items(text, *items_, out.entries, reason_)
                                 : parser_.parse_object(text, fields_, reason_);
  if (items_ && verdict != Verdict::good) out.entries.truncate(before);
  if (verdict == Verdict::malformed) {
    return fail(ErrorCode::invalid_argument,
                "byte {}: the element of the array that begins here cannot be read ({}), so it is "
                "not known where the next one begins. The elements before it are good.",
                begin_, reason_);
  }
  if (verdict == Verdict::good && (items_ || parser_.accept(fields_, out.entries, reason_))) {
    out.ends.resize(out.entries.size(), offset_);
  } else {
    out.bad.push_back({0, begin_, std::move(reason_)});
  }
  out.end = end_ = offset_;
  return {};
}

Result<> JsonArrayReader::finish(Records& out) {
  out.end = end_;
  if (state_ == State::behind) return {};
  if (state_ == State::before) {
    return fail(ErrorCode::invalid_argument,
                "the input is empty; a JSON array is expected, if only \"[]\".");
  }
  if (state_ == State::nested || state_ == State::scalar) {
    return fail(ErrorCode::invalid_argument,
                "byte {}: the input ends in the middle of the element that begins here; it is "
                "truncated. The elements before it are complete.",
                begin_);
  }
  return fail(ErrorCode::invalid_argument,
              "byte {}: the input ends before the array is closed by \"]\"; it is truncated. The "
              "elements before it are complete.",
              offset_);
}

void JsonArrayReader::resume(std::uint64_t offset, std::uint64_t) {
  offset_ = end_ = offset;
  state_ = State::after_element;
  begun_.clear();
}

}  // namespace sluice::bulk
