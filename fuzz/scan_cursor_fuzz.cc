#include <string_view>

#include "require.h"
#include "store/redis/scan_cursor.h"

// A cursor comes back from the journal of a job, which is a file that anything may have changed.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto cursor = store::redis::ScanCursor::parse(text, "p");
  if (!cursor) {
    fuzz::require(cursor.error().code == ErrorCode::invalid_argument, "a bad cursor is refused");
    return 0;
  }
  fuzz::require(cursor->text() == text, "what is accepted is what we write");
  for (const std::string& key : cursor->keys) {
    fuzz::require(key.starts_with("p"), "no key without the prefix");
  }
  return 0;
}
