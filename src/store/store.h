// Store and Backend: the interface that every key-value service is spoken to through.
//
// A Backend is a service with a set of credentials: it knows its namespaces. A Store is one
// namespace of it. Metrics, dry run and caching are decorators on Store
// (store/decorator.h). To add a backend: one folder beside this file, one line in
// store/registry.cc, and it has to pass the tests of store/conformance.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "io/task.h"
#include "store/block.h"

namespace sluice::store {

// What a store can do, and how much of it in one call. Callers split their work by these numbers; a
// store refuses a call beyond them (ErrorCode::invalid_argument).
struct Capabilities {
  std::size_t list_page = 1000;         // entries of one listed page, at most
  std::size_t get_keys = 100;           // keys of one get
  std::size_t put_entries = 10'000;     // entries of one put
  std::size_t put_bytes = 64u << 20;    // bytes of one put: keys, values and metadata
  std::size_t erase_keys = 10'000;      // keys of one erase
  std::size_t key_bytes = 512;          // the longest key
  std::size_t value_bytes = 25u << 20;  // the longest value
  std::size_t metadata_bytes = 1024;    // the longest metadata, as JSON text
  std::int64_t least_ttl = 0;           // seconds that an expiry must lie ahead
  bool keys_are_utf8 = true;            // other keys are refused
  bool ordered = true;                  // a listing comes in the order of the keys' bytes
  bool repeats_keys = false;            // a listing may give a key more than once
  bool seekable = false;                // ListRequest::after and until are honoured
  bool lists_values = false;            // ListRequest::values is honoured
  bool exact_get = true;                // get returns any bytes as they are (see get_exact)
  bool remote = true;                   // a call costs a round trip
};

struct ListRequest {
  std::string_view prefix;  // only keys that begin with it; the same for every page of a listing
  std::string_view cursor;  // Page::cursor of the page before; empty for the first page
  std::string_view after;   // if seekable, and cursor is empty: only keys greater than this one
  std::string_view until;  // if seekable, and not empty: only keys up to this one, itself included;
                           // the same for every page of a listing
  std::size_t limit = 0;   // entries wanted at most; 0: a full page
  bool values = false;     // if lists_values: with the values (Presence::present)
};

// An empty page is not the end of a listing: an empty cursor is.
struct Page {
  Block entries;
  std::string cursor;
};

// One key of a batch that failed, by its place in the request.
struct KeyFailure {
  std::size_t index = 0;
  Error error;
};

// entries[i] answers keys[i]: present, missing, or failed (then `failed` tells why).
struct GetAnswer {
  Block entries;
  std::vector<KeyFailure> failed;
};

// Every entry of the call that is not in `failed` has been written (or erased) for good.
struct WriteAnswer {
  std::vector<KeyFailure> failed;
};

struct Namespace {
  std::string id;
  std::string title;
};

// One namespace of a service. A call either answers key by key, or fails as a whole with one Error;
// then nothing is known about its keys. What the arguments refer to must stay valid until the
// returned task has ended. Several calls may be under way at the same time. Belongs to one loop
// unless Opened::any_loop (store/registry.h) says that calls may come from any.
class Store {
 public:
  virtual ~Store() = default;

  [[nodiscard]] virtual const Capabilities& capabilities() const = 0;

  // One page of keys with metadata and expiry, in one request.
  virtual io::Task<Result<Page>> list(ListRequest request) = 0;

  // Keys that part the listing by `prefix` into about `parts` pieces of about the same size, to be
  // listed side by side (after one, until the next); in order, each once, at most parts - 1. Good
  // guesses, made at the cost of about one page: whatever they are, the pieces border on each other
  // and are the whole together. None if the store is not seekable or too small to be worth it.
  virtual io::Task<Result<std::vector<std::string>>> split(std::string_view prefix,
                                                           std::size_t parts) {
    (void)prefix, (void)parts;
    co_return std::vector<std::string>{};
  }

  // The values of at most get_keys keys. A store whose exact_get is false may have altered bytes
  // that are not UTF-8 only where it cannot be noticed (a leading byte-order mark).
  virtual io::Task<Result<GetAnswer>> get(std::span<const std::string_view> keys) = 0;

  // As get, with every value byte for byte, whatever that costs in requests.
  virtual io::Task<Result<GetAnswer>> get_exact(std::span<const std::string_view> keys) {
    return get(keys);
  }

  // Which of at most get_keys keys are there, with metadata and expiry. Spares what values cost:
  // they are left out (Presence::listed), or come along, perhaps not byte for byte
  // (Presence::present).
  virtual io::Task<Result<GetAnswer>> get_metadata(std::span<const std::string_view> keys) {
    return get(keys);
  }

  // Writes entries, replacing what was under their keys, metadata and expiry included. When one
  // call holds a key twice, the later one stays.
  virtual io::Task<Result<WriteAnswer>> put(std::span<const EntryView> entries) = 0;

  // Removes keys. An absent key is a success.
  virtual io::Task<Result<WriteAnswer>> erase(std::span<const std::string_view> keys) = 0;
};

// A service, reached with one set of credentials. Belongs to one loop unless Opened::any_loop.
class Backend {
 public:
  virtual ~Backend() = default;

  // For people, without secrets: "Cloudflare account 0123…", "/home/u/x.db".
  [[nodiscard]] virtual std::string description() const = 0;

  // All namespaces, in the order of their titles.
  virtual io::Task<Result<std::vector<Namespace>>> namespaces() = 0;
  // Fails with `conflict` when the title is taken.
  virtual io::Task<Result<Namespace>> create_namespace(std::string_view title) = 0;
  virtual io::Task<Result<>> rename_namespace(const Namespace& which, std::string_view title) = 0;
  // Removes the namespace with all its entries.
  virtual io::Task<Result<>> delete_namespace(const Namespace& which) = 0;

  // The namespace whose title, or else whose id, is `name`. Fails with `not_found`.
  virtual io::Task<Result<Namespace>> find_namespace(std::string_view name) = 0;

  // The entries of a namespace. The Store keeps what it needs of the Backend alive. `which` is
  // trusted: with a made-up id (--namespace-id), the first call fails.
  virtual std::unique_ptr<Store> open(const Namespace& which) = 0;
};

}  // namespace sluice::store
