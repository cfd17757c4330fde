#include "http/request_parser.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <optional>
#include <utility>

namespace sluice::http {

namespace {

namespace beast = boost::beast;
using ErrorCodeOfBoost = beast::error_code;

std::string_view view(beast::string_view text) {
  return {text.data(), text.size()};
}

bool same(std::string_view left, std::string_view right) {
  return beast::iequals({left.data(), left.size()}, {right.data(), right.size()});
}

bool is_length(std::string_view text) {
  return !text.empty() && text.size() <= 18 &&
         std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

// Beast's parser does the grammar. What it leaves open to two readings is refused here.
class HeadParser final : public beast::http::basic_parser<true> {
 public:
  HeadParser(ServerRequest& request, const RequestParser::Limits& limits)
      : request_(request), limits_(limits) {
    header_limit(static_cast<std::uint32_t>(limits.head));
    body_limit(boost::none);
  }

  // The first thing that was refused.
  [[nodiscard]] const std::optional<Refusal>& refusal() const { return refusal_; }
  // Where chunks are appended, and how much may be.
  void collect(std::string& body, std::uint64_t limit) {
    body_ = &body;
    room_ = limit;
  }

  void check_whole_head() {
    if (refusal_) return;
    if (request_.minor_version == 1 && hosts_ != 1) {
      refuse(400, hosts_ == 0 ? "The Host header is missing." : "There are two Host headers.");
    }
    if (codings_ > 0 && request_.minor_version == 0) {
      refuse(400, "A request of HTTP/1.0 has no Transfer-Encoding.");
    }
    request_.keep_alive = keep_alive();
    if (codings_ > 0) {
      request_.content_length = std::nullopt;
    } else {
      request_.content_length = length_;
    }
  }

 private:
  void refuse(int status, std::string_view sentence) {
    if (!refusal_) refusal_ = Refusal{status, sentence};
  }

  void on_request_impl(beast::http::verb, beast::string_view method, beast::string_view target,
                       int version, ErrorCodeOfBoost&) override {
    request_.method = view(method);
    request_.target = view(target);
    request_.minor_version = version % 10;
    if (target.size() > limits_.target) refuse(414, "The target is too long.");
    set_target(view(target));
  }

  // RFC 9112, section 3.2: a path, or a whole URL as proxies are sent.
  void set_target(std::string_view target) {
    if (!target.starts_with('/')) {
      const std::size_t scheme = target.find("://");
      if (scheme == std::string_view::npos) {
        refuse(400, "The target is not a path.");
        return;
      }
      const std::size_t path = target.find_first_of("/?", scheme + 3);
      target = path == std::string_view::npos ? std::string_view("/") : target.substr(path);
    }
    if (target.find('#') != std::string_view::npos) {
      refuse(400, "The target holds a fragment.");
    }
    const std::size_t mark = target.find('?');
    request_.path = target.substr(0, mark);
    request_.query = mark == std::string_view::npos ? std::string_view() : target.substr(mark + 1);
  }

  void on_field_impl(beast::http::field name, beast::string_view text, beast::string_view content,
                     ErrorCodeOfBoost&) override {
    if (in_trailer_) return;
    const std::string_view value = view(content);
    if (request_.headers.size() >= limits_.fields) {
      refuse(431, "There are too many header fields.");
      return;
    }
    request_.headers.push_back({view(text), value});
    switch (name) {
      case beast::http::field::host:
        ++hosts_;
        break;
      case beast::http::field::content_length:
        if (++lengths_ > 1 || !is_length(value)) {
          refuse(400, "The Content-Length is not one number.");
          return;
        }
        length_ = 0;
        for (const char c : value) length_ = length_ * 10 + static_cast<unsigned>(c - '0');
        break;
      case beast::http::field::transfer_encoding:
        if (++codings_ > 1) refuse(400, "There are two Transfer-Encodings.");
        if (!same(value, "chunked")) refuse(501, "The only Transfer-Encoding here is chunked.");
        break;
      case beast::http::field::expect:
        if (same(value, "100-continue")) {
          request_.expects_continue = request_.minor_version == 1;
        } else {
          refuse(417, "The only expectation that can be met is 100-continue.");
        }
        break;
      default:
        break;
    }
  }

  void on_header_impl(ErrorCodeOfBoost&) override { in_trailer_ = true; }
  void on_body_init_impl(const boost::optional<std::uint64_t>&, ErrorCodeOfBoost&) override {}
  std::size_t on_body_impl(beast::string_view body, ErrorCodeOfBoost&) override {
    return body.size();
  }
  void on_chunk_header_impl(std::uint64_t size, beast::string_view,
                            ErrorCodeOfBoost& error) override {
    if (size <= room_) return;
    refuse(413, "The body is too large.");
    error = beast::http::error::body_limit;
  }
  std::size_t on_chunk_body_impl(std::uint64_t, beast::string_view bytes,
                                 ErrorCodeOfBoost&) override {
    body_->append(bytes.data(), bytes.size());
    room_ -= bytes.size();
    return bytes.size();
  }
  void on_finish_impl(ErrorCodeOfBoost&) override {}
  // Never called: this parser reads requests.
  void on_response_impl(int, beast::string_view, int, ErrorCodeOfBoost&) override {}

  ServerRequest& request_;
  const RequestParser::Limits& limits_;
  std::optional<Refusal> refusal_;
  std::string* body_ = nullptr;
  std::uint64_t room_ = 0;
  std::uint64_t length_ = 0;
  int hosts_ = 0;
  int lengths_ = 0;
  int codings_ = 0;
  bool in_trailer_ = false;
};

// Whether a head begins with the line of another HTTP than 1.0 and 1.1: "GET / HTTP/2.0".
bool is_of_other_version(std::string_view head) {
  const std::string_view line = head.substr(0, head.find('\r'));
  const std::size_t at = line.rfind(" HTTP/");
  return at != std::string_view::npos && line.size() == at + 9 && line[at + 7] == '.' &&
         line.substr(at + 6) != "1.0" && line.substr(at + 6) != "1.1" &&
         is_length(line.substr(at + 6, 1)) && is_length(line.substr(at + 8));
}

Refusal refusal_of(const ErrorCodeOfBoost& error, std::string_view head = {}) {
  const auto is = [&](beast::http::error which) { return error == which; };
  if (is(beast::http::error::bad_version)) {
    return is_of_other_version(head)
               ? Refusal{505, "Only HTTP/1.0 and HTTP/1.1 are spoken here."}
               : Refusal{400, "The request line does not end in a version of HTTP."};
  }
  if (is(beast::http::error::header_limit)) return {431, "The header is too long."};
  if (is(beast::http::error::bad_content_length) ||
      is(beast::http::error::multiple_content_length) ||
      is(beast::http::error::bad_transfer_encoding)) {
    return {400, "How long the body is can be read in two ways."};
  }
  if (is(beast::http::error::bad_chunk) || is(beast::http::error::bad_chunk_extension)) {
    return {400, "A chunk of the body is malformed."};
  }
  return {400, "This is not a request of HTTP/1.1."};
}

}  // namespace

std::optional<std::string_view> ServerRequest::find(std::string_view name) const {
  for (const FieldView& field : headers) {
    if (field.name.size() == name.size() && same(field.name, name)) return field.value;
  }
  return std::nullopt;
}

struct RequestParser::Reader {
  std::optional<HeadParser> parser;
};

RequestParser::RequestParser(Limits limits)
    : limits_(limits), reader_(std::make_unique<Reader>()) {}
RequestParser::~RequestParser() = default;

RequestParser::Step RequestParser::refuse(int status, std::string_view sentence) {
  refusal_ = {status, sentence};
  return Step::refused;
}

RequestParser::Step RequestParser::parse_head(std::string_view bytes) {
  for (;;) {
    const std::size_t end = bytes.find('\n', scanned_);
    if (end == std::string_view::npos || end >= limits_.head) {
      scanned_ = bytes.size();
      if (bytes.size() < limits_.head) return Step::need_more;
      return line_ == begin_ ? refuse(414, "The target is too long.")
                             : refuse(431, "The header is too long.");
    }
    scanned_ = end + 1;
    if (end == line_ || bytes[end - 1] != '\r') {
      return refuse(400, "A line of the header ends in LF without CR.");
    }
    const bool empty = end - 1 == line_;
    if (empty && line_ == begin_) {
      // RFC 9112, section 2.2: an empty line before a request is passed over. One.
      if (begin_ > 0) return refuse(400, "This is not a request of HTTP/1.1.");
      line_ = begin_ = scanned_;
      continue;
    }
    if (!empty && line_ != begin_ && (bytes[line_] == ' ' || bytes[line_] == '\t')) {
      return refuse(400, "A header field is folded over two lines.");
    }
    line_ = scanned_;
    if (empty) break;
  }
  head_bytes_ = scanned_;
  HeadParser& parser = reader_->parser.emplace(request_, limits_);
  ErrorCodeOfBoost error;
  const std::string_view head = bytes.substr(begin_, head_bytes_ - begin_);
  parser.put(boost::asio::buffer(head.data(), head.size()), error);
  if (parser.refusal()) return refuse(parser.refusal()->status, parser.refusal()->sentence);
  if (error || !parser.is_header_done()) {
    refusal_ = refusal_of(error, head);
    return Step::refused;
  }
  parser.check_whole_head();
  if (parser.refusal()) return refuse(parser.refusal()->status, parser.refusal()->sentence);
  return Step::head;
}

std::expected<std::size_t, Refusal> RequestParser::parse_chunks(std::string_view bytes,
                                                                std::string& body,
                                                                std::uint64_t limit) {
  HeadParser& parser = *reader_->parser;
  parser.collect(body, limit - std::min<std::uint64_t>(limit, body.size()));
  std::size_t consumed = 0;
  while (!parser.is_done() && consumed < bytes.size()) {
    const std::string_view rest = bytes.substr(consumed);
    ErrorCodeOfBoost error;
    const std::size_t n = parser.put(boost::asio::buffer(rest.data(), rest.size()), error);
    if (parser.refusal()) return std::unexpected(*parser.refusal());
    if (error == beast::http::error::need_more) {
      // The line of a chunk's size, or a trailer, is not complete.
      if (n == 0 && rest.size() > limits_.head) {
        return std::unexpected(Refusal{400, "A chunk of the body is malformed."});
      }
      return consumed + n;
    }
    if (error) return std::unexpected(refusal_of(error));
    consumed += n;
    if (n == 0) break;
  }
  return consumed;
}

bool RequestParser::chunks_done() const {
  return reader_->parser->is_done();
}

void RequestParser::reset() {
  request_.method = request_.target = request_.path = request_.query = {};
  request_.headers.clear();
  request_.body.clear();
  if (request_.body.capacity() > MemoryBudget::kSmall) request_.body = {};
  request_.body_memory = {};
  request_.expects_continue = false;
  head_bytes_ = scanned_ = line_ = begin_ = 0;
  reader_->parser.reset();
}

}  // namespace sluice::http
