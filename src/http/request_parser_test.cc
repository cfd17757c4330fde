#include "http/request_parser.h"

#include <gtest/gtest.h>

#include <string>
#include <tuple>
#include <vector>

namespace sluice::http {
namespace {

using Step = RequestParser::Step;

struct Parsed {
  Step step = Step::need_more;
  int status = 0;  // of a refusal
};

Parsed parse(std::string_view bytes, RequestParser::Limits limits = {}) {
  RequestParser parser(limits);
  const Step step = parser.parse_head(bytes);
  return {step, step == Step::refused ? parser.refusal().status : 0};
}

TEST(RequestParser, ReadsAHead) {
  const std::string bytes =
      "PUT /a%2Fb/c?x=1&y HTTP/1.1\r\nHost: h\r\nX-One:  1 \r\nContent-Length: 5\r\n\r\nhello";
  RequestParser parser({});
  ASSERT_EQ(parser.parse_head(bytes), Step::head);
  const ServerRequest& request = parser.request();
  EXPECT_EQ(request.method, "PUT");
  EXPECT_EQ(request.target, "/a%2Fb/c?x=1&y");
  EXPECT_EQ(request.path, "/a%2Fb/c");
  EXPECT_EQ(request.query, "x=1&y");
  EXPECT_EQ(request.find("x-ONE"), "1");
  EXPECT_EQ(request.find("x-two"), std::nullopt);
  EXPECT_EQ(request.content_length, 5u);
  EXPECT_TRUE(request.keep_alive);
  EXPECT_EQ(bytes.substr(parser.head_bytes()), "hello");
}

TEST(RequestParser, GoesOnWhereItStoppedForAnyCut) {
  const std::string bytes = "GET /k HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\nGET /next HTTP/1.1\r\n";
  const std::size_t head = bytes.find("GET /next");
  for (std::size_t cut = 0; cut < head; ++cut) {
    RequestParser parser({});
    ASSERT_EQ(parser.parse_head(std::string_view(bytes).substr(0, cut)), Step::need_more) << cut;
    ASSERT_EQ(parser.parse_head(bytes), Step::head) << cut;
    EXPECT_EQ(parser.head_bytes(), head);
    EXPECT_EQ(parser.request().path, "/k");
    EXPECT_EQ(parser.request().headers.size(), 2u);
  }
}

TEST(RequestParser, KeepsTheConnectionAsTheVersionAndTheClientSay) {
  const std::vector<std::tuple<std::string, bool>> cases{
      {"GET / HTTP/1.1\r\nHost: h\r\n\r\n", true},
      {"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", false},
      {"GET / HTTP/1.0\r\n\r\n", false},
      {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true},
  };
  for (const auto& [bytes, keeps] : cases) {
    RequestParser parser({});
    ASSERT_EQ(parser.parse_head(bytes), Step::head) << bytes;
    EXPECT_EQ(parser.request().keep_alive, keeps) << bytes;
  }
}

TEST(RequestParser, TakesTheFormsOfTarget) {
  const std::vector<std::tuple<std::string, std::string, std::string>> cases{
      {"/", "/", ""},  {"//a", "//a", ""},          {"/../x", "/../x", ""},
      {"/?", "/", ""}, {"http://h/a?b", "/a", "b"}, {"http://h", "/", ""},
  };
  for (const auto& [target, path, query] : cases) {
    const std::string bytes = "GET " + target + " HTTP/1.1\r\nHost: h\r\n\r\n";
    RequestParser parser({});
    ASSERT_EQ(parser.parse_head(bytes), Step::head) << target;
    EXPECT_EQ(parser.request().path, path);
    EXPECT_EQ(parser.request().query, query);
  }
}

// What two readers could understand differently, or what is no HTTP.
TEST(RequestParser, RefusesWhatIsAmbiguousOrMalformed) {
  const std::string get = "GET / HTTP/1.1\r\n";
  const std::string put = "PUT / HTTP/1.1\r\nHost: h\r\n";
  const std::vector<std::tuple<std::string, int>> cases{
      {"\x16\x03\x01\x02\r\n\r\n", 400},
      {"GET\r\n\r\n", 400},
      {"GET /\r\nHost: h\r\n\r\n", 400},
      {"GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505},
      {"GET / HTTP/1.2\r\nHost: h\r\n\r\n", 505},
      {"GET / FTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"GET  / HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"GET / x HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"GET * HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"GET a HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"GET /#x HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"GET / HTTP/1.1\nHost: h\n\n", 400},
      {get + "Host: h\n\r\n", 400},
      {"\r\n\r\n", 400},
      {get + "\r\n", 400},
      {get + "Host: h\r\nHost: h\r\n\r\n", 400},
      {get + "Host : h\r\n\r\n", 400},
      {get + " Host: h\r\n\r\n", 400},
      {get + "Host: h\r\n folded\r\n\r\n", 400},
      {get + "Host: h\r\nNo colon\r\n\r\n", 400},
      {get + "Host: h\r\n: empty\r\n\r\n", 400},
      {get + std::string("Host: h\r\nA: b\0c\r\n\r\n", 20), 400},
      {put + "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", 400},
      {put + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", 400},
      {put + "Content-Length: 5, 5\r\n\r\n", 400},
      {put + "Content-Length: -1\r\n\r\n", 400},
      {put + "Content-Length: +5\r\n\r\n", 400},
      {put + "Content-Length: 0x5\r\n\r\n", 400},
      {put + "Content-Length: \r\n\r\n", 400},
      {put + "Content-Length: 99999999999999999999\r\n\r\n", 400},
      {put + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {put + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", 400},
      {put + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {put + "Transfer-Encoding: chunked, identity\r\n\r\n", 501},
      {put + "Transfer-Encoding: gzip, chunked\r\n\r\n", 501},
      {put + "Transfer-Encoding: xchunked\r\n\r\n", 501},
      {put + "Transfer-Encoding: identity\r\n\r\n", 501},
      {"PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {put + "Expect: the unexpected\r\n\r\n", 417},
  };
  for (const auto& [bytes, status] : cases) {
    const Parsed parsed = parse(bytes);
    EXPECT_EQ(parsed.step, Step::refused) << bytes;
    EXPECT_EQ(parsed.status, status) << bytes;
  }
}

TEST(RequestParser, HasLimits) {
  const RequestParser::Limits limits{.head = 1000, .target = 100, .fields = 5};
  const std::string good = "GET / HTTP/1.1\r\nHost: h\r\n";
  EXPECT_EQ(parse("GET /" + std::string(100, 'a') + " HTTP/1.1\r\nHost: h\r\n\r\n", limits).status,
            414);
  EXPECT_EQ(parse("GET /" + std::string(1000, 'a'), limits).status, 414);
  EXPECT_EQ(parse(good + "A: " + std::string(1000, 'a'), limits).status, 431);
  EXPECT_EQ(parse(good + "A: " + std::string(1000, 'a') + "\r\n\r\n", limits).status, 431);
  std::string many = good;
  for (int i = 0; i < 5; ++i) many += "A: b\r\n";
  EXPECT_EQ(parse(many + "\r\n", limits).status, 431);
  EXPECT_EQ(parse(std::string(999, 'a'), limits).step, Step::need_more);
}

struct Chunks {
  int status = 0;  // 0: no refusal
  bool done = false;
  std::string body;
  std::string rest;
};

// Feeds the body in pieces of `step` bytes, as reads would.
Chunks read_chunks(const std::string& bytes, std::size_t step, std::uint64_t limit = 1000) {
  RequestParser parser({});
  const std::string head = "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  EXPECT_EQ(parser.parse_head(head), Step::head);
  EXPECT_EQ(parser.request().content_length, std::nullopt);
  Chunks chunks;
  std::string raw;
  for (std::size_t at = 0; at < bytes.size() && !parser.chunks_done(); at += step) {
    raw += bytes.substr(at, step);
    const auto consumed = parser.parse_chunks(raw, chunks.body, limit);
    if (!consumed) {
      chunks.status = consumed.error().status;
      return chunks;
    }
    raw.erase(0, *consumed);
    if (parser.chunks_done()) chunks.rest = raw + bytes.substr(std::min(bytes.size(), at + step));
  }
  chunks.done = parser.chunks_done();
  return chunks;
}

TEST(RequestParser, ReadsChunksHoweverTheyAreCut) {
  const std::string bytes =
      "5\r\nhello\r\n6;name=value\r\n world\r\n0\r\nTrailer: x\r\n\r\nGET / HTTP/1.1\r\n";
  for (std::size_t step = 1; step <= bytes.size(); ++step) {
    const Chunks chunks = read_chunks(bytes, step);
    EXPECT_EQ(chunks.status, 0) << step;
    EXPECT_TRUE(chunks.done) << step;
    EXPECT_EQ(chunks.body, "hello world") << step;
    EXPECT_EQ(chunks.rest, "GET / HTTP/1.1\r\n") << step;
  }
}

TEST(RequestParser, RefusesMalformedChunks) {
  const std::vector<std::tuple<std::string, int>> cases{
      {"x\r\n", 400},
      {"-5\r\nhello\r\n", 400},
      {"+5\r\nhello\r\n", 400},
      {"0x5\r\nhello\r\n\r\n", 400},
      {"5\nhello\r\n", 400},
      {"5\r\nhelloX\r\n0\r\n\r\n", 400},
      {"5\r\nhello0\r\n\r\n", 400},
      {"FFFFFFFFFFFFFFFFF\r\n", 400},
      {"FFFFFFFFFFFFFFFF\r\n", 413},
      {"3E9\r\n", 413},
      {"3E8\r\n" + std::string(1000, 'a') + "\r\n1\r\na\r\n", 413},
      {"5;" + std::string(70'000, 'a'), 400},
  };
  for (const auto& [bytes, status] : cases) {
    EXPECT_EQ(read_chunks(bytes, bytes.size()).status, status) << bytes.substr(0, 40);
  }
}

TEST(RequestParser, ReadsTheNextRequestAfterAReset) {
  RequestParser parser({});
  ASSERT_EQ(parser.parse_head("GET /1 HTTP/1.1\r\nHost: h\r\nA: 1\r\n\r\n"), Step::head);
  parser.reset();
  ASSERT_EQ(parser.parse_head("PUT /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n"),
            Step::head);
  EXPECT_EQ(parser.request().path, "/2");
  EXPECT_EQ(parser.request().headers.size(), 2u);
  parser.reset();
  ASSERT_EQ(parser.parse_head("GET /3 HTTP/1.1\r\nHost: h\r\n\r\n"), Step::head);
  EXPECT_EQ(parser.request().content_length, 0u);
}

}  // namespace
}  // namespace sluice::http
