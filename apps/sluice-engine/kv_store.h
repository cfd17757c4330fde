// KvStore: the namespace of a store that a kv command is about.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "context.h"
#include "store/answer_cache.h"
#include "store/registry.h"
#include "store/store.h"
#include "store/timed.h"

namespace sluice::cli {

// The URL of the store: --store, SLUICE_STORE or the config file; else cloudflare: if an API token
// is set, else the embedded store.
[[nodiscard]] std::string store_url(const Context& context, const Invocation& invocation);

// Which namespace of which store, as the flags say.
struct StorePlace {
  std::string url;
  std::string name;     // --namespace; empty: not given
  std::string id;       // --namespace-id; empty: not given
  bool create = false;  // make the namespace if it does not exist
  // Make the file of an embedded store if it does not exist. What only reads refuses instead: the
  // name is mistyped, most likely.
  bool create_file = false;
  // Take the namespace's id from the local cache, if it is fresh there. For commands of a few
  // requests. A job looks it up: its many requests, its deletions and what it resumes are about the
  // namespace that has the name now.
  bool remembered = false;
  bool cached = false;  // get values from the local cache (--cached)
};
[[nodiscard]] StorePlace source_place(const Context& context, const Invocation& invocation);
// The same for a command that only reads, and not as a job: the local cache may help.
[[nodiscard]] StorePlace reading_place(const Context& context, const Invocation& invocation);

// The local cache of what services have answered, with the limits that the flags set; one a run.
[[nodiscard]] std::shared_ptr<store::AnswerCache> answer_cache(Context& context,
                                                               const Invocation& invocation);

// A backend whose namespaces are about to be created, renamed or deleted: what the local cache
// holds of them is dropped then.
[[nodiscard]] std::shared_ptr<store::Backend> to_change(Context& context,
                                                        const store::Opened& opened);

// An opened store. Calls through `store` are counted, and made only in appearance with --dry-run.
struct KvStore {
  store::Opened opened;
  store::Namespace in;
  std::string url;  // without a password: it goes into journals
  std::unique_ptr<store::StoreStats> calls;
  std::unique_ptr<store::Store> store;

  // For people: `namespace "x" of Cloudflare account 0123…`.
  [[nodiscard]] std::string description() const;
};

// The file of an embedded store that does not exist yet; nothing for any other store.
[[nodiscard]] std::optional<std::string> missing_file(Context& context, std::string_view url);
// Fails if there is such a file: for what needs a store that exists.
Result<> need_file(Context& context, std::string_view url);

// Opens the backend of a URL. A database file that does not exist is made, but not by a dry run, to
// which it is an empty store.
// Waiting for a file that another process has locked ends with the run's stop.
io::Task<Result<store::Opened>> open_backend(Context& context, std::string url,
                                             bool dry_run = false);

// Finds the namespace (a store of this machine has one named "default", which is meant when none is
// named) and opens it. Makes no file for a namespace that would not be in it. To a dry run, what
// the real one would make is there and empty, and it says so. If `other` is open at the same remote
// service, its backend is taken: one budget has one gate, or a Retry-After that one half of a copy
// was told would not hold the other.
io::Task<Result<KvStore>> open_store(Context& context, const StorePlace& place,
                                     bool dry_run = false, const KvStore* other = nullptr);

}  // namespace sluice::cli
