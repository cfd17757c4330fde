// LockPlace: where the files of one lock are, and how one waits there.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "localcache/files.h"
#include "localcache/location.h"
#include "localcache/lock.h"

namespace sluice::localcache {

// The folder of a namespace's locks, opened, and the name of a file in it. All is done relative to
// the folder: whatever takes the place of its path meanwhile, nothing outside it is opened or
// deleted.
struct LockPlace {
  Descriptor folder;
  std::string name;
  std::string path;  // for messages
  unsigned mode = 0600;

  // The file, regular and open for reading and writing; with O_CREAT in `flags`, made if need be.
  // Not open: errno says why.
  [[nodiscard]] Descriptor open(int flags) const;
  // The same place with an ending behind the name.
  [[nodiscard]] Result<std::shared_ptr<const LockPlace>> beside(std::string_view ending) const;
};

// `not_found` if the namespace has no such folder; a symbolic link in its place is refused.
Result<std::shared_ptr<const LockPlace>> lock_place(const Location& location,
                                                    std::string_view name);

// The path of the lock's file, for messages and tests.
std::string lock_path(const Location& location, std::string_view name);

// Sleeps between two tries, as a strategy says, but not beyond `give_up`. False: it is past.
class Pause {
 public:
  Pause(LockWait wait, std::optional<std::chrono::steady_clock::time_point> give_up)
      : wait_(wait), give_up_(give_up) {}
  bool sleep();

 private:
  LockWait wait_;
  std::optional<std::chrono::steady_clock::time_point> give_up_;
  int times_ = 0;
};

}  // namespace sluice::localcache
