#include "store/metered.h"

#include <chrono>
#include <string>

namespace sluice::store {

namespace {

StoreMeters::Operation operation(Metrics& metrics, const std::string& name) {
  const Metrics::Labels labels{{"operation", name}};
  return {metrics.durations("sluice_store_duration_seconds", "How long calls to the store take",
                            labels),
          metrics.counter("sluice_store_failures_total", "Calls to the store that failed", labels)};
}

// Waits for `call` and notes how it went.
template <class T>
io::Task<Result<T>> measured(io::Task<Result<T>> call, StoreMeters::Operation& operation) {
  const io::Clock::time_point begun = io::Clock::now();
  Result<T> answer = co_await std::move(call);
  operation.seconds.observe(std::chrono::duration<double>(io::Clock::now() - begun).count());
  if (!answer) operation.failures.add();
  co_return answer;
}

}  // namespace

StoreMeters::StoreMeters(Metrics& metrics)
    : list(operation(metrics, "list")),
      get(operation(metrics, "get")),
      put(operation(metrics, "put")),
      erase(operation(metrics, "erase")) {}

io::Task<Result<Page>> Metered::list(ListRequest request) {
  return measured(below().list(request), meters_.list);
}
io::Task<Result<GetAnswer>> Metered::get(std::span<const std::string_view> keys) {
  return measured(below().get(keys), meters_.get);
}
io::Task<Result<GetAnswer>> Metered::get_exact(std::span<const std::string_view> keys) {
  return measured(below().get_exact(keys), meters_.get);
}
io::Task<Result<GetAnswer>> Metered::get_metadata(std::span<const std::string_view> keys) {
  return measured(below().get_metadata(keys), meters_.get);
}
io::Task<Result<WriteAnswer>> Metered::put(std::span<const EntryView> entries) {
  return measured(below().put(entries), meters_.put);
}
io::Task<Result<WriteAnswer>> Metered::erase(std::span<const std::string_view> keys) {
  return measured(below().erase(keys), meters_.erase);
}

}  // namespace sluice::store
