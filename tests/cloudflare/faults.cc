#include "tests/cloudflare/faults.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <utility>

namespace sluice::cloudflare_fake {
namespace {

namespace json = boost::json;

constexpr std::array<std::pair<Fault, std::string_view>, 19> names{{
    {Fault::none, "none"},
    {Fault::throttled, "429"},
    {Fault::throttled_html, "429_html"},
    {Fault::internal_error, "500"},
    {Fault::unavailable, "503"},
    {Fault::timed_out, "524"},
    {Fault::timed_out_applied, "524_applied"},
    {Fault::forbidden, "403"},
    {Fault::success_false, "success_false"},
    {Fault::malformed, "malformed"},
    {Fault::cut_before, "cut_before"},
    {Fault::cut_after, "cut_after"},
    {Fault::cut_middle, "cut_middle"},
    {Fault::close_idle, "close_idle"},
    {Fault::stall, "stall"},
    {Fault::empty_page, "empty_page"},
    {Fault::refuse_cursor, "refuse_cursor"},
    {Fault::fail_some_keys, "fail_some_keys"},
    {Fault::wrong_count, "wrong_count"},
}};

bool makes_sense(Fault fault, std::string_view route) {
  switch (fault) {
    case Fault::empty_page:
    case Fault::refuse_cursor:
      return route == "GET keys";
    case Fault::fail_some_keys:
    case Fault::wrong_count:
      return route == "PUT bulk" || route == "POST bulk/delete" || route == "DELETE bulk";
    case Fault::success_false:
      // The raw bytes of a value have no envelope.
      return route != "GET values";
    default:
      return true;
  }
}

// A mistake in a plan must not make a test pass: unknown names and wrong types throw, and
// parse_fault_plan turns that into an Error.
ScriptedFault scripted(const json::object& item) {
  ScriptedFault result;
  for (const auto& [key, value] : item) {
    if (key == "route") {
      result.route = json::value_to<std::string>(value);
    } else if (key == "nth") {
      result.first = result.last = value.to_number<std::uint64_t>();
    } else if (key == "first") {
      result.first = value.to_number<std::uint64_t>();
    } else if (key == "last") {
      result.last = value.to_number<std::uint64_t>();
    } else if (key == "fault") {
      const auto fault = parse_fault(value.as_string());
      if (!fault) throw std::invalid_argument(fault.error().message);
      result.fault = *fault;
    } else {
      throw std::invalid_argument(fmt::format("unknown field {}", std::string_view(key)));
    }
  }
  return result;
}

FaultPlan read_plan(const json::object& object) {
  FaultPlan plan;
  for (const auto& [key, value] : object) {
    if (key == "rates") {
      for (const auto& [fault_name, percent] : value.as_object()) {
        const auto fault = parse_fault(fault_name);
        if (!fault) throw std::invalid_argument(fault.error().message);
        plan.rates[*fault] = percent.to_number<double>();
      }
    } else if (key == "routes") {
      plan.rate_routes = json::value_to<std::vector<std::string>>(value);
    } else if (key == "script") {
      for (const auto& item : value.as_array()) plan.script.push_back(scripted(item.as_object()));
    } else if (key == "retry_after") {
      plan.retry_after = value.to_number<std::uint64_t>();
    } else if (key == "stall_ms") {
      plan.stall = std::chrono::milliseconds(value.to_number<std::int64_t>());
    } else if (key == "max_batch") {
      plan.max_batch = value.to_number<std::size_t>();
    } else if (key == "fail_keys") {
      for (const auto& [failing, times] : value.as_object()) {
        plan.fail_keys.emplace(failing, times.to_number<int>());
      }
    } else if (key == "fail_items") {
      plan.fail_items = json::value_to<std::vector<std::string>>(value);
    } else if (key == "partial_status") {
      plan.partial_status = value.to_number<int>();
    } else if (key == "ignore_with_metadata") {
      plan.ignore_with_metadata = value.as_bool();
    } else if (key == "drop_byte_order_mark") {
      plan.drop_byte_order_mark = value.as_bool();
    } else {
      throw std::invalid_argument(fmt::format("unknown field {}", std::string_view(key)));
    }
  }
  return plan;
}

}  // namespace

Result<Fault> parse_fault(std::string_view text) {
  const auto* at = std::ranges::find(names, text, &std::pair<Fault, std::string_view>::second);
  if (at != names.end()) return at->first;
  std::string known;
  for (const auto& [fault, known_name] : names) {
    if (!known.empty()) known += ", ";
    known += known_name;
  }
  return fail(ErrorCode::invalid_argument, "There is no fault {}; there are {}.", text, known);
}

std::string_view name(Fault fault) {
  return std::ranges::find(names, fault, &std::pair<Fault, std::string_view>::first)->second;
}

Result<FaultPlan> parse_fault_plan(std::string_view text) {
  try {
    return read_plan(json::parse(text).as_object());
  } catch (const std::exception& error) {
    return fail(ErrorCode::invalid_argument, "The plan of faults cannot be used: {}.",
                error.what());
  }
}

void FaultInjector::set(FaultPlan plan) {
  plan_ = std::move(plan);
  seen_.clear();
  seen_in_all_ = 0;
}

Fault FaultInjector::choose(std::string_view route) {
  ++seen_in_all_;
  const auto at = seen_.try_emplace(std::string(route), 0).first;
  const std::uint64_t seen = ++at->second;
  for (const ScriptedFault& scripted : plan_.script) {
    const bool any = scripted.route == "*";
    if (!any && scripted.route != route) continue;
    const std::uint64_t number = any ? seen_in_all_ : seen;
    if (number >= scripted.first && number <= scripted.last && makes_sense(scripted.fault, route)) {
      return scripted.fault;
    }
  }
  if (plan_.rates.empty()) return Fault::none;
  if (!plan_.rate_routes.empty() &&
      std::ranges::find(plan_.rate_routes, route) == plan_.rate_routes.end()) {
    return Fault::none;
  }
  double drawn = std::uniform_real_distribution<double>(0.0, 100.0)(random_);
  for (const auto& [fault, percent] : plan_.rates) {
    if (drawn < percent) return makes_sense(fault, route) ? fault : Fault::none;
    drawn -= percent;
  }
  return Fault::none;
}

}  // namespace sluice::cloudflare_fake
