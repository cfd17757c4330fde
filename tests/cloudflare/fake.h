// FakeCloudflare: a server of the Workers KV API on the loopback, for tests and benches.
#pragma once

#include <memory>
#include <string>

#include "tests/cloudflare/api.h"

namespace sluice::cloudflare_fake {

// Listens from its construction to its destruction, on a thread of its own. Everything here may be
// called from any thread. Throws std::system_error when the port is taken.
class FakeCloudflare {
 public:
  explicit FakeCloudflare(Options options = {});
  ~FakeCloudflare();
  FakeCloudflare(const FakeCloudflare&) = delete;
  FakeCloudflare& operator=(const FakeCloudflare&) = delete;

  [[nodiscard]] std::uint16_t port() const;
  // For CLOUDFLARE_API_BASE_URL: "http://127.0.0.1:PORT/client/v4".
  [[nodiscard]] std::string base_url() const;

  void set_faults(FaultPlan plan);
  [[nodiscard]] Stats stats() const;
  void reset_stats();
  void advance_clock(std::chrono::seconds by);

  // Returns the namespace's id.
  std::string create_namespace(std::string title, MadeUp made_up = {});
  void put(std::string_view namespace_id, std::string key, Entry entry);
  [[nodiscard]] std::optional<Entry> find(std::string_view namespace_id,
                                          std::string_view key) const;
  [[nodiscard]] std::uint64_t size(std::string_view namespace_id) const;
  // See Zones::purged.
  [[nodiscard]] std::vector<std::string> purged(std::string_view zone, std::string_view kind) const;
  // Empty: there is none.
  [[nodiscard]] std::string namespace_id(std::string_view title) const;

 private:
  struct Server;
  std::unique_ptr<Server> server_;
};

}  // namespace sluice::cloudflare_fake
