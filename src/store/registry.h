// The registry: which URL scheme is which backend.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "flow/attempt.h"
#include "flow/gate.h"
#include "io/stop.h"
#include "store/store.h"
#include "telemetry/log.h"

namespace sluice::store {

// What a backend is given by the program that opens it. Everything referred to outlives the
// backend.
struct Environment {
  io::Executor executor;
  io::Stop& stop;
  Log& log;
  // Where credentials and addresses come from: flag, then environment, then config file. Asked by
  // the name of the environment variable: "CLOUDFLARE_API_TOKEN". Empty: not set.
  std::function<std::string(std::string_view)> setting;
  std::string data_folder;   // where `sqlite:` without a path lives
  flow::Gate::Options gate;  // --rate and --concurrency
  flow::RetryPolicy retry;
  std::chrono::milliseconds request_timeout{60'000};  // --timeout
  // Once it is true, nothing waits for the lock of a local file any longer. Set by any thread.
  std::shared_ptr<const std::atomic<bool>> give_up = nullptr;
  // Where processes of this user meet that spend the same budget (flow::Budget::folder); empty: no
  // budget is shared.
  std::string budget_folder{};
  // How many reads a local store may do at the same time, each on a thread and a connection of its
  // own. One is enough for a job, and takes the least memory.
  std::size_t readers = 1;
  // Whether a local store may make its file. If not, one that does not exist reads as the empty
  // store that it would be (store/absent.h): for dry runs.
  bool makes_files = true;
};

// What is common to all backends' figures, for summaries.
struct WireStats {
  flow::GateStats gate;
  std::uint64_t retries = 0;
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_received = 0;
  std::string trouble{};  // why nothing gets through just now (flow::Retrier); else empty
};

// A backend with what the program reports of it. Copies share the backend, with its gate and its
// connections.
struct Opened {
  std::shared_ptr<Backend> backend;
  // The traffic so far; all zero for a local store.
  std::function<WireStats()> wire_stats;
  // Whether the backend and its stores may be called from several loops at the same time, from any
  // thread. A call still resumes on its caller's loop. If false, they belong to the loop of
  // Environment::executor.
  bool any_loop = false;
  // A digest of the service's address, the account and the credentials, under which its answers may
  // be kept (store/cached.h). Empty: nothing is.
  std::string identity{};
  // Whether every call names its namespace by its id, and fails with a `not_found` that is
  // Retry::fatal for one that is gone.
  bool checks_namespace = false;
};

// Opens the service that `url` names ("sqlite:/x.db", "cloudflare://ACCOUNT", "memory:"). An
// unknown scheme is an invalid_argument that lists the known ones. Does not touch the network.
Result<Opened> open_backend(std::string_view url, const Environment& environment);

}  // namespace sluice::store
