// HeldFile: a file that stands for a lock.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "localcache/holder_record.h"
#include "localcache/lock_place.h"

namespace sluice::localcache {

// A lock where the kernel has none: a file that only one can make. Nobody queues.
class HeldFile {
 public:
  // Nothing: somebody else has it.
  static Result<std::optional<HeldFile>> make(std::shared_ptr<const LockPlace> place,
                                              std::string_view command);
  HeldFile(HeldFile&&) noexcept = default;
  HeldFile& operator=(HeldFile&& other) noexcept {
    std::swap(place_, other.place_);
    return *this;
  }
  ~HeldFile();
  static std::optional<HolderRecord> holder(const LockPlace& place);

 private:
  explicit HeldFile(std::shared_ptr<const LockPlace> place) : place_(std::move(place)) {}
  std::shared_ptr<const LockPlace> place_;
};

}  // namespace sluice::localcache
