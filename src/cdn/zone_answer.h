// Reading the JSON of Cloudflare's answers about zones. Pure: text in, values out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cdn/zone.h"
#include "store/cloudflare/answer.h"

namespace sluice::cdn {

struct ZonePage {
  std::vector<Zone> zones;
  std::optional<std::uint64_t> total_count;
};

// As the functions of store::cloudflare::AnswerParser: takes the body of an answer, returns its
// envelope; the last argument is complete only when that says success. Every zone has an id.
Result<store::cloudflare::Envelope> read_zones(std::string& body, ZonePage& page);
Result<store::cloudflare::Envelope> read_zone(std::string& body, Zone& zone);

}  // namespace sluice::cdn
