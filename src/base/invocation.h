// Invocation: one command line, understood.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/command.h"
#include "base/error.h"

namespace sluice {

class Config;

// Reads one environment variable; none if it is not set. Passed in, so that nothing here does I/O.
using Getenv = std::function<std::optional<std::string>(std::string_view name)>;

// Where a value came from, from the strongest to the weakest.
enum class Origin : std::uint8_t { flag, environment, config, standard };
[[nodiscard]] std::string_view name(Origin origin);

// A command with its flags and arguments. Every value has been checked against the table, so the
// typed look-ups cannot fail. A look-up asks, in this order: the command line, the SLUICE_…
// variable, the config file (once `use` was called), the table's default. A flag that this command
// does not have is off; one that no command has is a mistake in the program and throws
// std::logic_error.
//
// A value; immutable but for `use`.
class Invocation {
 public:
  struct Given {
    std::string flag;   // name or alias, without dashes
    std::string value;  // "true" for a switch
  };

  // Fails with invalid_argument, in a sentence that names the command, the flag or argument, and
  // what would be right.
  static Result<Invocation> make(const Command& command, const std::vector<Given>& flags,
                                 std::vector<std::string> arguments, const Getenv& environment);

  // Takes from the config file what neither a flag nor the environment has set. The file has been
  // checked by Config::parse.
  void use(const Config& config);

  [[nodiscard]] const Command& command() const { return *command_; }
  [[nodiscard]] std::string_view path() const { return command_->path; }

  // Whether a switch is on.
  [[nodiscard]] bool on(std::string_view flag) const;
  // The value of a flag (the last one, if it is repeatable), or its default.
  [[nodiscard]] std::optional<std::string> value(std::string_view flag) const;
  // All values of a repeatable flag, in order.
  [[nodiscard]] std::vector<std::string> values(std::string_view flag) const;
  // The value of a flag of kind count, size (bytes), duration, or ttl (bare numbers are seconds).
  [[nodiscard]] std::optional<std::uint64_t> count(std::string_view flag) const;
  [[nodiscard]] std::optional<std::uint64_t> size(std::string_view flag) const;
  [[nodiscard]] std::optional<std::chrono::milliseconds> duration(std::string_view flag) const;
  // Where value() comes from; none if there is no value.
  [[nodiscard]] std::optional<Origin> origin(std::string_view flag) const;

  [[nodiscard]] std::span<const std::string> arguments() const { return arguments_; }

  // The flags, and behind them "--" and the arguments, with which the command would be understood
  // as it is now, whatever the environment: for journals. Flags in `except` (names) are left out,
  // and so is what the config file says and any password in a URL.
  [[nodiscard]] std::vector<std::string> words(std::span<const std::string_view> except = {}) const;

  // The command line that would be understood as this one, without the flags in `except` (names):
  // for "resume with …". Words are quoted for a POSIX shell. Only what was given as a flag or
  // argument; a password in a URL is left out.
  [[nodiscard]] std::string command_line(std::span<const std::string_view> except = {}) const;

 private:
  struct Value {
    std::vector<std::string> texts;
    Origin origin = Origin::flag;
  };

  explicit Invocation(const Command& command) : command_(&command) {}
  // The table's flag, or nullptr if only other commands have it.
  [[nodiscard]] const Flag* known(std::string_view flag) const;

  const Command* command_;
  std::map<std::string_view, Value> values_;  // by the flag's name in the table
  std::vector<std::string> arguments_;
};

}  // namespace sluice
