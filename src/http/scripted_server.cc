#include "http/scripted_server.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/write.hpp>
#include <charconv>

#include "base/ascii.h"

namespace sluice::http {

namespace {

using boost::asio::ip::tcp;
using Socket = boost::asio::basic_stream_socket<tcp, io::Executor>;
using Acceptor = boost::asio::basic_socket_acceptor<tcp, io::Executor>;

SeenRequest parse_head(std::string_view head) {
  SeenRequest request;
  std::size_t line_number = 0;
  while (!head.empty()) {
    const auto end = head.find("\r\n");
    const std::string_view line = head.substr(0, end);
    head.remove_prefix(end == std::string_view::npos ? head.size() : end + 2);
    if (line_number++ == 0) {
      const auto first = line.find(' ');
      const auto last = line.rfind(' ');
      request.method = line.substr(0, first);
      request.target = line.substr(first + 1, last - first - 1);
    } else if (const auto colon = line.find(':'); colon != std::string_view::npos) {
      std::string name(line.substr(0, colon));
      std::ranges::transform(name, name.begin(), ascii_lower);
      std::string_view value = line.substr(colon + 1);
      while (value.starts_with(' ')) value.remove_prefix(1);
      request.headers.emplace_back(std::move(name), value);
    }
  }
  return request;
}

}  // namespace

struct ScriptedServer::State {
  State(io::Executor executor, Script answers)
      : acceptor(executor, tcp::endpoint(boost::asio::ip::address_v4::loopback(), 0)),
        script(std::move(answers)) {}

  Acceptor acceptor;
  Script script;
  std::vector<SeenRequest> seen;
  std::size_t connections = 0;

  static io::Task<> accept(std::shared_ptr<State> state) {
    const io::Executor executor = state->acceptor.get_executor();
    for (;;) {
      boost::system::error_code error;
      Socket socket(executor);
      co_await state->acceptor.async_accept(socket,
                                            boost::asio::redirect_error(io::use_task, error));
      if (error) co_return;
      boost::asio::co_spawn(executor, serve(state, std::move(socket), state->connections++),
                            boost::asio::detached);
    }
  }

  static io::Task<> serve(std::shared_ptr<State> state, Socket socket, std::size_t connection) {
    std::string buffer;
    for (;;) {
      boost::system::error_code error;
      const auto quiet = [&error] { return boost::asio::redirect_error(io::use_task, error); };
      const std::size_t head = co_await boost::asio::async_read_until(
          socket, boost::asio::dynamic_buffer(buffer), "\r\n\r\n", quiet());
      if (error) co_return;
      SeenRequest request = parse_head(std::string_view(buffer).substr(0, head));
      request.connection = connection;
      buffer.erase(0, head);
      std::size_t length = 0;
      const std::string text = request.header("content-length");
      std::from_chars(text.data(), text.data() + text.size(), length);
      if (buffer.size() < length) {
        const std::size_t have = buffer.size();
        buffer.resize(length);
        co_await boost::asio::async_read(
            socket, boost::asio::buffer(buffer.data() + have, length - have), quiet());
        if (error) co_return;
      }
      request.body = buffer.substr(0, length);
      buffer.erase(0, length);
      state->seen.push_back(request);
      const Reply answer = state->script(request);
      if (answer.delay.count() > 0) co_await io::sleep_for(answer.delay);
      co_await boost::asio::async_write(socket, boost::asio::buffer(answer.bytes), quiet());
      if (error || answer.close) co_return;
      if (answer.stall) co_await io::sleep_until(io::Clock::time_point::max());
    }
  }
};

std::string SeenRequest::header(std::string_view name) const {
  const auto found = std::ranges::find(headers, name, &std::pair<std::string, std::string>::first);
  return found == headers.end() ? std::string() : found->second;
}

Reply reply(int status, std::string_view body, std::string_view headers) {
  return {.bytes = fmt::format("HTTP/1.1 {} X\r\n{}Content-Length: {}\r\n\r\n{}", status, headers,
                               body.size(), body)};
}

Reply json(std::string_view body) {
  return reply(200, body, "Content-Type: application/json\r\n");
}

Reply cut() {
  return {.bytes = {}, .close = true};
}

ScriptedServer::ScriptedServer(io::Loop& loop, Script script)
    : state_(std::make_shared<State>(loop.executor(), std::move(script))) {
  boost::asio::co_spawn(loop.executor(), State::accept(state_), boost::asio::detached);
}

ScriptedServer::~ScriptedServer() {
  boost::system::error_code ignored;
  state_->acceptor.close(ignored);
}

std::uint16_t ScriptedServer::port() const {
  return state_->acceptor.local_endpoint().port();
}
std::string ScriptedServer::url() const {
  return fmt::format("http://127.0.0.1:{}", port());
}
const std::vector<SeenRequest>& ScriptedServer::seen() const {
  return state_->seen;
}
std::size_t ScriptedServer::connections() const {
  return state_->connections;
}

}  // namespace sluice::http
