// StorePair: the two namespaces of a command that reads one and writes the other.
#pragma once

#include "context.h"
#include "kv_store.h"

namespace sluice::cli {

struct StorePair {
  KvStore from;
  KvStore to;

  // Names both places in a job's identity.
  [[nodiscard]] std::string identity() const;
};

// Opens what the store's flags and --to, --to-namespace, --to-namespace-id name. Refuses to read
// and write the same namespace. A dry run writes only in appearance.
io::Task<Result<StorePair>> open_pair(Context& context, const Invocation& invocation);

}  // namespace sluice::cli
