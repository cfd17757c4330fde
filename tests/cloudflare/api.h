// Api: what the fake answers to a request. Knows nothing of sockets and does not lock.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/cloudflare/applied.h"
#include "tests/cloudflare/faults.h"
#include "tests/cloudflare/keyspace.h"
#include "tests/cloudflare/rate_limit.h"
#include "tests/cloudflare/retry_after.h"
#include "tests/cloudflare/zones.h"

namespace sluice::cloudflare_fake {

// What was counted since the start or the last reset.
struct Stats {
  std::map<std::string, std::uint64_t, std::less<>> requests;  // by route, refused ones included
  std::map<std::string, std::uint64_t, std::less<>> faults;    // by the name of the fault
  std::uint64_t total = 0;
  std::uint64_t max_simultaneous = 0;
  // Requests that came although a Retry-After was running (see RetryAfterWatch).
  std::uint64_t during_retry_after = 0;
  std::uint64_t rate_limited = 0;  // 429 by the modelled limit, not by a fault
  std::uint64_t unauthorized = 0;
  std::uint64_t refused = 0;  // other 4xx answers that are not faults
  std::uint64_t keys_listed = 0;
  std::uint64_t keys_put = 0;     // written, repetitions included
  std::uint64_t keys_erased = 0;  // that were there
  std::uint64_t values_read = 0;
  std::uint64_t bytes_in = 0;  // bodies
  std::uint64_t bytes_out = 0;
  std::uint64_t connections = 0;
};

struct Options {
  std::string token = "test-token";        // Authorization: Bearer
  std::string email = "test@example.com";  // or X-Auth-Email with X-Auth-Key
  std::string key = "test-key";
  std::string account = "0123456789abcdef0123456789abcdef";  // empty: any
  std::uint64_t keys = 0;  // made-up keys in the namespace `made_up_title`
  std::string made_up_title = "made-up";
  bool metadata = false;                                   // the made-up keys have some
  std::size_t value_bytes = 40;                            // of a made-up key
  std::vector<std::pair<std::string, std::string>> zones;  // names, and plans (empty: enterprise)
  std::size_t namespaces = 0;  // empty ones, titled "namespace-00000" and so on
  bool shuffle_pages = false;  // the keys of a page come in any order
  bool discard = false;        // writes are checked and counted, but not kept
  RateLimit::Options rate_limit{};
  RateLimit::Options purge_limit{};  // of cache purges; 429 without a Retry-After
  std::chrono::milliseconds latency{0};
  std::size_t capacity = SIZE_MAX;  // requests that are worked on at once; the others queue
  std::uint64_t seed = 1;
  std::uint16_t port = 0;  // 0: any free one of the loopback
};

struct Request {
  std::string method;
  std::string target;  // path and query as sent
  std::string authorization;
  std::string email;
  std::string key;
  std::string content_type;
  std::string body;
};

struct Answer {
  int status = 200;
  std::string content_type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  // What the connection does wrong with it: one of the cut_*, close_idle or stall; else none.
  Fault delivery = Fault::none;
  std::chrono::milliseconds stall{0};
};

// The service's state with its rules. Answers to "/__control/…" are neither counted nor failed.
class Api {
 public:
  explicit Api(const Options& options);

  // A request's header has come, its first byte at `at`; `left` is called when its answer has gone
  // out (or was cut), the writing of which began at `begun`.
  void arrived(std::string_view target, Clock::time_point at);
  void left(std::string_view target, const Answer& answer, Clock::time_point begun);
  Answer handle(Request request);

  void connected() { ++stats_.connections; }
  void set_faults(FaultPlan plan) { faults_.set(std::move(plan)); }
  [[nodiscard]] const Stats& stats() const { return stats_; }
  void reset_stats();
  void advance_clock(std::chrono::seconds by) { clock_offset_ += by; }

  // Direct access to the content, past all rules.
  std::string create_namespace(std::string title, MadeUp made_up = {});
  void put(std::string_view namespace_id, std::string key, Entry entry);
  [[nodiscard]] std::optional<Entry> find(std::string_view namespace_id,
                                          std::string_view key) const;
  [[nodiscard]] std::uint64_t size(std::string_view namespace_id) const;
  [[nodiscard]] const Zones& zones() const { return zones_; }
  // The id of the namespace with this title; empty: there is none.
  [[nodiscard]] std::string namespace_id(std::string_view title) const;

 private:
  struct Namespace {
    std::string id;
    std::string title;
    Keyspace keyspace;
  };
  // A request taken apart.
  struct Call {
    explicit Call(const Request& the_request) : request(the_request) {}
    const Request& request;
    std::string route = "other";  // "PUT bulk"
    std::string namespace_id;
    std::string zone_id;
    std::string key;  // decoded
    std::map<std::string, std::string, std::less<>> query;
    Fault fault = Fault::none;
  };

  // What a bulk write did.
  struct BulkOutcome {
    std::uint64_t done = 0;
    std::vector<std::string> failed;
  };

  Answer control(const Request& request, std::string_view path);
  std::optional<Answer> refuse_credentials(const Request& request);
  // Fills in the call; an answer when the path leads nowhere.
  std::optional<Answer> route(Call& call, std::string_view path);
  Answer perform(Call& call);
  // zones.cc
  std::optional<Answer> route_zone(Call& call, std::string_view path);
  Answer list_zones(const Call& call);
  Answer zone_call(Call& call);
  // api_bulk.cc
  Answer list_keys(Call& call, Namespace& where);
  Answer bulk_put(Call& call, Namespace& where);
  Answer bulk_delete(Call& call, Namespace& where);
  Answer bulk_get(Call& call, Namespace& where);
  Answer bulk_answer(const Call& call, const BulkOutcome& outcome);
  [[nodiscard]] std::set<std::string, std::less<>> failing_keys(const Call& call,
                                                                std::span<const std::string> keys);
  // api_namespace.cc
  Answer list_namespaces(const Call& call);
  Answer create_namespace(const Call& call);
  Answer rename_namespace(const Call& call, Namespace& where);
  Answer get_value(const Call& call, Namespace& where);
  Answer put_value(const Call& call, Namespace& where);
  Answer delete_value(const Call& call, Namespace& where);
  Answer get_metadata(const Call& call, Namespace& where);

  [[nodiscard]] std::int64_t now() const;
  [[nodiscard]] std::string cursor_for(const Namespace& where, std::string_view last_key) const;

  Options options_;
  std::map<std::string, Namespace, std::less<>> namespaces_;  // by id
  Stats stats_;
  FaultInjector faults_;
  RateLimit limit_;
  Zones zones_;
  RateLimit purge_limit_;
  std::mt19937_64 random_;
  std::chrono::seconds clock_offset_{0};
  std::uint64_t simultaneous_ = 0;
  RetryAfterWatch retry_after_;
  AppliedCounts applied_;
  std::set<std::string, std::less<>> failed_once_;
};

}  // namespace sluice::cloudflare_fake
