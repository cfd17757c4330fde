#include <cstdint>
#include <string_view>

#include "localcache/holder_record.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice;
  const auto record = localcache::parse_holder({reinterpret_cast<const char*>(data), size});
  if (!record) return 0;
  fuzz::require(record->holder.pid > 0, "a holder is a process");
  const std::string written = localcache::format_holder(record->holder, record->process_start);
  fuzz::require(written.size() <= localcache::kHolderBytes, "a record has a bound");
  const auto again = localcache::parse_holder(written);
  fuzz::require(again.has_value(), "what is written is read");
  fuzz::require(again->holder.pid == record->holder.pid &&
                    again->process_start == record->process_start &&
                    again->holder.since == record->holder.since &&
                    record->holder.host.starts_with(again->holder.host) &&
                    record->holder.command.starts_with(again->holder.command),
                "what is read again is the same");
  return 0;
}
