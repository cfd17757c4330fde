// AppliedCounts: how often each key was written or deleted by a call that was applied.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

namespace sluice::cloudflare_fake {

// Off until it is started, since it takes some ten bytes for each key. Keys are told apart by a
// hash of 64 bits: two among a million collide once in 10^7 runs.
class AppliedCounts {
 public:
  struct Digest {
    std::uint64_t keys = 0;   // different ones
    std::uint64_t again = 0;  // applications beyond the first of each key, all together
    std::uint64_t most = 0;   // applications of one key
  };

  // Begins to count, from nothing.
  void start();
  void put(std::string_view namespace_id, std::string_view key) { count(put_, namespace_id, key); }
  // A delete counts whether the key was there or not.
  void erased(std::string_view namespace_id, std::string_view key) {
    count(erased_, namespace_id, key);
  }
  // {"put":{"keys":3,"again":1,"most":2},"erased":{…}}
  [[nodiscard]] std::string to_json() const;

 private:
  using Counts = std::unordered_map<std::uint64_t, std::uint32_t>;
  void count(Counts& counts, std::string_view namespace_id, std::string_view key) const;
  [[nodiscard]] static Digest digest(const Counts& counts);

  bool on_ = false;
  Counts put_;
  Counts erased_;
};

}  // namespace sluice::cloudflare_fake
