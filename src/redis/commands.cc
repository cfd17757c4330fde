#include "redis/commands.h"

#include <array>
#include <charconv>

namespace sluice::redis {

namespace {

// From here on, another entry in the list of pieces costs less than a copy.
constexpr std::size_t kLong = 32 * 1024;

}  // namespace

void Commands::add_header(char kind, std::size_t number) {
  std::array<char, 24> line;
  line[0] = kind;
  char* end = std::to_chars(line.data() + 1, line.data() + line.size() - 2, number).ptr;
  *end++ = '\r';
  *end++ = '\n';
  text_.append(line.data(), static_cast<std::size_t>(end - line.data()));
}

void Commands::begin(std::size_t arguments) {
  ++count_;
  add_header('*', arguments);
}

void Commands::add(std::string_view argument) {
  add_header('$', argument.size());
  if (argument.size() < kLong) {
    text_ += argument;
  } else {
    references_.push_back({text_.size(), argument});
    referred_bytes_ += argument.size();
  }
  text_ += "\r\n";
}

void Commands::add(std::int64_t number) {
  std::array<char, 24> digits;
  char* const end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  add(std::string_view(digits.data(), end));
}

void Commands::add_joined(std::initializer_list<std::string_view> pieces) {
  std::size_t size = 0;
  for (const std::string_view piece : pieces) size += piece.size();
  add_header('$', size);
  for (const std::string_view piece : pieces) text_ += piece;
  text_ += "\r\n";
}

std::vector<std::string_view> Commands::pieces() const {
  std::vector<std::string_view> pieces;
  std::size_t at = 0;
  for (const Reference& reference : references_) {
    pieces.push_back(std::string_view(text_).substr(at, reference.at - at));
    pieces.push_back(reference.text);
    at = reference.at;
  }
  pieces.push_back(std::string_view(text_).substr(at));
  return pieces;
}

void Commands::clear() {
  text_.clear();
  references_.clear();
  referred_bytes_ = 0;
  count_ = 0;
}

}  // namespace sluice::redis
