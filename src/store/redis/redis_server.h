// RedisServer: a real redis-server for tests.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::store::redis {

// Runs `redis-server` on a free port of 127.0.0.1, in a temporary folder, with nothing saved to
// disk unless asked for. It ends with this object, and with the test's process, however that ends.
class RedisServer {
 public:
  // `arguments` go to the server: {"--requirepass", "x"}. Throws if it does not start.
  explicit RedisServer(std::vector<std::string> arguments = {});
  ~RedisServer();
  RedisServer(const RedisServer&) = delete;
  RedisServer& operator=(const RedisServer&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }
  // "redis://127.0.0.1:PORT"
  [[nodiscard]] std::string url() const;
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }

  // Ends it at once, as a crash does, and starts it again on the same port.
  void kill();
  void start();
  // Stops it where it stands, and lets it go on.
  void pause();
  void resume();

  // What redis-cli prints for these arguments, without the last line's end. Not through our client.
  [[nodiscard]] std::string cli(const std::vector<std::string>& arguments) const;

 private:
  bool begin();

  std::vector<std::string> arguments_;
  std::filesystem::path folder_;
  std::uint16_t port_ = 0;
  pid_t pid_ = -1;
};

// A port of 127.0.0.1 that nobody listens on now.
std::uint16_t free_port();

}  // namespace sluice::store::redis
