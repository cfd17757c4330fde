// A database and its log, with pages of 512 bytes so that small inputs have many: four bytes that
// say how long the database is (little-endian), the database, the log.
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "localcache/salvage.h"
#include "require.h"
#include "sqlite/table_page.h"

namespace {

// In memory, where there is such a folder, until the program ends.
struct Folder {
  Folder() {
    std::string name = (std::filesystem::is_directory("/dev/shm") ? "/dev/shm" : "/tmp");
    name += "/sluice-fuzz-XXXXXX";
    sluice::fuzz::require(mkdtemp(name.data()) != nullptr, "there is a folder");
    path = name;
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::filesystem::path path;
};

void write(const std::filesystem::path& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

void check_pages(const sluice::sqlite::PageFile& file) {
  using namespace sluice;
  std::string page;
  for (std::uint32_t number = 1; number <= file.count(); ++number) {
    const auto read = file.read(number, page);
    if (!read || !*read) continue;
    if (const auto leaf = sqlite::parse_leaf_page(page, number)) {
      for (const auto& cell : leaf->cells) {
        fuzz::require(cell.local.size() <= cell.payload_bytes, "no more than the payload is here");
        const auto payload = sqlite::read_payload(file, cell, 10'000);
        if (!payload || !*payload) continue;
        fuzz::require((*payload)->size() == cell.payload_bytes, "a payload is whole");
        if (const auto fields = sqlite::parse_record(**payload)) {
          std::size_t bytes = 0;
          for (const auto& field : *fields) bytes += field.bytes.size();
          fuzz::require(bytes <= (*payload)->size(), "fields do not overlap");
        }
      }
    }
    if (const auto inner = sqlite::parse_inner_page(page, number)) {
      fuzz::require(inner->children.size() > 1, "an inner page divides");
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice;
  static const Folder folder;
  if (size < 4) return 0;
  std::uint32_t length = 0;
  std::memcpy(&length, data, 4);
  const std::string_view rest(reinterpret_cast<const char*>(data) + 4, size - 4);
  const std::string_view database = rest.substr(0, length);
  const std::filesystem::path path = folder.path / "cache.db";
  write(path, database);
  write(folder.path / "cache.db-wal", rest.substr(database.size()));

  const auto file = sqlite::PageFile::open(path.string(), 512);
  fuzz::require(file.has_value(), "a file that is there is opened, whatever it holds");
  fuzz::require(file->count() <= size, "there are no more pages than were written");
  check_pages(*file);
  bool sure = true;
  const auto found = localcache::salvage(*file, [&](const localcache::Found& one) -> Result<> {
    fuzz::require(sure || !one.sure, "what is sure comes first");
    sure = one.sure;
    fuzz::require(one.row.cost >= 0, "nobody works less than not at all");
    return {};
  });
  fuzz::require(found.has_value(), "damage is no error");
  return 0;
}
