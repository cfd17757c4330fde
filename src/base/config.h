// Config: what the config file says.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/secret.h"

namespace sluice {

// A key that the config file may hold. With a flag, it is that flag's value for every command that
// has it; with an environment variable, that variable goes before it.
struct ConfigKey {
  std::string_view key;               // "cloudflare.api_token"
  std::string_view flag = {};         // "store"
  std::string_view environment = {};  // "CLOUDFLARE_API_TOKEN"
  bool secret = false;
  // An array of tables, [[serve.tokens]]. Its value is TOML text with the same tables under the
  // key's last word, [[tokens]], for whoever understands them.
  bool tables = false;
  std::string_view help = {};
  std::string_view sample = {};  // a value for the sample file, as TOML
};

// Every key, in the order of the sample file.
[[nodiscard]] std::span<const ConfigKey> config_keys();
// The key that is asked for by the name of an environment variable, or nullptr.
[[nodiscard]] const ConfigKey* find_config_key_of_variable(std::string_view variable);

// The values of a config file. Pure: the file is read by the caller. An empty one is the config of
// who has no file. A value.
class Config {
 public:
  // Reads TOML. `file` is how messages call it. Refused are: text that is not TOML, an unknown key
  // (with the nearest known one), and a value that the key's flag would refuse. Messages never hold
  // the value of a secret key, nor any text of a file that is not TOML.
  static Result<Config> parse(std::string_view toml, std::string_view file);

  // The value as a flag would be given it ("20", "true", "1m30s"); none if the file does not say.
  // Valid as long as this object.
  [[nodiscard]] std::optional<std::string_view> get(std::string_view key) const;

  // Whether a secret key is set, or the store's URL holds a password: then the file must be
  // readable by its owner only.
  [[nodiscard]] bool has_secrets() const;

 private:
  std::map<std::string, Secret, std::less<>> values_;
};

// The commented file that `sluice config init` writes: every key, each commented out.
[[nodiscard]] std::string sample_config();

}  // namespace sluice
