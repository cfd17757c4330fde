#include "redis/server_error.h"

#include <algorithm>

#include "base/utf8.h"

namespace sluice::redis {

namespace {

struct Meaning {
  std::string_view beginning;  // of the reply
  ErrorCode code;
  Retry retry;
  std::string_view advice;
};

constexpr std::string_view kCredentials =
    "Check the user and the password: redis://USER:PASSWORD@HOST, or the variable REDISCLI_AUTH.";
constexpr std::string_view kCluster =
    "This server is part of a cluster. Stores of the kind redis-cluster:// are not built yet in "
    "this version of Sluice.";
constexpr std::string_view kSecurity =
    "The server takes no remote clients (protected mode). Set a password there, or connect from "
    "its "
    "own machine.";

// The first that fits counts. From Redis's source (src/server.c createSharedObjects, acl.c,
// cluster.c) and https://redis.io/docs/reference/protocol-spec/.
constexpr Meaning kMeanings[] = {
    {"NOAUTH", ErrorCode::unauthorized, Retry::fatal, kCredentials},
    {"WRONGPASS", ErrorCode::unauthorized, Retry::fatal, kCredentials},
    {"ERR invalid password", ErrorCode::unauthorized, Retry::fatal, kCredentials},
    {"ERR AUTH", ErrorCode::unauthorized, Retry::fatal,
     "The server has no password set; leave it out of the store's URL."},
    {"ERR Client sent AUTH", ErrorCode::unauthorized, Retry::fatal,
     "The server has no password set; leave it out of the store's URL."},
    {"NOPERM", ErrorCode::unauthorized, Retry::fatal,
     "Let the user do that (ACL SETUSER), or use another user."},
    {"DENIED", ErrorCode::unauthorized, Retry::fatal, kSecurity},
    {"LOADING", ErrorCode::unavailable, Retry::again, "Try again when it has loaded its data."},
    {"BUSY", ErrorCode::unavailable, Retry::again, "A script blocks the server; try again later."},
    {"MASTERDOWN", ErrorCode::unavailable, Retry::again, "Try again later."},
    {"TRYAGAIN", ErrorCode::unavailable, Retry::again, "Try again later."},
    {"CLUSTERDOWN", ErrorCode::unavailable, Retry::again, "Try again later."},
    {"NOREPLICAS", ErrorCode::unavailable, Retry::again,
     "Too few replicas are connected; try again later."},
    {"ERR max number of clients", ErrorCode::unavailable, Retry::again,
     "Use a smaller --concurrency, or raise maxclients."},
    {"OOM", ErrorCode::no_space, Retry::fatal,
     "The server has reached its maxmemory. Raise it, choose an eviction policy, or delete "
     "something first."},
    {"MISCONF", ErrorCode::no_space, Retry::fatal,
     "The server cannot save its data to disk and takes no writes. Look into its log."},
    {"READONLY", ErrorCode::unsupported, Retry::fatal,
     "It is a replica, which takes no writes. Name the primary in --store."},
    {"MOVED", ErrorCode::unsupported, Retry::fatal, kCluster},
    {"ASK", ErrorCode::unsupported, Retry::fatal, kCluster},
    {"CROSSSLOT", ErrorCode::unsupported, Retry::fatal, kCluster},
    {"ERR SELECT is not allowed in cluster", ErrorCode::unsupported, Retry::fatal, kCluster},
    {"ERR DB index is out of range", ErrorCode::not_found, Retry::fatal,
     "The server has fewer databases; check the number in the store's URL."},
    {"ERR invalid DB index", ErrorCode::not_found, Retry::fatal,
     "Check the number of the database in the store's URL."},
    {"ERR Protocol error: invalid bulk length", ErrorCode::too_large, Retry::smaller,
     "A key or value is longer than the server's proto-max-bulk-len."},
    {"ERR Protocol error: invalid multibulk length", ErrorCode::too_large, Retry::smaller,
     "Use a smaller --batch-size."},
    {"WRONGTYPE", ErrorCode::conflict, Retry::never,
     "Another program keeps something else under a key that Sluice uses (they begin with "
     "\"sluice:\")."},
};

}  // namespace

bool is_unknown_command(std::string_view text) {
  return text.starts_with("ERR unknown command") || text.starts_with("ERR unknown subcommand");
}

Error server_error(std::string_view text, std::string_view doing) {
  const std::string quoted = truncated_to_width(printable(text.substr(0, 400)), 200);
  const auto* const meaning = std::ranges::find_if(
      kMeanings, [&](const Meaning& known) { return text.starts_with(known.beginning); });
  if (meaning != std::end(kMeanings)) {
    return Error{meaning->code, meaning->retry, std::nullopt,
                 fmt::format("Redis answered \"{}\" while {}. {}", quoted, doing, meaning->advice)};
  }
  const bool too_old = is_unknown_command(text) || text.starts_with("ERR syntax error");
  return Error{ErrorCode::unsupported, Retry::fatal, std::nullopt,
               fmt::format("Redis answered \"{}\" while {}.{}", quoted, doing,
                           too_old ? " Sluice needs Redis 6.2 or newer, with the commands that "
                                     "docs/stores.md lists."
                                   : "")};
}

}  // namespace sluice::redis
