// cloudflare-fake: the fake as a program. Serves until SIGTERM or SIGINT.
#include <signal.h>

#include <charconv>
#include <cstdio>
#include <functional>
#include <map>

#include "tests/cloudflare/fake.h"

namespace {

using sluice::cloudflare_fake::FakeCloudflare;
using sluice::cloudflare_fake::Options;

constexpr std::string_view usage =
    "cloudflare-fake: Cloudflare's KV API on 127.0.0.1, for tests and benches\n"
    "  --port N           0: any free one, printed in the first line\n"
    "  --token TEXT       the accepted Bearer token (test-token)\n"
    "  --email A --key K  the accepted X-Auth-Email and X-Auth-Key\n"
    "  --account ID       the account (0123456789abcdef0123456789abcdef; empty: any)\n"
    "  --keys N           a namespace with N made-up keys\n"
    "  --title TEXT       its title (made-up)\n"
    "  --metadata         its keys have metadata\n"
    "  --values BYTES     the length of its values (40)\n"
    "  --namespaces N     N empty namespaces more\n"
    "  --page-order KIND  of the keys in a page: sorted, shuffled\n"
    "  --zone NAME[=PLAN] a zone, of the plan enterprise if none is named; may be repeated\n"
    "  --purge-limit N/T  of cache purges: a fixed window, then 429 for one window\n"
    "  --discard          check and count what is written, but do not keep it\n"
    "  --latency 30ms     before every answer\n"
    "  --capacity N       so many requests are worked on at once, the others queue\n"
    "  --rate-limit N/T   1200/5m: a fixed window, then 429 for one window\n"
    "  --faults JSON      as POST /__control/faults takes it\n"
    "  --seed N           of everything random (1)\n";

template <class Number>
bool parse(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size();
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  std::optional<sluice::cloudflare_fake::FaultPlan> faults;
  const std::map<std::string_view, std::function<bool(std::string_view)>> flags{
      {"--port", [&](auto text) { return parse(text, options.port); }},
      {"--keys", [&](auto text) { return parse(text, options.keys); }},
      {"--values", [&](auto text) { return parse(text, options.value_bytes); }},
      {"--namespaces", [&](auto text) { return parse(text, options.namespaces); }},
      {"--seed", [&](auto text) { return parse(text, options.seed); }},
      {"--token",
       [&](auto text) {
         options.token = text;
         return true;
       }},
      {"--email",
       [&](auto text) {
         options.email = text;
         return true;
       }},
      {"--key",
       [&](auto text) {
         options.key = text;
         return true;
       }},
      {"--account",
       [&](auto text) {
         options.account = text;
         return true;
       }},
      {"--title",
       [&](auto text) {
         options.made_up_title = text;
         return true;
       }},
      {"--page-order",
       [&](auto text) {
         options.shuffle_pages = text == "shuffled";
         return text == "shuffled" || text == "sorted";
       }},
      {"--latency",
       [&](auto text) {
         std::int64_t milliseconds = 0;
         if (!text.ends_with("ms") || !parse(text.substr(0, text.size() - 2), milliseconds))
           return false;
         options.latency = std::chrono::milliseconds(milliseconds);
         return true;
       }},
      {"--capacity",
       [&](auto text) { return parse(text, options.capacity) && options.capacity > 0; }},
      {"--rate-limit",
       [&](auto text) {
         const auto limit = sluice::cloudflare_fake::parse_rate_limit(text);
         if (limit) options.rate_limit = *limit;
         return limit.has_value();
       }},
      {"--purge-limit",
       [&](auto text) {
         const auto limit = sluice::cloudflare_fake::parse_rate_limit(text);
         if (limit) options.purge_limit = *limit;
         return limit.has_value();
       }},
      {"--zone",
       [&](auto text) {
         const auto equals = text.find('=');
         const auto plan = equals == text.npos ? "" : text.substr(equals + 1);
         options.zones.emplace_back(text.substr(0, equals), plan);
         return true;
       }},
      {"--faults",
       [&](auto text) {
         auto plan = sluice::cloudflare_fake::parse_fault_plan(text);
         if (plan) faults = std::move(*plan);
         return plan.has_value();
       }},
  };
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--help") {
      fmt::print("{}", usage);
      return 0;
    }
    if (argument == "--metadata") {
      options.metadata = true;
      continue;
    }
    if (argument == "--discard") {
      options.discard = true;
      continue;
    }
    const auto flag = flags.find(argument);
    if (flag == flags.end() || i + 1 == argc || !flag->second(argv[i + 1])) {
      fmt::print(stderr, "cloudflare-fake: {} is not understood here.\n{}", argument, usage);
      return 2;
    }
    ++i;
  }

  // Blocked before the server's thread begins, so that only sigwait takes them.
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  signal(SIGPIPE, SIG_IGN);
  try {
    FakeCloudflare fake(options);
    if (faults) fake.set_faults(std::move(*faults));
    fmt::print("listening http://127.0.0.1:{}\n", fake.port());
    std::fflush(stdout);
    int signal_number = 0;
    sigwait(&ends, &signal_number);
  } catch (const std::exception& error) {
    fmt::print(stderr, "cloudflare-fake: {}.\n", error.what());
    return 1;
  }
  return 0;
}
