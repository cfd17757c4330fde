// Faults: what the fake does wrong when it is told to.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace sluice::cloudflare_fake {

// The names in brackets are those of the JSON form.
enum class Fault : std::uint8_t {
  none,
  throttled,          // [429] JSON body and Retry-After
  throttled_html,     // [429_html] the same with a page for people, as a proxy before the API sends
  internal_error,     // [500]
  unavailable,        // [503] HTML
  timed_out,          // [524] HTML; nothing was applied
  timed_out_applied,  // [524_applied] HTML; everything was applied
  forbidden,          // [403] code 10000
  success_false,      // [success_false] HTTP 200 with "success":false; nothing was applied
  malformed,          // [malformed] HTTP 200 with half of the JSON; a change was applied
  cut_before,         // [cut_before] the connection ends before the request is applied
  cut_after,          // [cut_after] it is applied, then the connection ends
  cut_middle,         // [cut_middle] it is applied, then half of the answer comes
  close_idle,         // [close_idle] a right answer, then the kept-alive connection ends
  stall,              // [stall] a right answer, late
  empty_page,         // [empty_page] a listing's page without entries, but with a cursor
  refuse_cursor,      // [refuse_cursor] 400 for a listing that brings a cursor
  fail_some_keys,     // [fail_some_keys] about a tenth of a batch fails; a key fails only once
  wrong_count,        // [wrong_count] successful_key_count is one too low
};

// The fault with this JSON name; invalid_argument lists the names.
Result<Fault> parse_fault(std::string_view text);
[[nodiscard]] std::string_view name(Fault fault);

struct ScriptedFault {
  std::string route;  // "POST bulk/delete" (see Api::route); "*": any
  // The first and the last such request, counted from 1 since the plan was set.
  std::uint64_t first = 1;
  std::uint64_t last = 1;
  Fault fault = Fault::none;
};

// Everything that shall go wrong from now on. The script wins over the rates; a fault that makes no
// sense for a route (an empty page of a PUT) does not happen there.
struct FaultPlan {
  std::map<Fault, double> rates;         // percent of the requests
  std::vector<std::string> rate_routes;  // where the rates hold; empty: everywhere
  std::vector<ScriptedFault> script;
  std::uint64_t retry_after = 1;  // seconds, for both kinds of 429
  std::chrono::milliseconds stall{1000};
  std::size_t max_batch = 0;  // 413 for larger bulk calls; 0: only the real limits
  std::map<std::string, int, std::less<>> fail_keys;  // how often the key fails; below 0: for ever
  std::vector<std::string> fail_items;  // a purge that holds this text is refused: 200, no success
  int partial_status = 200;             // HTTP status of an answer with unsuccessful keys
  bool ignore_with_metadata = false;    // bulk/get answers plain values, as some peers do
  bool drop_byte_order_mark = true;     // bulk/get drops a leading U+FEFF, as decoders do
};

// {"rates":{"500":2.5},"routes":["GET keys"],"script":[{"route":"POST bulk/delete","nth":3,
// "fault":"524"},{"route":"*","first":2,"last":4,"fault":"503"}],"retry_after":1,"stall_ms":200,
// "max_batch":1000,"fail_keys":{"a":-1},"fail_items":["a"],"partial_status":400,"ignore_with_metadata":true,
// "drop_byte_order_mark":false}. What is left out has its default: `{}` heals everything.
Result<FaultPlan> parse_fault_plan(std::string_view json);

// Decides request by request.
class FaultInjector {
 public:
  explicit FaultInjector(std::uint64_t seed) : random_(seed) {}

  void set(FaultPlan plan);
  [[nodiscard]] FaultPlan& plan() { return plan_; }
  Fault choose(std::string_view route);

 private:
  FaultPlan plan_;
  std::map<std::string, std::uint64_t, std::less<>> seen_;
  std::uint64_t seen_in_all_ = 0;
  std::mt19937_64 random_;
};

}  // namespace sluice::cloudflare_fake
