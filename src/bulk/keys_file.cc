#include "bulk/keys_file.h"

#include <algorithm>
#include <utility>

#include "io/worker.h"

namespace sluice::bulk {

Result<std::unique_ptr<RecordFeed>> open_keys_file(Job& job, const Selection& selection) {
  EntryFile::Options file;
  file.format = Format::keys;
  file.nul = selection.keys_end_in_nul;
  return RecordFeed::open(job.executor, job.stop, *selection.keys_file, file);
}

std::unexpected<Error> bad_key(const std::string& path, const BadRecord& record) {
  return fail(ErrorCode::invalid_argument, "{}: {}", path, describe(record));
}

io::Task<Result<KeysOfFile>> read_keys_of(RecordFeed& feed, std::string path) {
  constexpr std::size_t kFewBytes = std::size_t{64} << 10;
  KeysOfFile keys;
  keys.few.emplace();
  std::size_t bytes = 0;
  for (bool end = false; !end;) {
    auto piece = co_await feed.next();
    if (!piece) co_return std::unexpected(piece.error());
    const Records& records = piece->records;
    if (!records.bad.empty()) co_return bad_key(path, records.bad.front());
    for (const store::EntryView& entry : records.entries) {
      keys.set.add(entry.key);
      if (!keys.few) continue;
      bytes += entry.key.size() + 1;
      if (bytes > kFewBytes) {
        keys.few.reset();
      } else {
        keys.few->emplace_back(entry.key);
      }
    }
    end = piece->end;
  }
  // Ten million keys take about a second, in which a signal should be seen.
  io::Worker sorter;
  co_await sorter.run([&] {
    keys.set.seal();
    return true;
  });
  if (keys.few) {
    std::ranges::sort(*keys.few);
    const auto repeated = std::ranges::unique(*keys.few);
    keys.few->erase(repeated.begin(), repeated.end());
  }
  co_return keys;
}

}  // namespace sluice::bulk
