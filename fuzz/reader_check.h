// What every EntryReader must hold to, whatever its input.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "bulk/entry_reader.h"

namespace sluice::fuzz {

using MakeReader = std::function<std::unique_ptr<bulk::EntryReader>()>;

// Reads `text` whole and in pieces of `piece` bytes, which must give the same; writes what was read
// in `format` and reads it again, which must give the same; and goes on behind an entry in the
// middle.
void check_reader(const MakeReader& make, bulk::Format format, bool nul, std::string_view text,
                  std::size_t piece);

}  // namespace sluice::fuzz
