// keys_file: the keys that --keys-file names.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bulk/job.h"
#include "bulk/key_set.h"
#include "bulk/record_feed.h"
#include "bulk/selection.h"

namespace sluice::bulk {

// Opens the selection's file of keys. Requires selection.keys_file.
Result<std::unique_ptr<RecordFeed>> open_keys_file(Job& job, const Selection& selection);

// The error for a file of keys with something wrong in it: it may be the wrong file.
std::unexpected<Error> bad_key(const std::string& path, const BadRecord& record);

// All keys of a file.
struct KeysOfFile {
  KeySet set;
  // The keys themselves, in order and each once, if they are few: no more than 64 KB.
  std::optional<std::vector<std::string>> few;
};
io::Task<Result<KeysOfFile>> read_keys_of(RecordFeed& feed, std::string path);

}  // namespace sluice::bulk
