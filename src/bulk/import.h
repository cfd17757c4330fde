// import_entries: puts the entries of a file or of stdin into a store.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "bulk/format.h"
#include "bulk/job.h"
#include "store/store.h"

namespace sluice::bulk {

struct ImportOptions {
  std::string path;              // "-" is stdin
  std::optional<Format> format;  // none: told by the first character
  std::uint64_t skip_bad = 0;    // how many bad records may be passed over
  std::int64_t now = 0;          // seconds since 1970: what expiration_ttl counts from
};

// Reads NDJSON, Cloudflare's and wrangler's JSON array, or CSV, plain or compressed with gzip or
// zstd, and writes it in batches while reading on. Bad records are skipped up to `skip_bad` and
// counted as such; the one beyond ends the run, with its line or offset. Later entries of a key
// win. A resumed job goes on behind what had been written; the input must be the same file, and no
// pipe.
io::Task<Report> import_entries(Job& job, store::Store& store, ImportOptions options);

}  // namespace sluice::bulk
