#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "require.h"
#include "store/answer_cache.h"

// What the local cache holds of a service's answers: `sluice cache set` can put anything there.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto fields = store::unpack(text)) {
    std::size_t bytes = 0;
    for (const std::string& field : *fields) bytes += field.size();
    fuzz::require(bytes + 2 * fields->size() <= size, "no field is made up");
    fuzz::require(store::unpack(store::pack(*fields)) == fields, "packing keeps what was read");
  }
  const std::vector<std::string> whole{std::string(text), "", std::string(text)};
  fuzz::require(store::unpack(store::pack(whole)) == whole, "any bytes are kept");
  return 0;
}
