#include <cstdint>
#include <string_view>

#include "localcache/value_file.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice;
  const auto header =
      localcache::parse_value_file_header({reinterpret_cast<const char*>(data), size});
  if (!header) {
    fuzz::require(header.error().code == ErrorCode::corrupt, "a refusal says that it is damage");
    return 0;
  }
  fuzz::require(size >= localcache::kValueFileHeader, "a header has all its bytes");
  fuzz::require(header->value_bytes <= localcache::kLargestValue, "a value has a bound");
  fuzz::require((header->form & localcache::Form::compressed) != 0 ||
                    header->stored_bytes == header->value_bytes,
                "what is not compressed is stored as it is");
  return 0;
}
