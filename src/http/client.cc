#include "http/client.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <new>
#include <optional>

#include "http/curl_multi.h"

namespace sluice::http {

namespace {

// libcurl bounds one header line, not their sum.
constexpr std::size_t most_header_bytes = 256u << 10;
// What simdjson reads beyond the end of a text (SIMDJSON_PADDING).
constexpr std::size_t body_padding = 64;
// A Content-Length is only a claim: more than this is reserved as the bytes arrive.
constexpr std::size_t most_reserved_ahead = 4u << 20;

struct SlistDeleter {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using Slist = std::unique_ptr<curl_slist, SlistDeleter>;

void append(Slist& list, const std::string& line) {
  curl_slist* const longer = curl_slist_append(list.get(), line.c_str());
  if (longer == nullptr) throw std::bad_alloc();
  static_cast<void>(list.release());
  list.reset(longer);
}

bool breaks_a_header(std::string_view text) {
  return text.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos;
}

std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

// The answer as it arrives, with what curl's callbacks know of it.
struct Reception {
  Response response;
  std::size_t limit = 0;
  std::size_t header_bytes = 0;
  int times_sent = 0;
  bool too_large = false;
  bool headers_too_large = false;
};

void read_status_line(std::string_view line, Response& response) {
  // An interim answer (100, 103) is followed by the real one: start afresh.
  response.headers.clear();
  response.status = 0;
  const auto space = line.find(' ');
  if (space == std::string_view::npos) return;
  const std::string_view number = line.substr(space + 1, 3);
  std::from_chars(number.data(), number.data() + number.size(), response.status);
}

std::size_t on_header(char* data, std::size_t size, std::size_t count, void* context) noexcept {
  auto& reception = *static_cast<Reception*>(context);
  const std::string_view line(data, size * count);
  reception.header_bytes += line.size();
  if (reception.header_bytes > most_header_bytes) {
    reception.headers_too_large = true;
    return 0;
  }
  if (line.starts_with("HTTP/")) {
    read_status_line(line, reception.response);
    return line.size();
  }
  const auto colon = line.find(':');
  if (colon == std::string_view::npos) return line.size();
  const std::string_view name = trim(line.substr(0, colon));
  const std::string_view value = trim(line.substr(colon + 1));
  reception.response.headers.add(name, value);
  constexpr std::string_view content_length = "content-length";
  if (name.size() == content_length.size() &&
      curl_strnequal(name.data(), content_length.data(), content_length.size()) != 0) {
    std::uint64_t length = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), length);
    if (error != std::errc{} || end != value.data() + value.size()) return line.size();
    if (length > reception.limit) {
      reception.too_large = true;
      return 0;
    }
    reception.response.body.reserve(std::min<std::size_t>(length, most_reserved_ahead) +
                                    body_padding);
  }
  return line.size();
}

std::size_t on_body(char* data, std::size_t size, std::size_t count, void* context) noexcept {
  auto& reception = *static_cast<Reception*>(context);
  const std::size_t length = size * count;
  if (length > reception.limit - reception.response.body.size()) {
    reception.too_large = true;
    return 0;
  }
  reception.response.body.append(data, length);
  return length;
}

// Called each time just before a request is put on a connection. curl repeats one by itself when a
// kept-alive connection turns out to be closed; that repetition would be unknown to the gate, so it
// is stopped here, and the caller decides (RequestFate::stale).
int before_sending(void* context, char*, char*, int, int) noexcept {
  auto& reception = *static_cast<Reception*>(context);
  if (reception.times_sent > 0) return CURL_PREREQFUNC_ABORT;
  ++reception.times_sent;
  return CURL_PREREQFUNC_OK;
}

// "api.cloudflare.com" or "127.0.0.1:8080": what messages name. Never user or password.
std::string_view host_of(std::string_view url) {
  if (const auto scheme = url.find("://"); scheme != std::string_view::npos) {
    url.remove_prefix(scheme + 3);
  }
  url = url.substr(0, url.find_first_of("/?#"));
  if (const auto at = url.rfind('@'); at != std::string_view::npos) url.remove_prefix(at + 1);
  return url;
}

long clamp_milliseconds(std::chrono::milliseconds value) {
  return static_cast<long>(std::clamp<std::int64_t>(value.count(), 1, 86'400'000));
}

Error make_error(ErrorCode code, Retry retry, std::string message) {
  return Error{code, retry, std::nullopt, std::move(message)};
}

Failure refused(std::string message) {
  return {make_error(ErrorCode::invalid_argument, Retry::never, std::move(message)),
          RequestFate::not_sent};
}

// What a transfer that ended with `code` means.
Error explain(CURLcode code, bool stalled, std::string_view host, std::string_view detail,
              const Reception& reception, const Client::Options& options) {
  if (reception.too_large) {
    return make_error(
        ErrorCode::too_large, Retry::smaller,
        fmt::format("{} sent an answer of more than {} bytes; ask for less at a time.", host,
                    options.largest_response));
  }
  if (reception.headers_too_large) {
    return make_error(
        ErrorCode::protocol, Retry::again,
        fmt::format("{} sent more than {} bytes of headers; check that the address is "
                    "the right one.",
                    host, most_header_bytes));
  }
  const std::string reason(detail.empty() ? std::string_view(curl_easy_strerror(code)) : detail);
  switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
      if (stalled) {
        return make_error(ErrorCode::timeout, Retry::again,
                          fmt::format("The connection to {} stood still for {} ms in the middle of "
                                      "a transfer; check the network.",
                                      host, options.stall.count()));
      }
      if (reception.times_sent == 0) {
        return make_error(ErrorCode::timeout, Retry::again,
                          fmt::format("{} could not be reached in time; check the network and the "
                                      "address.",
                                      host));
      }
      return make_error(
          ErrorCode::timeout, Retry::again,
          fmt::format("{} did not answer within {} ms; a longer --timeout or a smaller "
                      "batch may help.",
                      host, options.timeout.count()));
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
      return make_error(
          ErrorCode::network, Retry::again,
          fmt::format("{} could not be reached ({}); check the network and the address.", host,
                      reason));
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
      return make_error(
          ErrorCode::network, Retry::fatal,
          fmt::format("The certificate of {} is not trusted ({}); nothing was sent to "
                      "it. Check the address and the system's certificates.",
                      host, reason));
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      // The second also means that the answer was not HTTP (curl: "received HTTP/0.9").
      if (reception.times_sent > 0) {
        return make_error(
            ErrorCode::protocol, Retry::again,
            fmt::format("{} sent an answer that is not HTTP; check the address.", host));
      }
      return make_error(
          ErrorCode::invalid_argument, Retry::fatal,
          fmt::format("The address of {} is not an http:// or https:// URL; correct it.", host));
    case CURLE_OUT_OF_MEMORY:
      throw std::bad_alloc();
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_HTTP2:
      return make_error(
          ErrorCode::protocol, Retry::again,
          fmt::format("{} sent an answer that is not valid HTTP ({}).", host, reason));
    default:
      return make_error(
          ErrorCode::network, Retry::again,
          fmt::format("The connection to {} broke before the answer was complete ({}).", host,
                      reason));
  }
}

RequestFate fate_of(CURLcode code, CURL* handle, const Reception& reception) {
  long request_bytes = 0;
  long new_connections = 0;
  curl_easy_getinfo(handle, CURLINFO_REQUEST_SIZE, &request_bytes);
  curl_easy_getinfo(handle, CURLINFO_NUM_CONNECTS, &new_connections);
  const bool unanswered = reception.header_bytes == 0;
  // Only curl's own wish to send again ends this way: see before_sending.
  if (code == CURLE_ABORTED_BY_CALLBACK) return RequestFate::stale;
  if (reception.times_sent == 0 || request_bytes == 0) return RequestFate::not_sent;
  const bool closed = code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR ||
                      code == CURLE_GOT_NOTHING || code == CURLE_PARTIAL_FILE ||
                      code == CURLE_HTTP2_STREAM;
  if (closed && unanswered && new_connections == 0) return RequestFate::stale;
  return RequestFate::unknown;
}

void set_options(CURL* handle, const Client::Options& options, std::string_view url) {
  const bool secure = url.starts_with("https:");
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  // Keys are part of paths, and "a/../b" is a key.
  curl_easy_setopt(handle, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(handle, CURLOPT_USERAGENT, options.user_agent.c_str());
  curl_easy_setopt(handle, CURLOPT_ACCEPT_ENCODING, "");  // all that curl can decode
  curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, clamp_milliseconds(options.timeout));
  curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS, clamp_milliseconds(options.connect_timeout));
  curl_easy_setopt(handle, CURLOPT_TCP_NODELAY, 1L);
  curl_easy_setopt(handle, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(handle, CURLOPT_TCP_KEEPIDLE, 30L);
  curl_easy_setopt(handle, CURLOPT_TCP_KEEPINTVL, 15L);
  curl_easy_setopt(handle, CURLOPT_BUFFERSIZE, 65'536L);
  // Plain-text peers speak HTTP/1.1: reuse of h2c connections is broken in libcurl 7.88.
  curl_easy_setopt(handle, CURLOPT_HTTP_VERSION,
                   secure ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1);
  // Wait for a connection that is being made and may carry this request too.
  curl_easy_setopt(handle, CURLOPT_PIPEWAIT, secure ? 1L : 0L);
  if (!options.ca_file.empty()) {
    curl_easy_setopt(handle, CURLOPT_CAINFO, options.ca_file.c_str());
  }
  // A proxy could not reach this machine's loopback, and would see what is sent in the clear.
  if (is_loopback_url(url)) curl_easy_setopt(handle, CURLOPT_NOPROXY, "*");
}

void set_request(CURL* handle, const Request& request, const Slist& headers) {
  curl_easy_setopt(handle, CURLOPT_URL, request.url.c_str());
  if (request.method == "HEAD") {
    curl_easy_setopt(handle, CURLOPT_NOBODY, 1L);
  } else if (request.method != "GET" || !request.body.empty()) {
    const bool has_body =
        !request.body.empty() || request.method == "POST" || request.method == "PUT";
    if (has_body) {
      // curl sends from this memory and can begin again from its start.
      curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE,
                       static_cast<curl_off_t>(request.body.size()));
      curl_easy_setopt(handle, CURLOPT_POSTFIELDS, request.body.c_str());
    }
    curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  }
  curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers.get());
  // On a fresh connection nobody has to guess whether a closed one had been read.
  curl_easy_setopt(handle, CURLOPT_FRESH_CONNECT, request.idempotent ? 0L : 1L);
}

}  // namespace

bool is_loopback_url(std::string_view url) {
  std::string_view host = host_of(url);
  if (host.starts_with('[')) return host == "[::1]" || host.starts_with("[::1]:");
  host = host.substr(0, host.find(':'));
  if (host == "localhost") return true;
  // An address, not a name such as 127.example.org.
  return host.starts_with("127.") &&
         host.find_first_not_of("0123456789.") == std::string_view::npos;
}

Client::Client(io::Executor executor, Options options, io::Stop* stop)
    : options_(std::move(options)),
      stop_(stop),
      multi_(std::make_shared<CurlMulti>(executor, options_.stall,
                                         static_cast<long>(options_.idle_connections))) {}

Client::~Client() = default;

io::Task<std::expected<Response, Failure>> Client::send(const Request& request) {
  const std::string host(host_of(request.url));
  if (stop_ != nullptr && stop_->abandoned()) {
    co_return std::unexpected(Failure{stop_->reason(), RequestFate::not_sent});
  }
  Slist headers;
  bool malformed = breaks_a_header(request.url) || breaks_a_header(request.method) ||
                   breaks_a_header(request.content_type);
  for (const auto& [name, value] : request.headers) {
    malformed = malformed || breaks_a_header(name) || breaks_a_header(value);
    append(headers, value.empty() ? fmt::format("{};", name) : fmt::format("{}: {}", name, value));
  }
  if (malformed) {
    co_return std::unexpected(refused(fmt::format(
        "The request to {} was not sent: its address or a header holds a line break.", host)));
  }
  // Without a type of ours, curl would name the one of HTML forms.
  append(headers, request.content_type.empty()
                      ? std::string("Content-Type:")
                      : fmt::format("Content-Type: {}", request.content_type));
  // Waiting for "100 Continue" costs a round trip for each large batch.
  append(headers, "Expect:");

  Reception reception;
  reception.limit = options_.largest_response;
  std::array<char, CURL_ERROR_SIZE> detail{};
  CurlMulti::Transfer transfer(multi_, multi_->take_handle());
  CURL* const handle = transfer.handle();
  set_options(handle, options_, request.url);
  set_request(handle, request, headers);
  curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, detail.data());
  curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, &on_header);
  curl_easy_setopt(handle, CURLOPT_HEADERDATA, &reception);
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, &on_body);
  curl_easy_setopt(handle, CURLOPT_WRITEDATA, &reception);
  curl_easy_setopt(handle, CURLOPT_PREREQFUNCTION, &before_sending);
  curl_easy_setopt(handle, CURLOPT_PREREQDATA, &reception);

  std::optional<io::Stop::Listener> on_abandon;
  if (stop_ != nullptr) {
    on_abandon.emplace(*stop_, [&transfer] { transfer.give_up(); }, io::Stop::Phase::abandoned);
  }
  const CURLcode code = co_await transfer.run(static_cast<curl_off_t>(request.body.size()));

  long request_bytes = 0;
  curl_off_t uploaded = 0;
  curl_off_t downloaded = 0;
  curl_easy_getinfo(handle, CURLINFO_REQUEST_SIZE, &request_bytes);
  curl_easy_getinfo(handle, CURLINFO_SIZE_UPLOAD_T, &uploaded);
  curl_easy_getinfo(handle, CURLINFO_SIZE_DOWNLOAD_T, &downloaded);
  traffic_.requests += static_cast<std::uint64_t>(reception.times_sent);
  traffic_.bytes_sent += static_cast<std::uint64_t>(request_bytes + uploaded);
  traffic_.bytes_received += static_cast<std::uint64_t>(downloaded) + reception.header_bytes;

  if (code == CURLE_OK) {
    if (reception.response.status == 0) {
      co_return std::unexpected(
          Failure{make_error(ErrorCode::protocol, Retry::again,
                             fmt::format("{} sent an answer that is not HTTP.", host)),
                  RequestFate::unknown});
    }
    reception.response.body.reserve(reception.response.body.size() + body_padding);
    co_return std::move(reception.response);
  }
  Failure failure;
  failure.error = transfer.given_up()
                      ? stop_->given_up(host)
                      : explain(code, transfer.stalled(), host, detail.data(), reception, options_);
  failure.fate = fate_of(code, handle, reception);
  if (failure.fate == RequestFate::stale) {
    failure.error.message = fmt::format("{} closed the connection before it answered.", host);
  }
  co_return std::unexpected(std::move(failure));
}

}  // namespace sluice::http
