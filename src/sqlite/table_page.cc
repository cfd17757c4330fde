#include "sqlite/table_page.h"

#include <algorithm>
#include <bit>
#include <limits>

// Numbers of sections are those of https://www.sqlite.org/fileformat2.html.
namespace sluice::sqlite {

namespace {

constexpr unsigned char kInner = 0x05;
constexpr unsigned char kLeaf = 0x0d;
// More columns than any table of ours.
constexpr std::size_t kMostFields = 64;

// A number of one to nine bytes (1.6). Moves `at` behind it. Nothing: it is cut off.
std::optional<std::uint64_t> varint(std::string_view bytes, std::size_t& at) {
  std::uint64_t number = 0;
  for (int i = 0; i < 9; ++i) {
    if (at >= bytes.size()) return std::nullopt;
    const auto byte = static_cast<unsigned char>(bytes[at++]);
    if (i == 8) return number << 8 | byte;
    number = number << 7 | (byte & 0x7f);
    if ((byte & 0x80) == 0) return number;
  }
  return number;
}

// Where the cells of a page begin (1.6): what the pointers behind the header say.
struct CellPointers {
  std::size_t header = 0;  // where the page's header is: page 1 has that of the file before it
  std::vector<std::size_t> cells;
};
std::optional<CellPointers> cell_pointers(std::string_view page, std::uint32_t number,
                                          unsigned char kind) {
  CellPointers found{.header = number == 1 ? std::size_t{100} : 0};
  const std::size_t size = kind == kInner ? 12 : 8;
  if (page.size() < found.header + size || page.size() > 65'536 ||
      static_cast<unsigned char>(page[found.header]) != kind) {
    return std::nullopt;
  }
  const std::size_t count = big_endian(page, found.header + 3, 2);
  const std::size_t first = found.header + size;
  if (count > (page.size() - first) / 2) return std::nullopt;
  for (std::size_t i = 0; i < count; ++i) {
    found.cells.push_back(big_endian(page, first + 2 * i, 2));
  }
  return found;
}

std::optional<LeafCell> parse_leaf_cell(std::string_view page, std::size_t at) {
  const auto payload = varint(page, at);
  const auto id = payload ? varint(page, at) : std::nullopt;
  if (!id) return std::nullopt;
  LeafCell cell{.id = static_cast<std::int64_t>(*id), .payload_bytes = *payload};
  // How much of a long payload is in the page (1.6).
  const std::uint64_t usable = page.size();
  const std::uint64_t most = usable - 35;
  std::uint64_t local = *payload;
  if (*payload > most) {
    const std::uint64_t least = (usable - 12) * 32 / 255 - 23;
    const std::uint64_t fitting = least + (*payload - least) % (usable - 4);
    local = fitting <= most ? fitting : least;
  }
  const std::uint64_t needed = local + (local < *payload ? 4 : 0);
  if (needed > page.size() - at) return std::nullopt;
  cell.local = page.substr(at, local);
  if (local < *payload) {
    cell.overflow = static_cast<std::uint32_t>(big_endian(page, at + local, 4));
    if (cell.overflow < 2) return std::nullopt;
  }
  return cell;
}

// The bytes that a value of this type takes (2.1). Nothing: there is no such type.
std::optional<std::uint64_t> size_of(std::uint64_t type) {
  switch (type) {
    case 0:
    case 8:
    case 9:
      return 0;
    case 5:
      return 6;
    case 6:
    case 7:
      return 8;
    case 10:
    case 11:
      return std::nullopt;
    default:
      return type < 5 ? type : (type - 12) / 2;
  }
}

Field parse_field(std::uint64_t type, std::string_view bytes) {
  if (type == 0) return {};
  if (type == 8 || type == 9) {
    return {.kind = Field::Kind::integer, .integer = static_cast<std::int64_t>(type - 8)};
  }
  if (type >= 12) {
    return {.kind = type % 2 == 0 ? Field::Kind::blob : Field::Kind::text, .bytes = bytes};
  }
  const std::uint64_t number = big_endian(bytes, 0, bytes.size());
  if (type == 7) return {.kind = Field::Kind::real, .real = std::bit_cast<double>(number)};
  // The sign is in the first bit, however short the number is.
  const int unused = static_cast<int>(64 - 8 * bytes.size());
  return {.kind = Field::Kind::integer,
          .integer = static_cast<std::int64_t>(number << unused) >> unused};
}

}  // namespace

std::optional<InnerPage> parse_inner_page(std::string_view page, std::uint32_t number) {
  const auto pointers = cell_pointers(page, number, kInner);
  if (!pointers || pointers->cells.empty()) return std::nullopt;
  InnerPage found;
  for (std::size_t at : pointers->cells) {
    if (at + 4 > page.size()) return std::nullopt;
    const auto child = static_cast<std::uint32_t>(big_endian(page, at, 4));
    at += 4;
    const auto id = varint(page, at);
    if (!id || child < 2) return std::nullopt;
    const auto last_id = static_cast<std::int64_t>(*id);
    if (!found.children.empty() && last_id <= found.children.back().last_id) return std::nullopt;
    found.children.push_back({child, last_id});
  }
  const auto rightmost = static_cast<std::uint32_t>(big_endian(page, pointers->header + 8, 4));
  if (rightmost < 2) return std::nullopt;
  found.children.push_back({rightmost, std::numeric_limits<std::int64_t>::max()});
  return found;
}

std::optional<LeafPage> parse_leaf_page(std::string_view page, std::uint32_t number) {
  const auto pointers = cell_pointers(page, number, kLeaf);
  if (!pointers) return std::nullopt;
  LeafPage found;
  for (const std::size_t at : pointers->cells) {
    const auto cell = at < page.size() ? parse_leaf_cell(page, at) : std::nullopt;
    if (cell) {
      found.cells.push_back(*cell);
    } else {
      ++found.damaged;
    }
  }
  return found;
}

Result<std::optional<std::string>> read_payload(const PageFile& file, const LeafCell& cell,
                                                std::uint64_t most) {
  if (cell.payload_bytes > most) return std::nullopt;
  std::string payload(cell.local);
  std::string page;
  // As many pages as its size asks for, so that a chain in a circle ends.
  for (std::uint32_t next = cell.overflow; payload.size() < cell.payload_bytes;) {
    const auto read = file.read(next, page);
    if (!read) return std::unexpected(read.error());
    if (!*read) return std::nullopt;
    next = static_cast<std::uint32_t>(big_endian(page, 0, 4));
    payload.append(page, 4, cell.payload_bytes - payload.size());
  }
  return payload;
}

std::optional<std::vector<Field>> parse_record(std::string_view payload) {
  std::size_t at = 0;
  const auto header = varint(payload, at);
  if (!header || *header < at || *header > payload.size()) return std::nullopt;
  const std::string_view types = payload.substr(0, *header);
  std::string_view content = payload.substr(*header);
  std::vector<Field> fields;
  while (at < types.size()) {
    const auto type = varint(types, at);
    const auto size = type ? size_of(*type) : std::nullopt;
    if (!size || *size > content.size() || fields.size() == kMostFields) return std::nullopt;
    fields.push_back(parse_field(*type, content.substr(0, *size)));
    content.remove_prefix(*size);
  }
  return fields;
}

}  // namespace sluice::sqlite
