// The flags and examples of `sluice serve`. For command_table.cc only.
#pragma once

#include "base/shared_flags.h"

namespace sluice::table {

inline constexpr Flag serve_what[] = {
    {.name = "cloudflare", .help = "offer Cloudflare's API for Workers KV, over the store"},
    {.name = "listen",
     .value = "ADDRESS",
     .kind = text,
     .standard = "127.0.0.1:8787",
     .help = "where to listen: ADDRESS:PORT, or a port of the loopback; port 0: any free one"},
    {.name = "threads",
     .value = "N",
     .kind = count,
     .least = 1,
     .help = "event loops (default: one for each processor)"},
};
inline constexpr Flag serve_access[] = {
    {.name = "token-file",
     .value = "FILE",
     .kind = file,
     .help = "who may do what: hashed tokens (TOML); needed beyond the loopback"},
    {.name = "rate-limit",
     .value = "N/TIME",
     .kind = text,
     .standard = "off",
     .help = "refuse more than N requests of a credential in such a time (1200/5m), as Cloudflare "
             "does"},
    {.name = "tls-cert",
     .value = "FILE",
     .kind = file,
     .help = "serve HTTPS with this certificate (PEM, with its chain)"},
    {.name = "tls-key", .value = "FILE", .kind = file, .help = "the certificate's key (PEM)"},
};
inline constexpr Flag serve_limits[] = {
    {.name = "grace",
     .value = "TIME",
     .kind = duration,
     .standard = "10s",
     .help = "how long requests that are under way have to end after a SIGTERM"},
    {.name = "max-connections",
     .value = "N",
     .kind = count,
     .least = 1,
     .standard = "20000",
     .help = "connections at the same time; idle ones make room"},
    {.name = "body-memory",
     .value = "SIZE",
     .kind = size,
     .least = 1,
     .standard = "256MB",
     .help = "memory for the bodies of requests and answers on their way"},
    {.name = "idle-timeout",
     .value = "TIME",
     .kind = duration,
     .least = 1,
     .standard = "75s",
     .help = "close a connection that asks for nothing for so long"},
    {.name = "header-timeout",
     .value = "TIME",
     .kind = duration,
     .least = 1,
     .standard = "15s",
     .help = "how long a request's header may take to arrive"},
    {.name = "body-timeout",
     .value = "TIME",
     .kind = duration,
     .least = 1,
     .standard = "30s",
     .help = "how long a body may take in either direction, beyond 16 KB a second"},
};
inline constexpr Flag serve_log[] = {
    {.name = "access-log",
     .value = "FILE",
     .kind = file,
     .help = "append a JSON line for each request; - is stdout"},
};
inline constexpr FlagGroup serve_groups[] = {{"Server", serve_what},
                                             {"Store", store_place},
                                             {"Access", serve_access},
                                             {"Limits", serve_limits},
                                             {"Log", serve_log}};
inline constexpr Example serve_examples[] = {
    {"sluice serve --cloudflare --store sqlite:dev.db",
     "Cloudflare's KV API at http://127.0.0.1:8787/client/v4"},
    {"CLOUDFLARE_API_BASE_URL=http://127.0.0.1:8787/client/v4 wrangler kv namespace list",
     "wrangler against it, in another terminal"},
    {"sluice serve --cloudflare --listen 0.0.0.0:8787 --token-file tokens.toml",
     "for others, with tokens"},
};

}  // namespace sluice::table
