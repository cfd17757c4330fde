#include "http/server_connection.h"

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <optional>
#include <string>
#include <utility>

#include "http/message.h"
#include "http/read_buffer.h"

namespace sluice::http {

namespace {

namespace asio = boost::asio;
using ErrorCodeOfBoost = boost::system::error_code;
using TlsStream = asio::ssl::stream<ServerSocket>;

// A body that is larger than this goes to the kernel from where it lies.
constexpr std::size_t kCopied = 8 * 1024;
// simdjson reads up to so many bytes behind the end of its input.
constexpr std::size_t kPadding = 64;
// What is read and thrown away of a connection that ends with a refusal, so that the client sees
// the answer and not a reset.
constexpr std::size_t kLinger = 1 << 20;
constexpr std::chrono::seconds kLingerTime{2};
constexpr std::size_t kScrap = 4096;  // so much of it at a time
// A body that nobody wants is read to its end if it is no longer, to keep the connection.
constexpr std::uint64_t kDrained = 64 * 1024;

std::string address_of(const ServerSocket& socket) {
  ErrorCodeOfBoost error;
  const auto endpoint = socket.remote_endpoint(error);
  if (error) return "unknown";
  const std::string address = endpoint.address().to_string();
  return endpoint.address().is_v6() ? fmt::format("[{}]:{}", address, endpoint.port())
                                    : fmt::format("{}:{}", address, endpoint.port());
}

template <class Stream>
class Connection {
 public:
  Connection(Stream stream, ServerSetting& setting, std::unique_ptr<Conversation> conversation)
      : stream_(std::move(stream)),
        setting_(setting),
        place_(setting.table, {.cancel =
                                   [this] {
                                     ErrorCodeOfBoost ignored;
                                     socket().cancel(ignored);
                                   },
                               .close =
                                   [this] {
                                     ErrorCodeOfBoost ignored;
                                     socket().close(ignored);
                                   }}),
        conversation_(std::move(conversation)),
        parser_(setting.limits) {}

  io::Task<> serve() {
    if constexpr (std::is_same_v<Stream, TlsStream>) {
      due(setting_.times.header);
      const auto [error] = co_await stream_.async_handshake(asio::ssl::stream_base::server,
                                                            asio::as_tuple(io::use_task));
      if (error) co_return;
    }
    bool goes_on = true;
    while (goes_on) {
      const Head head = co_await read_head();
      if (head == Head::none) co_return;
      if (head == Head::refused) {
        co_await refuse(parser_.refusal());
        break;
      }
      goes_on = co_await exchange();
    }
    co_await linger();
  }

 private:
  enum class Head : std::uint8_t { none, refused, whole };

  ServerRequest& request() { return parser_.request(); }
  ServerSocket& socket() {
    if constexpr (std::is_same_v<Stream, TlsStream>) {
      return stream_.next_layer();
    } else {
      return stream_;
    }
  }

  // What is waited for next has this long.
  void due(std::chrono::milliseconds time) {
    place_->deadline = setting_.table.now() + time;
    place_->expired = false;
  }
  void due_for(std::uint64_t bytes) {
    due(setting_.times.body + std::chrono::milliseconds(bytes * 1000 / setting_.times.least_rate));
  }
  void not_due() {
    place_->deadline = io::Clock::time_point::max();
    place_->expired = false;
  }

  io::Task<Head> read_head() {
    bool begun = false;
    for (;;) {
      if (!in_.empty()) {
        const RequestParser::Step step = parser_.parse_head(in_.view());
        if (step == RequestParser::Step::head) co_return Head::whole;
        if (step == RequestParser::Step::refused) co_return Head::refused;
      }
      // Nothing more of what was pipelined can be answered before more has come.
      if (!out_.empty() && !co_await flush()) co_return Head::none;
      if (setting_.table.stopping() && in_.empty()) co_return Head::none;
      if (in_.empty()) {
        place_->idle = true;
        due(setting_.times.idle);
      } else if (!begun) {
        begun = true;
        due(setting_.times.header);
      }
      const auto [error, bytes] =
          co_await stream_.async_read_some(in_.prepare(), asio::as_tuple(io::use_task));
      place_->idle = false;
      if (error) {
        if (!place_->expired || in_.empty()) co_return Head::none;
        co_await refuse({408, "The request did not come in time."});
        co_return Head::none;
      }
      in_.commit(bytes);
    }
  }

  // Answers the request whose head was read. False: the connection ends.
  io::Task<bool> exchange() {
    not_due();
    const io::Clock::time_point begun = io::Clock::now();
    auto admitted = conversation_->admit(request());
    ServerResponse response;
    bool body_is_read = false;
    if (!admitted) {
      response = std::move(admitted.error());
    } else if (request().content_length == 0) {
      body_is_read = true;
      response = co_await conversation_->respond(request());
    } else {
      const std::optional<Refusal> refusal = co_await read_body(*admitted);
      body_is_read = !refusal;
      if (refusal) {
        response = conversation_->refuse(request(), *refusal);
      } else {
        response = co_await conversation_->respond(request());
      }
    }
    if (!body_is_read && !co_await drain()) response.close = true;
    if (setting_.table.stopping() || !request().keep_alive) response.close = true;
    queue(response);
    const bool sent = send_now() || co_await send();
    conversation_->served({.request = request(),
                           .response = response,
                           .bytes_received = body_bytes_,
                           .bytes_sent = sent ? body_to_send(response).size() : 0,
                           .time = io::Clock::now() - begun});
    in_.consume(parser_.head_bytes() + behind_head_);
    body_bytes_ = behind_head_ = 0;
    parser_.reset();
    if (in_.empty()) in_.shrink();
    if (!chunk_rest_.empty()) {
      in_.append(chunk_rest_);
      chunk_rest_ = {};
    }
    co_return sent && !response.close;
  }

  // A client may send the rest of a body only when it has what it asked for before.
  io::Task<bool> send_earlier_answers() {
    const std::optional<std::uint64_t> length = request().content_length;
    const bool all_here = length && in_.view().size() - parser_.head_bytes() >= *length;
    if (out_.empty() || all_here) co_return true;
    co_return co_await flush();
  }

  // RFC 9110, section 10.1.1: the client waits for this before it sends the body.
  io::Task<bool> send_continue() {
    if (!request().expects_continue || in_.view().size() > parser_.head_bytes()) co_return true;
    out_ += "HTTP/1.1 100 Continue\r\n\r\n";
    co_return co_await flush();
  }

  io::Task<std::optional<Refusal>> read_body(std::uint64_t limit) {
    const std::optional<std::uint64_t> length = request().content_length;
    if (length && *length > limit) co_return Refusal{413, "The body is too large."};
    if (!co_await send_earlier_answers()) co_return broken_body();
    const io::Clock::time_point until = io::Clock::now() + setting_.times.room;
    if (length && !co_await setting_.memory.cover(request().body_memory, *length, until)) {
      co_return Refusal{503, "The server holds as much as it may. Try again."};
    }
    if (!co_await send_continue()) co_return broken_body();
    if (!length) co_return co_await read_chunks(limit);
    co_return co_await read_bytes(*length);
  }

  io::Task<std::optional<Refusal>> read_bytes(std::uint64_t length) {
    std::string& body = request().body;
    body.reserve(length + kPadding);
    const std::string_view there = in_.view().substr(parser_.head_bytes(), length);
    behind_head_ = there.size();
    body.assign(there);
    due_for(length);
    while (body.size() < length) {
      const std::size_t before = body.size();
      const std::size_t want = std::min<std::size_t>(length - before, 256 * 1024);
      body.resize(before + want);
      const auto [error, bytes] = co_await stream_.async_read_some(
          asio::buffer(body.data() + before, want), asio::as_tuple(io::use_task));
      body.resize(before + bytes);
      if (error) co_return broken_body();
    }
    not_due();
    body_bytes_ = length;
    co_return std::nullopt;
  }

  io::Task<std::optional<Refusal>> read_chunks(std::uint64_t limit) {
    std::string& body = request().body;
    const std::size_t head = parser_.head_bytes();
    std::string raw(in_.view().substr(head));
    in_.truncate(head);
    due(setting_.times.body);
    for (;;) {
      const auto consumed = parser_.parse_chunks(raw, body, limit);
      if (!consumed) co_return consumed.error();
      raw.erase(0, *consumed);
      if (parser_.chunks_done()) break;
      // How much is to come is unknown, so room is taken as it comes, and never waited for. A body
      // that is small so far, and not counted, is read in small pieces.
      const std::size_t piece = std::clamp<std::size_t>(body.size(), 8 * 1024, 64 * 1024);
      if (!setting_.memory.try_cover(request().body_memory, 2 * body.size() + piece)) {
        co_return Refusal{503, "The server holds as much as it may. Try again."};
      }
      const std::size_t before = raw.size();
      raw.resize(before + piece);
      const auto [error, bytes] = co_await stream_.async_read_some(
          asio::buffer(raw.data() + before, raw.size() - before), asio::as_tuple(io::use_task));
      raw.resize(before + bytes);
      if (error) co_return broken_body();
      place_->deadline += std::chrono::milliseconds(bytes * 1000 / setting_.times.least_rate);
    }
    not_due();
    body_bytes_ = body.size();
    body.reserve(body.size() + kPadding);
    chunk_rest_ = std::move(raw);
    co_return std::nullopt;
  }

  Refusal broken_body() {
    broken_ = !place_->expired;
    return place_->expired ? Refusal{408, "The body did not come in time."}
                           : Refusal{400, "The connection broke."};
  }

  // Reads a short body that nobody wants, and forgets it. False: it is not read, so what follows on
  // the connection is no request.
  io::Task<bool> drain() {
    const std::optional<std::uint64_t> length = request().content_length;
    if (broken_ || !length || *length > kDrained || place_->expired) co_return false;
    if (request().expects_continue) co_return false;
    if (!request().body.empty()) co_return false;
    if (!co_await send_earlier_answers()) co_return false;
    behind_head_ = in_.view().substr(parser_.head_bytes(), *length).size();
    due_for(*length);
    std::array<char, kScrap> scrap;
    for (std::uint64_t left = *length - behind_head_; left > 0;) {
      const std::size_t want = std::min<std::uint64_t>(left, scrap.size());
      const auto [error, bytes] = co_await stream_.async_read_some(asio::buffer(scrap.data(), want),
                                                                   asio::as_tuple(io::use_task));
      if (error) {
        broken_ = !place_->expired;
        co_return false;
      }
      left -= bytes;
    }
    not_due();
    body_bytes_ = *length;
    co_return true;
  }

  io::Task<bool> refuse(Refusal refusal) {
    ServerResponse response = conversation_->refuse(request(), refusal);
    response.close = true;
    queue(response);
    const bool sent = send_now() || co_await send();
    conversation_->served({.request = request(),
                           .response = response,
                           .bytes_received = 0,
                           .bytes_sent = sent ? body_to_send(response).size() : 0,
                           .time = {}});
    co_return sent;
  }

  void append_head(const ServerResponse& response, std::size_t length) {
    out_ += "HTTP/1.1 ";
    out_ += fmt::format_int(response.status).c_str();
    out_ += ' ';
    out_ += status_name(response.status);
    out_ += "\r\nDate: ";
    out_ += setting_.table.date();
    if (!response.content_type.empty()) {
      out_ += "\r\nContent-Type: ";
      out_ += response.content_type;
    }
    for (const auto& [name, value] : response.headers) {
      out_ += "\r\n";
      out_ += name;
      out_ += ": ";
      out_ += value;
    }
    // RFC 9110, section 8.6: none with 204.
    if (response.status != 204) {
      out_ += "\r\nContent-Length: ";
      out_ += fmt::format_int(length).c_str();
    }
    if (response.close) {
      out_ += "\r\nConnection: close";
    } else if (request().minor_version == 0) {
      out_ += "\r\nConnection: keep-alive";
    }
    out_ += "\r\n\r\n";
  }

  std::string_view body_to_send(const ServerResponse& response) {
    return request().method == "HEAD" ? std::string_view() : response.body();
  }

  // Puts the answer behind those that wait. What shall go out now is `unsent_` then.
  void queue(const ServerResponse& response) {
    append_head(response, response.body().size());
    std::string_view body = body_to_send(response);
    if (body.size() <= kCopied) {
      out_ += body;
      body = {};
      // Answers to what was pipelined go out together.
      const bool more = !in_.empty() && in_.view().size() > parser_.head_bytes() + behind_head_;
      if (more && !response.close && out_.size() < kCopied) return;
    }
    unsent_ = {asio::buffer(out_), asio::buffer(body.data(), body.size())};
  }

  io::Task<bool> flush() {
    unsent_ = {asio::buffer(out_), asio::const_buffer()};
    co_return send_now() || co_await send();
  }

  // Hands `unsent_` to the kernel, which nearly always takes all of it at once: so an answer costs
  // no coroutine. False: `send` has to be awaited for the rest.
  bool send_now() {
    if (unsent_bytes() == 0) return true;
    if constexpr (std::is_same_v<Stream, ServerSocket>) {
      ErrorCodeOfBoost error;
      if (!write_some(error)) return false;
      nothing_unsent();
      return true;
    } else {
      return false;
    }
  }

  // Sends `unsent_`, however long that takes within its time. False: it could not be sent.
  io::Task<bool> send() {
    due_for(unsent_bytes());
    const bool all = co_await send_rest();
    not_due();
    nothing_unsent();
    co_return all;
  }

  io::Task<bool> send_rest() {
    if constexpr (std::is_same_v<Stream, ServerSocket>) {
      ErrorCodeOfBoost error;
      while (!write_some(error)) {
        if (error && error != asio::error::would_block) co_return false;
        const auto [wait_error] = co_await stream_.async_wait(asio::socket_base::wait_write,
                                                              asio::as_tuple(io::use_task));
        if (wait_error) co_return false;
      }
      co_return true;
    } else {
      const auto [error, n] =
          co_await asio::async_write(stream_, unsent_, asio::as_tuple(io::use_task));
      co_return !error;
    }
  }

  // True: the kernel has taken all of `unsent_`.
  bool write_some(ErrorCodeOfBoost& error) {
    // One buffer is sent by send(), which the kernel takes quicker than a list of them.
    std::size_t n = unsent_[1].size() == 0 ? stream_.write_some(unsent_[0], error)
                                           : stream_.write_some(unsent_, error);
    if (error) return false;
    for (asio::const_buffer& buffer : unsent_) {
      const std::size_t part = std::min(n, buffer.size());
      buffer += part;
      n -= part;
    }
    return unsent_bytes() == 0;
  }

  [[nodiscard]] std::size_t unsent_bytes() const { return asio::buffer_size(unsent_); }
  void nothing_unsent() {
    unsent_ = {};
    out_.clear();
    if (out_.capacity() > ReadBuffer::kIdle) out_ = std::string();  // it may be idle for long
  }

  // A close with unread input makes the kernel send a reset, which can overtake the answer.
  io::Task<> linger() {
    ErrorCodeOfBoost error;
    if (broken_ || !socket().is_open()) co_return;
    if constexpr (std::is_same_v<Stream, TlsStream>) {
      due(kLingerTime);
      (void)co_await stream_.async_shutdown(asio::as_tuple(io::use_task));
    }
    socket().shutdown(asio::socket_base::shutdown_send, error);
    if (error) co_return;
    due(kLingerTime);
    std::array<char, kScrap> scrap;
    std::size_t all = 0;
    while (all < kLinger && !setting_.table.stopping()) {
      const auto [read_error, bytes] =
          co_await socket().async_read_some(asio::buffer(scrap), asio::as_tuple(io::use_task));
      if (read_error) co_return;
      all += bytes;
    }
  }

  Stream stream_;
  ServerSetting& setting_;
  ConnectionTable::Entry place_;
  std::unique_ptr<Conversation> conversation_;
  RequestParser parser_;
  ReadBuffer in_;
  std::string out_;                           // answers that have not gone out
  std::array<asio::const_buffer, 2> unsent_;  // of `out_` and a body: what shall go out now
  std::string chunk_rest_;                    // of the next request, read behind a body
  std::size_t behind_head_ = 0;  // bytes of the body that lie in `in_`, behind the head
  std::uint64_t body_bytes_ = 0;
  bool broken_ = false;
};

}  // namespace

io::Task<> serve_connection(ServerSocket socket, ServerSetting& setting) {
  try {
    ErrorCodeOfBoost ignored;
    socket.set_option(asio::ip::tcp::no_delay(true), ignored);
    socket.non_blocking(true, ignored);
    auto conversation = setting.service.begin(address_of(socket));
    if (setting.tls != nullptr) {
      Connection<TlsStream> connection(TlsStream(std::move(socket), *setting.tls), setting,
                                       std::move(conversation));
      co_await connection.serve();
    } else {
      Connection<ServerSocket> connection(std::move(socket), setting, std::move(conversation));
      co_await connection.serve();
    }
  } catch (const std::exception& error) {
    // This connection ends, the others go on.
    setting.service.broke(error.what());
  }
}

}  // namespace sluice::http
