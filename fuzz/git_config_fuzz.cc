#include <cstdint>
#include <string>
#include <string_view>

#include "git_config.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::size_t settings = 0;
  const bool whole = cache_cli::parse_git_config(text, [&](const cache_cli::GitSetting& setting) {
    ++settings;
    fuzz::require(!setting.section.empty() && !setting.variable.empty(), "a setting has a name");
    fuzz::require(setting.value.size() <= text.size() + 4, "no value is longer than the file");
    for (const char c : setting.section + setting.variable) {
      fuzz::require(c < 'A' || c > 'Z', "names are in lower case");
    }
  });
  fuzz::require(settings <= text.size(), "a setting takes at least a byte");
  // A further line changes nothing of what was understood.
  if (whole) {
    std::size_t again = 0;
    const std::string longer = std::string(text) + "\n[x]\ny = z\n";
    cache_cli::parse_git_config(longer, [&](const cache_cli::GitSetting&) { ++again; });
    fuzz::require(again == settings + 1, "what is added is one more setting");
  }
  return 0;
}
