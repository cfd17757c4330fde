#include "store/timed.h"

#include <string_view>
#include <utility>

namespace sluice::store {

namespace {

using Clock = std::chrono::steady_clock;

}  // namespace

void Timed::record(const Call& call, CallStats& stats, const Error* error) {
  const auto taken = Clock::now() - call.begun;
  ++stats.calls;
  stats.time += taken;
  const auto milliseconds = std::chrono::duration<double, std::milli>(taken).count();
  if (error != nullptr) {
    ++stats.failed_calls;
    const std::string_view reason = name(error->code);
    log_.debug("{}: failed ({}) after {:.1f} ms", call.name, reason, milliseconds);
    return;
  }
  stats.keys += call.keys;
  stats.failed_keys += call.failed;
  stats.bytes += call.bytes;
  if (call.failed == 0) {
    log_.debug("{}: {} keys, {} bytes, {:.1f} ms", call.name, call.keys, call.bytes, milliseconds);
  } else {
    log_.debug("{}: {} keys ({} of them failed), {} bytes, {:.1f} ms", call.name, call.keys,
               call.failed, call.bytes, milliseconds);
  }
}

io::Task<Result<Page>> Timed::list(ListRequest request) {
  Call call{.name = "list", .begun = Clock::now()};
  auto page = co_await below().list(request);
  if (page) {
    call.keys = page->entries.size();
    call.bytes = page->entries.bytes();
  }
  record(call, stats_.list, page ? nullptr : &page.error());
  co_return page;
}

io::Task<Result<GetAnswer>> Timed::get(std::span<const std::string_view> keys) {
  return timed_get({.name = "get", .keys = keys.size()}, below().get(keys));
}

io::Task<Result<GetAnswer>> Timed::get_exact(std::span<const std::string_view> keys) {
  return timed_get({.name = "get exactly", .keys = keys.size()}, below().get_exact(keys));
}

io::Task<Result<GetAnswer>> Timed::get_metadata(std::span<const std::string_view> keys) {
  return timed_get({.name = "get metadata", .keys = keys.size()}, below().get_metadata(keys));
}

io::Task<Result<GetAnswer>> Timed::timed_get(Call call, io::Task<Result<GetAnswer>> asking) {
  call.begun = Clock::now();
  auto answer = co_await std::move(asking);
  if (answer) {
    call.failed = answer->failed.size();
    call.bytes = answer->entries.bytes();
  }
  record(call, stats_.get, answer ? nullptr : &answer.error());
  co_return answer;
}

io::Task<Result<WriteAnswer>> Timed::put(std::span<const EntryView> entries) {
  Call call{.name = "put", .begun = Clock::now(), .keys = entries.size()};
  for (const EntryView& entry : entries) {
    call.bytes += entry.key.size() + entry.value.size() + entry.metadata.size();
  }
  auto answer = co_await below().put(entries);
  if (answer) call.failed = answer->failed.size();
  record(call, stats_.put, answer ? nullptr : &answer.error());
  co_return answer;
}

io::Task<Result<WriteAnswer>> Timed::erase(std::span<const std::string_view> keys) {
  Call call{.name = "erase", .begun = Clock::now(), .keys = keys.size()};
  for (const std::string_view key : keys) call.bytes += key.size();
  auto answer = co_await below().erase(keys);
  if (answer) call.failed = answer->failed.size();
  record(call, stats_.erase, answer ? nullptr : &answer.error());
  co_return answer;
}

}  // namespace sluice::store
