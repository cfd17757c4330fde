#include "io/boot.h"

#include <fstream>

namespace sluice::io {

std::string boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  return id;
}

}  // namespace sluice::io
