#include "cdn/purge_api.h"

#include <utility>

#include "base/percent.h"
#include "base/utf8.h"

namespace sluice::cdn {

namespace {

using store::cloudflare::Envelope;

constexpr std::string_view kPermission = "purge the cache of this zone (Zone, Cache Purge)";

// A refusal that is no matter of load is believed when it has come so often. A batch that has
// failed as a whole is halved to find the item that is to blame, and calls are dear: a part of it
// is believed at once, unless it is down to that item.
int believed_after(std::size_t items, bool part) {
  if (!part) return 3;
  return items == 1 ? 2 : 1;
}

}  // namespace

PurgeApi::PurgeApi(std::shared_ptr<store::cloudflare::Connection> connection,
                   std::optional<Plan> plan)
    : connection_(std::move(connection)), plan_(plan) {
  for (std::size_t i = 0; i < of_files_.size(); ++i) {
    of_files_[i] = allowance_of(static_cast<Plan>(i), true);
    of_others_[i] = allowance_of(static_cast<Plan>(i), false);
  }
}

std::optional<Plan> PurgeApi::plan_of(const Zone& zone) const {
  if (plan_) return plan_;
  if (const auto told = parse_plan(zone.plan)) return told;
  if (connection_->address().empty()) return Plan::free;
  return std::nullopt;
}

std::size_t PurgeApi::most_items(const Zone& zone, PurgeKind kind) const {
  const PurgeLimits limits = limits_of(plan_of(zone).value_or(Plan::free));
  return kind == PurgeKind::files ? limits.files : limits.items;
}

io::Task<Result<>> PurgeApi::purge(const Zone& zone, Call call) {
  const std::string doing =
      call.kind == PurgeKind::everything
          ? fmt::format("purging everything of zone {}", printable(zone.label()))
          : fmt::format("purging {} of zone {}", name(call.kind), printable(zone.label()));
  const auto judge = [&](http::Response& response) -> Result<> {
    const Result<Envelope> envelope = connection_->parser().envelope(response.body);
    auto error = connection_->refusal(response, envelope, doing, kPermission);
    if (!error) return {};
    const bool said_no = envelope && !envelope->success && response.status < 300;
    // A gateway that is out of order may be in order again soon.
    const int enough = said_no ? believed_after(call.items.size(), call.part) : 3;
    if ((said_no || call.part) && error->code != ErrorCode::throttled &&
        error->retry == Retry::again && response.sending >= enough) {
      error->retry = Retry::never;
      error->message += fmt::format(" (after {} attempts)", response.sending);
    }
    return std::unexpected(std::move(*error));
  };
  std::string path = "/zones/";
  append_percent_encoded(path, zone.id);
  http::Request request{.method = "POST",
                        .url = path + "/purge_cache",
                        .body = purge_body(call.kind, call.items),
                        .content_type = "application/json",
                        .divisible = call.items.size() > 1,
                        .route = "purge_cache"};
  Allowances& allowances = call.kind == PurgeKind::files ? of_files_ : of_others_;
  const auto plan = plan_of(zone);
  const flow::Fare fare{.allowance = plan ? &allowances[static_cast<std::size_t>(*plan)] : nullptr,
                        .items = call.items.size(),
                        .sent = call.sent};
  co_return co_await connection_->session().call(std::move(request), judge, fare);
}

}  // namespace sluice::cdn
