// What `sluice purge` is told to purge: arguments and files, read, checked and put on disk.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>

#include "cdn/item_spool.h"
#include "cdn/purge_item.h"
#include "context.h"

namespace sluice::cli {

struct PurgeItems {
  std::unique_ptr<cdn::ItemSpool> spool;
  std::uint64_t given = 0;
  std::uint64_t distinct = 0;
  // With `by_host`: the hosts of the items.
  std::set<std::string, std::less<>> hosts;
};

// Reads the arguments and what --from names. In the spool the items have the zone "", or with
// `by_host` their hosts, until their zones are known. A single item that is none is an error: a
// list with a mistake in it may be the wrong one. Memory does not grow with the items.
io::Task<Result<PurgeItems>> read_purge_items(Context& context, const Invocation& invocation,
                                              cdn::PurgeKind kind, bool by_host);

}  // namespace sluice::cli
