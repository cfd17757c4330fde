#include <string_view>

#include "reader_check.h"

// The first byte chooses the size of the pieces.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice;
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  fuzz::check_reader(
      [] {
        return bulk::make_entry_reader(bulk::Format::ndjson,
                                       {.now = 1'700'000'000, .longest_record = 4096});
      },
      bulk::Format::ndjson, false, text, std::size_t{data[0]} % 61 + 1);
  return 0;
}
