#include <string>
#include <string_view>
#include <vector>

#include "bulk/decompressor.h"
#include "require.h"

// The first byte chooses the size of the pieces.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice;
  if (size == 0) return 0;
  const std::size_t piece = std::size_t{data[0]} % 40 + 1;
  std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  const Result<bulk::Compression> compression = bulk::detect_compression(input);
  if (!compression || *compression == bulk::Compression::none) return 0;
  const auto decompressor = bulk::make_decompressor(*compression);
  std::vector<char> out(piece);
  std::size_t total = 0;
  while (total < (std::size_t{1} << 20)) {
    const std::string part(input.substr(0, piece));
    const auto step = part.empty() ? decompressor->drain(out) : decompressor->step(part, out);
    if (!step) break;
    fuzz::require(step->consumed <= part.size() && step->produced <= out.size(),
                  "steps are bounded");
    input.remove_prefix(step->consumed);
    total += step->produced;
    if (step->consumed == 0 && step->produced == 0) break;
  }
  return 0;
}
