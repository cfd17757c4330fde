// ScriptedServer: an HTTP/1.1 server for tests that answers as it is told, faults included.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "io/task.h"

namespace sluice::http {

// What a request looked like on the wire.
struct SeenRequest {
  std::string method;
  std::string target;                                        // path and query, as sent
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::string body;
  std::size_t connection = 0;  // 0 for the first connection, 1 for the second …

  [[nodiscard]] std::string header(std::string_view name) const;
};

// What is sent back, byte for byte, and how it ends.
struct Reply {
  std::string bytes{};
  bool close = false;                  // close the connection after the bytes
  bool stall = false;                  // after the bytes, send nothing more
  std::chrono::milliseconds delay{0};  // before the first byte
};

// A whole answer with a Content-Length. `headers` are lines that end with \r\n.
[[nodiscard]] Reply reply(int status, std::string_view body, std::string_view headers = {});
[[nodiscard]] Reply json(std::string_view body);
// Closes the connection without an answer.
[[nodiscard]] Reply cut();

// Listens on a free port of 127.0.0.1, on the test's own loop. `script` is called for each request
// that has arrived completely. Belongs to the loop, which must outlive it.
class ScriptedServer {
 public:
  using Script = std::function<Reply(const SeenRequest&)>;

  ScriptedServer(io::Loop& loop, Script script);
  ~ScriptedServer();
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;

  [[nodiscard]] std::uint16_t port() const;
  [[nodiscard]] std::string url() const;  // "http://127.0.0.1:PORT"
  [[nodiscard]] const std::vector<SeenRequest>& seen() const;
  [[nodiscard]] std::size_t connections() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace sluice::http
