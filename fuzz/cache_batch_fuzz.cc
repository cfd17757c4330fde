#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <string_view>

#include "cache_batch_json.h"
#include "require.h"

namespace {

// A file without a name that holds these bytes, to be read from its beginning.
int file_of(std::string_view bytes) {
  const int file = ::memfd_create("batch", MFD_CLOEXEC);
  sluice::fuzz::require(
      ::write(file, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()),
      "the file is written");
  ::lseek(file, 0, SEEK_SET);
  return file;
}

// Reads everything, and answers every operation.
void read_all(sluice::cache_cli::BatchFormat& format, std::size_t most) {
  using namespace sluice;
  cache_cli::Spool out({"/tmp"});
  std::size_t operations = 0;
  for (;;) {
    const auto operation = format.next();
    if (!operation || !*operation) break;
    ++operations;
    fuzz::require(operations <= most, "an operation takes some bytes");
    localcache::Answer answer;
    if ((*operation)->refused) answer.done = std::unexpected(*(*operation)->refused);
    const auto good = format.append(out, **operation, answer);
    fuzz::require(good.has_value(), "the answer is kept");
    fuzz::require(*good == !(*operation)->refused.has_value(), "what was refused has failed");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const int file = file_of(bytes);
  cache_cli::NulFormat frames(file);
  read_all(frames, size);
  ::lseek(file, 0, SEEK_SET);
  cli::JsonFormat lines(file, {"/tmp"});
  read_all(lines, size);
  ::close(file);
  return 0;
}
