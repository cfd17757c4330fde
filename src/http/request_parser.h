// RequestParser: HTTP/1 requests from bytes. Knows nothing of sockets and does not wait.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <string_view>

#include "http/server_message.h"
#include "http/service.h"

namespace sluice::http {

// Reads the heads and the chunked bodies of one connection's requests, one after the other. Strict:
// what two readers could understand differently is refused, since that is what request smuggling
// lives on (RFC 9112, section 11.2): two lengths, a length beside a Transfer-Encoding, any coding
// but "chunked", a line that ends in a bare LF, folded lines, a space before the colon, no Host or
// two of them.
class RequestParser {
 public:
  struct Limits {
    std::size_t head = 16 * 1024;   // bytes of the request line and all fields: else 431
    std::size_t target = 8 * 1024;  // bytes of the target: else 414
    std::size_t fields = 100;       // header fields: else 431
  };

  explicit RequestParser(Limits limits);
  ~RequestParser();
  RequestParser(const RequestParser&) = delete;
  RequestParser& operator=(const RequestParser&) = delete;

  enum class Step : std::uint8_t {
    need_more,  // there is no whole head yet
    head,       // request() is filled in
    refused,    // refusal() says why; nothing more can be read from this connection
  };
  // Looks for a head at the beginning of `bytes`, all that has come and was not consumed. Called
  // again with the same bytes and more, it goes on where it stopped. The views in request() point
  // into `bytes`.
  Step parse_head(std::string_view bytes);

  // How long the head is, the empty line included. After Step::head.
  [[nodiscard]] std::size_t head_bytes() const { return head_bytes_; }
  [[nodiscard]] ServerRequest& request() { return request_; }
  [[nodiscard]] const Refusal& refusal() const { return refusal_; }

  // After Step::head of a request whose body comes in chunks. Reads chunks from the beginning of
  // `bytes` and appends what they carry to `body`, which may grow to `limit` bytes (else 413). How
  // many of the bytes were consumed; call again with the rest and more until chunks_done().
  // Trailers are read and dropped.
  std::expected<std::size_t, Refusal> parse_chunks(std::string_view bytes, std::string& body,
                                                   std::uint64_t limit);
  [[nodiscard]] bool chunks_done() const;

  // Begins the next request.
  void reset();

 private:
  struct Reader;
  Step refuse(int status, std::string_view sentence);

  Limits limits_;
  ServerRequest request_;
  Refusal refusal_;
  std::size_t head_bytes_ = 0;
  std::size_t scanned_ = 0;  // of the bytes: no line ends before
  std::size_t line_ = 0;     // where the line begins that is not complete
  std::size_t begin_ = 0;    // where the request line begins
  std::unique_ptr<Reader> reader_;
};

}  // namespace sluice::http
