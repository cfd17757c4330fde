#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "base/descriptor.h"
#include "base/duration.h"
#include "base/json_text.h"
#include "base/shell.h"
#include "base/size.h"
#include "base/timestamp.h"
#include "base/uri.h"
#include "base/utf8.h"
#include "commands.h"
#include "http/client.h"
#include "io/temporary.h"
#include "kv_store.h"

namespace sluice::cli {
namespace {

enum class Verdict : std::uint8_t { pass, warn, fail };

struct Finding {
  std::string subject;  // "config", "credentials", "store", "clock", "disk"
  Verdict verdict = Verdict::pass;
  std::string message;
  std::string advice = {};  // what to do; empty for a pass
};

std::string_view word(Verdict verdict) {
  switch (verdict) {
    case Verdict::pass:
      return "PASS";
    case Verdict::warn:
      return "WARN";
    case Verdict::fail:
      return "FAIL";
  }
  return "FAIL";
}

constexpr std::string_view cloudflare_api = "https://api.cloudflare.com/client/v4";

// Long enough for a slow network, short enough to wait for.
constexpr std::chrono::seconds patience{15};

// --- Config and credentials ---------------------------------------------------------------------

Finding check_config(const std::string& path, bool asked_for) {
  struct stat status{};
  if (stat(path.c_str(), &status) != 0) {
    if (errno == ENOENT && !asked_for) {
      return {"config", Verdict::pass,
              fmt::format("{} does not exist; the defaults are used", path)};
    }
    return {"config", Verdict::fail, system_error(errno, "open " + path).message,
            "Make the file readable, or name another one with --config."};
  }
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file || S_ISDIR(status.st_mode)) {
    return {"config", Verdict::fail, fmt::format("{} cannot be read", path),
            "Make the file readable, or name another one with --config."};
  }
  const Result<Config> config = Config::parse(text.str(), path);
  if (!config) return {"config", Verdict::fail, config.error().message, "Correct the file."};
  if (config->has_secrets() && (status.st_mode & 077) != 0) {
    return {"config", Verdict::fail,
            fmt::format("{} holds a secret, and others may read it (mode {:04o})", path,
                        status.st_mode & 07777),
            fmt::format("chmod 600 {}", shell_quoted(path))};
  }
  return {"config", Verdict::pass, fmt::format("{} is in order", path)};
}

bool is_cloudflare(std::string_view store) {
  return store.starts_with("cloudflare:");
}

Finding check_credentials(const Context& context, const std::string& store) {
  if (!is_cloudflare(store)) {
    return {"credentials", Verdict::pass, "this store needs none of the settings"};
  }
  const auto token = context.setting("CLOUDFLARE_API_TOKEN");
  const auto email = context.setting("CLOUDFLARE_EMAIL");
  const auto key = context.setting("CLOUDFLARE_API_KEY");
  if (!token && !(email && key)) {
    return {"credentials", Verdict::fail, "there are no credentials for Cloudflare",
            "Set CLOUDFLARE_API_TOKEN, or cloudflare.api_token in the config file, to a token with "
            "the permission \"Workers KV Storage: Edit\"."};
  }
  const Result<StoreUrl> url = StoreUrl::parse(store);
  if ((!url || url->hosts.empty()) && !context.setting("CLOUDFLARE_ACCOUNT_ID")) {
    return {"credentials", Verdict::fail, "no Cloudflare account is named",
            "Set CLOUDFLARE_ACCOUNT_ID, or cloudflare.account_id in the config file, or write the "
            "store as cloudflare://ACCOUNT."};
  }
  const Setting& used = token ? *token : *key;
  return {"credentials", Verdict::pass,
          fmt::format("{} for Cloudflare, from the {}", token ? "a token" : "an address and a key",
                      used.origin == Origin::config ? "config file" : "environment")};
}

// --- The store ----------------------------------------------------------------------------------

// The file of a sqlite: URL.
std::string sqlite_file(const std::string& store, const Folders& folders) {
  const Result<StoreUrl> url = StoreUrl::parse(store);
  return url && !url->path.empty() ? url->path : folders.data + "/store.db";
}

// How long the store is waited for.
std::chrono::milliseconds longest_wait(const Context& context) {
  const std::chrono::milliseconds most = patience;
  return std::min(most, context.invocation->duration("deadline").value_or(most));
}

io::Task<Result<std::vector<store::Namespace>>> namespaces_in_time(Context& context,
                                                                   store::Backend& backend) {
  // A doctor that hangs is of no help: whatever retries are still to come, it stops waiting.
  const auto wait = [](io::Stop& stop, std::chrono::milliseconds longest) -> io::Task<bool> {
    const bool slept = co_await stop.sleep_until(io::Clock::now() + longest);
    if (slept) {
      stop.request({ErrorCode::deadline, Retry::fatal, std::nullopt,
                    fmt::format("There was no answer within {}.", format_duration(longest))});
    }
    co_return slept;
  };
  io::Started<bool> alarm(context.loop.executor(), wait(context.stop, longest_wait(context)));
  auto namespaces = co_await backend.namespaces();
  // Ends the alarm, too. Nothing else runs on this loop any more.
  context.stop.request(
      {ErrorCode::interrupted, Retry::fatal, std::nullopt, "The check has ended."});
  (void)co_await alarm.get();
  co_return namespaces;
}

std::string advice_for(const Error& error, const std::string& store) {
  switch (error.code) {
    case ErrorCode::unauthorized:
      if (!is_cloudflare(store)) return "Check the user, the password and what they may do.";
      return "Check the token: it needs the permission \"Workers KV Storage: Edit\" for this "
             "account.";
    case ErrorCode::network:
    case ErrorCode::timeout:
    case ErrorCode::deadline:
      return "Check the network, the proxy settings and the address of the store.";
    case ErrorCode::throttled:
      return "Wait five minutes; other programs may use the same budget.";
    case ErrorCode::corrupt:
      return "Restore the file from a backup, or name another store.";
    case ErrorCode::invalid_argument:
    case ErrorCode::unsupported:
      return "Correct the store's address.";
    default:
      break;
  }
  if (is_cloudflare(store)) return "See https://www.cloudflarestatus.com, or try again later.";
  return store.starts_with("sqlite:") ? "Check the file and its folder." : "Check the server.";
}

Finding check_store(Context& context, const std::string& store) {
  const std::string shown = without_password(store);
  if (store.starts_with("sqlite:")) {
    const std::string file = sqlite_file(store, context.folders);
    if (access(file.c_str(), F_OK) != 0 && errno == ENOENT) {
      return {"store", Verdict::pass,
              fmt::format("{} does not exist yet; the first write creates it", file)};
    }
  }
  store::Environment environment = context.store_environment();
  environment.retry.attempts = 2;
  environment.request_timeout = std::min(environment.request_timeout, longest_wait(context));
  Result<store::Opened> opened = store::open_backend(store, environment);
  if (!opened) {
    return {"store", Verdict::fail, fmt::format("{} - {}", shown, opened.error().message),
            advice_for(opened.error(), store)};
  }
  const auto started = std::chrono::steady_clock::now();
  const auto namespaces = context.loop.run(namespaces_in_time(context, *opened->backend));
  const auto took = std::chrono::steady_clock::now() - started;
  if (!namespaces) {
    return {"store", Verdict::fail, fmt::format("{} - {}", shown, namespaces.error().message),
            advice_for(namespaces.error(), store)};
  }
  const std::string answered =
      fmt::format("{} answered in {}: {} namespace{}", opened->backend->description(),
                  format_elapsed(took), namespaces->size(), namespaces->size() == 1 ? "" : "s");
  if (const auto wanted = context.invocation->value("namespace")) {
    const bool there = std::ranges::any_of(*namespaces, [&](const store::Namespace& one) {
      return one.title == *wanted || one.id == *wanted;
    });
    if (!there) {
      return {"store", Verdict::fail,
              fmt::format("{}, but none is called \"{}\"", answered, printable(*wanted)),
              "See `sluice kv namespace list`, or create it with `sluice kv namespace create`."};
    }
  }
  return {"store", Verdict::pass, answered};
}

// --- The clock ----------------------------------------------------------------------------------

// The time that the service's own clock shows, from the Date of any answer.
io::Task<Result<std::int64_t>> remote_time(Context& context, std::string url) {
  const auto timeout =
      std::min(context.store_environment().request_timeout, longest_wait(context) / 3);
  http::Client client(context.loop.executor(), {.connect_timeout = timeout, .timeout = timeout});
  flow::Gate gate(context.loop.executor(), context.stop, context.store_environment().gate);
  auto pass = co_await gate.enter();
  if (!pass) co_return std::unexpected(std::move(pass.error()));
  const http::Request request{.url = std::move(url)};
  auto response = co_await client.send(request);
  if (!response) co_return std::unexpected(std::move(response.error().error));
  pass->finish(flow::Outcome::answered);
  const auto date = response->headers.find("date");
  if (!date) co_return fail(ErrorCode::protocol, "The answer bears no date.");
  co_return parse_http_date(*date);
}

Finding check_clock(Context& context, const std::string& store) {
  const std::int64_t now = std::chrono::duration_cast<std::chrono::seconds>(
                               std::chrono::system_clock::now().time_since_epoch())
                               .count();
  const std::string shown = format_timestamp(now);
  // Nobody runs this program before it was written; a machine without a clock starts in 1970.
  const std::int64_t earliest = parse_timestamp("2025-01-01").value();
  const std::int64_t latest = parse_timestamp("2100-01-01").value();
  if (now < earliest || now > latest) {
    return {"clock", Verdict::fail, fmt::format("this machine's clock says {}", shown),
            "Set the clock: entries would get wrong expiries, and TLS certificates look invalid."};
  }
  if (!is_cloudflare(store)) {
    return {"clock", Verdict::pass, fmt::format("this machine's clock says {}", shown)};
  }
  const auto base = context.setting("CLOUDFLARE_API_BASE_URL");
  const Result<std::int64_t> there =
      context.loop.run(remote_time(context, base ? base->value : std::string(cloudflare_api)));
  // Whether the service can be reached is for the check of the store to say.
  if (!there) {
    return {"clock", Verdict::pass,
            fmt::format("this machine's clock says {} (not compared with the service's)", shown)};
  }
  const std::int64_t apart = now > *there ? now - *there : *there - now;
  // Cloudflare wants an expiry at least 60 s ahead: a clock half of that wrong makes it refuse
  // some.
  if (apart > 30) {
    return {"clock", Verdict::warn,
            fmt::format("this machine's clock is {} {} the service's",
                        format_elapsed(std::chrono::seconds(apart)),
                        now > *there ? "ahead of" : "behind"),
            "Set the clock (timedatectl set-ntp true): expiries depend on it."};
  }
  return {"clock", Verdict::pass,
          fmt::format("within {} s of the service's", std::max<std::int64_t>(apart, 1))};
}

// --- Folders ------------------------------------------------------------------------------------

// The folder itself, or the nearest one above it that exists.
std::string existing_folder(std::string path) {
  while (path.size() > 1 && access(path.c_str(), F_OK) != 0) {
    const std::size_t slash = path.rfind('/');
    if (slash == std::string::npos) return ".";
    path.resize(std::max<std::size_t>(slash, 1));
  }
  return path;
}

// Creates and removes a file, since access() does not know of a full or read-only file system.
Result<> try_to_write(const std::string& folder) {
  const auto temporary = io::TemporaryFolder::create("doctor", folder);
  if (!temporary) return std::unexpected(temporary.error());
  const std::string path = temporary->path() + "/file";
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) return std::unexpected(system_error(errno, fmt::format("create {}", path)));
  const Result<> written = write_all(file, path, "x");
  close(file);
  return written;
}

Finding check_folder(const std::string& what, const std::string& folder) {
  constexpr std::uint64_t scarce = 1'000'000'000;
  const std::string existing = existing_folder(folder);
  if (const auto tried = try_to_write(existing); !tried) {
    return {"disk", Verdict::fail,
            fmt::format("{}: {} is not writable: {}", what, folder, tried.error().message),
            fmt::format("Make {} writable, or set XDG_{}_HOME to another folder.", existing,
                        what == "data"   ? "DATA"
                        : what == "jobs" ? "STATE"
                                         : "CACHE")};
  }
  struct statvfs system{};
  if (statvfs(existing.c_str(), &system) != 0) {
    return {"disk", Verdict::warn,
            system_error(errno, "ask for the free space of " + existing).message, "Look at `df`."};
  }
  const std::uint64_t free = static_cast<std::uint64_t>(system.f_bavail) * system.f_frsize;
  const std::string message =
      fmt::format("{}: {} is writable, {} free", what, folder, format_bytes(free));
  if (free < scarce)
    return {"disk", Verdict::warn, message, "Free some space before a large export."};
  return {"disk", Verdict::pass, message};
}

// --- The report ---------------------------------------------------------------------------------

std::string as_json(const std::vector<Finding>& findings, bool healthy) {
  std::string json = fmt::format("{{\"ok\":{},\"checks\":[", healthy);
  const auto field = [&](std::string_view name, std::string_view value) {
    append_json_string(json, name);
    json += ':';
    append_json_string(json, is_utf8(value) ? std::string(value) : printable(value));
  };
  for (const Finding& finding : findings) {
    if (json.back() != '[') json += ',';
    json += '{';
    field("check", finding.subject);
    json += ',';
    field("status", finding.verdict == Verdict::pass   ? "pass"
                    : finding.verdict == Verdict::warn ? "warn"
                                                       : "fail");
    json += ',';
    field("message", finding.message);
    if (!finding.advice.empty()) {
      json += ',';
      field("advice", finding.advice);
    }
    json += '}';
  }
  return json + "]}\n";
}

std::string as_text(const std::vector<Finding>& findings) {
  std::string text;
  for (const Finding& finding : findings) {
    text += fmt::format("{}  {:<12} {}\n", word(finding.verdict), finding.subject,
                        printable(finding.message));
    if (!finding.advice.empty())
      text += fmt::format("      {:<12} → {}\n", "", printable(finding.advice));
  }
  return text;
}

}  // namespace

ExitCode run_doctor(Context& context, const Invocation& invocation) {
  const std::string store = store_url(context, invocation);
  std::vector<Finding> findings;
  findings.push_back(check_config(context.config_path, invocation.value("config").has_value()));
  findings.push_back(check_credentials(context, store));
  // The clock before the store, whose check ends with the loop's stop.
  const bool usable = findings.back().verdict != Verdict::fail;
  findings.push_back(check_clock(context, usable ? store : "sqlite:"));
  if (usable) findings.push_back(check_store(context, store));
  findings.push_back(check_folder("data", context.folders.data));
  findings.push_back(check_folder("jobs", context.folders.state));
  findings.push_back(check_folder("cache", context.folders.cache));

  const bool healthy = std::ranges::none_of(
      findings, [](const Finding& finding) { return finding.verdict == Verdict::fail; });
  print(invocation.on("json") ? as_json(findings, healthy) : as_text(findings));
  return healthy ? ExitCode::done : ExitCode::failed;
}

}  // namespace sluice::cli
