#include "store/dry_run.h"

#include "store/limits.h"

namespace sluice::store {

io::Task<Result<WriteAnswer>> DryRun::put(std::span<const EntryView> entries) {
  if (auto checked = check_put(capabilities(), entries); !checked) {
    co_return std::unexpected(checked.error());
  }
  const std::int64_t now = unix_now();
  WriteAnswer answer;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (auto checked = check_entry(capabilities(), entries[i], now); !checked) {
      answer.failed.push_back({i, checked.error()});
    }
  }
  co_return answer;
}

io::Task<Result<WriteAnswer>> DryRun::erase(std::span<const std::string_view> keys) {
  if (auto checked = check_erase(capabilities(), keys); !checked) {
    co_return std::unexpected(checked.error());
  }
  co_return WriteAnswer{};
}

}  // namespace sluice::store
