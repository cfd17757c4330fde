#include <string_view>

#include "reader_check.h"

// The first byte chooses how keys end, and the size of the pieces.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice;
  if (size == 0) return 0;
  const bool nul = data[0] % 2 != 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  fuzz::check_reader(
      [nul] { return bulk::make_keys_reader(nul, {.now = 0, .longest_record = 4096}); },
      bulk::Format::keys, nul, text, std::size_t{data[0]} / 2 + 1);
  return 0;
}
