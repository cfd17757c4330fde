// The store in memory: for tests, demonstrations and `memory:`.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/error.h"
#include "store/registry.h"
#include "store/store.h"

namespace sluice::store {

// How a memory store behaves. Tests make it small, or as narrow as a service.
struct MemoryOptions {
  Capabilities capabilities = {
      .list_page = 1000,
      .get_keys = 1000,
      .put_entries = 100'000,
      .put_bytes = std::size_t{64} << 20,
      .erase_keys = 100'000,
      .key_bytes = 4096,
      .value_bytes = std::size_t{1} << 30,
      .metadata_bytes = std::size_t{1} << 20,
      .least_ttl = 0,
      .keys_are_utf8 = false,
      .ordered = true,
      .seekable = true,
      .lists_values = true,
      .exact_get = true,
      .remote = false,
  };
  // Seconds since 1970-01-01 UTC; empty: this machine's clock. Called by any thread that uses the
  // store.
  std::function<std::int64_t()> now;
  // Whether every call suspends its caller once, as a call to any other store does: so tests find
  // what relies on a call that does not. If false, only long calls do, now and then, to let the
  // loop do something else.
  bool suspends = true;
};

// A backend whose namespaces live as long as it and its stores. Deterministic: the same calls give
// the same answers, cursors and namespace ids. The namespace "default" exists. It and its stores
// may be used by several loops at the same time (Opened::any_loop).
std::unique_ptr<Backend> make_memory_backend(MemoryOptions options = {});

// For the registry: `memory:`, which does not suspend. Everything is gone when the program ends.
Result<Opened> open_memory(const Environment& environment);

}  // namespace sluice::store
