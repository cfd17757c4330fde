#include <string_view>

#include "redis/replies.h"
#include "require.h"

namespace {

using namespace sluice;

constexpr std::size_t most_bytes = 1 << 16;

struct Parsed {
  bool ok = true;
  std::vector<redis::Reply> replies;
  redis::Replies owner;
};

// The first byte tells how many replies were asked for.
Parsed parse(std::string_view wire, std::size_t expected, std::size_t bite) {
  redis::ReplyReader reader;
  reader.expect(expected, most_bytes);
  Parsed parsed;
  while (parsed.ok && !wire.empty()) {
    const std::string_view part = wire.substr(0, bite);
    wire.remove_prefix(part.size());
    parsed.ok = reader.feed(part).has_value();
  }
  parsed.owner = reader.take();
  parsed.replies = parsed.owner.all();
  return parsed;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0 || size > most_bytes) return 0;
  const std::size_t expected = data[0] % 8;
  const std::string_view wire(reinterpret_cast<const char*>(data) + 1, size - 1);
  Parsed whole = parse(wire, expected, wire.size());
  const Parsed bytewise = parse(wire, expected, 1);
  fuzz::require(whole.ok == bytewise.ok, "however the bytes are cut, they mean the same");
  fuzz::require(whole.replies.size() == bytewise.replies.size(), "… and as many replies");
  for (std::size_t i = 0; i < whole.replies.size(); ++i) {
    const redis::Reply& one = whole.replies[i];
    const redis::Reply& other = bytewise.replies[i];
    fuzz::require(one.kind == other.kind && one.integer == other.integer && one.text == other.text,
                  "… and the same replies");
    fuzz::require(one.text.size() <= wire.size(), "a text is not longer than what arrived");
  }
  // Passing over replies ends, whatever their arrays announce.
  std::size_t skipped = 0;
  while (!whole.owner.at_end()) {
    whole.owner.skip();
    fuzz::require(++skipped <= whole.replies.size(), "each skip passes over a reply");
  }
  return 0;
}
