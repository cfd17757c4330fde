// keys_file: the keys that --keys-file names.
#pragma once

#include <memory>
#include <string>

#include "bulk/job.h"
#include "bulk/key_set.h"
#include "bulk/record_feed.h"
#include "bulk/selection.h"

namespace sluice::bulk {

// Opens the selection's file of keys. Requires selection.keys_file.
Result<std::unique_ptr<RecordFeed>> open_keys_file(Job& job, const Selection& selection);

// The error for a file of keys with something wrong in it: it may be the wrong file.
std::unexpected<Error> bad_key(const std::string& path, const BadRecord& record);

// Reads all keys of the file.
io::Task<Result<KeySet>> read_key_set(RecordFeed& feed, std::string path);

}  // namespace sluice::bulk
