// Zone: a domain at Cloudflare.
#pragma once

#include <string>
#include <string_view>

namespace sluice::cdn {

struct Zone {
  std::string id;
  std::string name{};    // empty: only the id was given
  std::string status{};  // "active"
  std::string plan{};    // the service's own word: "free"; empty: not known
  std::string account_id{};
  std::string account_name{};

  // For people: the name, or else the id.
  [[nodiscard]] const std::string& label() const { return name.empty() ? id : name; }
};

}  // namespace sluice::cdn
