#include <cstdint>
#include <string_view>

#include "localcache/memo.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto command = localcache::memo_command(bytes);
  const auto result = localcache::decode_memo(bytes);
  if (!result) {
    fuzz::require(result.error().code == ErrorCode::corrupt, "a refusal says that it is damage");
    return 0;
  }
  fuzz::require(command == result->command, "its command can be read alone");
  fuzz::require(localcache::encode(*result) == bytes, "what was accepted is written the same");
  // No moment makes it overflow (the sanitizers look).
  for (const std::int64_t now : {std::int64_t{0}, std::int64_t{9'214'646'400'000}}) {
    const auto when = localcache::TimePoint(std::chrono::milliseconds(now));
    static_cast<void>(localcache::freshness(*result, when));
    static_cast<void>(localcache::freshness(*result, when, {.ttl = {}, .stale = result->stale}));
  }
  return 0;
}
