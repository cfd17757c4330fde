// Commands: what one round trip asks of a Redis server, as RESP text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::redis {

// Commands that are written at once and answered in order. Formatting is appending to one text:
// faster than hiredis's redisFormatCommandArgv, which allocates for each command. Long arguments
// are not copied: they stay where they are, and must stay there until the round trip is over.
class Commands {
 public:
  // Begins a command of `arguments` arguments, its name included; that many `add` follow.
  void begin(std::size_t arguments);
  void add(std::string_view argument);
  void add(std::int64_t number);
  // An argument that is made of pieces, each of which is copied.
  void add_joined(std::initializer_list<std::string_view> pieces);

  // A whole command at once: commands.add_command("SELECT", 2).
  template <class... Arguments>
  void add_command(const Arguments&... arguments) {
    begin(sizeof...(arguments));
    (add(arguments), ...);
  }

  // How many commands there are: so many replies are awaited.
  [[nodiscard]] std::size_t count() const { return count_; }
  // Bytes on the wire.
  [[nodiscard]] std::size_t bytes() const { return text_.size() + referred_bytes_; }
  // What is written, in order. Valid until the next change.
  [[nodiscard]] std::vector<std::string_view> pieces() const;

  void clear();
  void reserve(std::size_t bytes) { text_.reserve(bytes); }

 private:
  // `text` belongs behind the first `at` bytes of text_.
  struct Reference {
    std::size_t at;
    std::string_view text;
  };
  void add_header(char kind, std::size_t number);

  std::string text_;
  std::vector<Reference> references_;
  std::size_t referred_bytes_ = 0;
  std::size_t count_ = 0;
};

}  // namespace sluice::redis
