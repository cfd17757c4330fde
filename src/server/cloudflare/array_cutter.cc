#include "server/cloudflare/array_cutter.h"

#include <algorithm>

namespace sluice::server::cloudflare {

namespace {

constexpr auto kNowhere = std::string_view::npos;

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

}  // namespace

ArrayCutter::Step ArrayCutter::next() {
  bool may_end = true;
  skip_space();
  if (at_ == text_.size()) return Step::bad;
  if (!begun_) {
    if (text_[at_] != '[') return Step::bad;
    begun_ = true;
    ++at_;
  } else if (text_[at_] == ',') {
    may_end = false;
    ++at_;
  } else if (text_[at_] != ']') {
    return Step::bad;
  }
  skip_space();
  if (at_ == text_.size()) return Step::bad;
  if (text_[at_] == ']') {
    ++at_;
    skip_space();
    return may_end && at_ == text_.size() ? Step::end : Step::bad;
  }
  std::size_t end = kNowhere;
  switch (text_[at_]) {
    case '{':
    case '[':
      end = end_of_nested(at_);
      break;
    case '"':
      end = end_of_string(at_);
      break;
    default:
      end = end_of_scalar(at_);
  }
  if (end == kNowhere || end == at_) return Step::bad;
  element_ = text_.substr(at_, end - at_);
  at_ = end;
  return Step::element;
}

void ArrayCutter::skip_space() {
  while (at_ < text_.size() && is_space(text_[at_])) ++at_;
}

std::size_t ArrayCutter::end_of_string(std::size_t from) const {
  for (std::size_t quote = text_.find('"', from + 1); quote != kNowhere;
       quote = text_.find('"', quote + 1)) {
    // An odd number of backslashes before it makes the quote part of the string. Each backslash is
    // looked at for one quote only, so this stays linear.
    std::size_t backslashes = 0;
    while (text_[quote - 1 - backslashes] == '\\') ++backslashes;  // the opening quote stops it
    if (backslashes % 2 == 0) return quote + 1;
  }
  return kNowhere;
}

std::size_t ArrayCutter::end_of_nested(std::size_t from) const {
  std::size_t depth = 0;
  std::size_t tokens = 0;
  for (std::size_t at = from; at < text_.size(); ++at) {
    const char c = text_[at];
    if (is_space(c)) continue;
    if (++tokens > kMostTokens) return kNowhere;
    if (c == '"') {
      const std::size_t end = end_of_string(at);
      if (end == kNowhere) return kNowhere;
      at = end - 1;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if (c == '}' || c == ']') {
      if (--depth == 0) return at + 1;
    }
  }
  return kNowhere;
}

std::size_t ArrayCutter::end_of_scalar(std::size_t from) const {
  const std::size_t end = std::min(text_.find_first_of(" \t\r\n,]", from), text_.size());
  return end - from > kMostTokens ? kNowhere : end;
}

}  // namespace sluice::server::cloudflare
