// sluice cache set
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "base/utf8.h"
#include "json_field.h"
#include "shared_commands.h"

namespace sluice::cache_cli {

namespace {

using localcache::Access;
using localcache::Cache;
using localcache::SetOptions;

constexpr std::size_t kPiece = std::size_t{1} << 20;

// Stores what comes from a descriptor, a piece at a time. Returns how many bytes came.
Result<std::uint64_t> set_from(Cache& cache, std::string_view key, int descriptor,
                               const std::string& name, const SetOptions& options) {
  struct stat status{};
  std::optional<std::uint64_t> size;
  if (::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode)) {
    const off_t at = ::lseek(descriptor, 0, SEEK_CUR);
    if (at >= 0 && at <= status.st_size) size = static_cast<std::uint64_t>(status.st_size - at);
  }
  const auto buffer = std::make_unique_for_overwrite<char[]>(kPiece);
  std::uint64_t bytes = 0;
  const auto next = [&]() -> Result<std::string_view> {
    for (;;) {
      const ssize_t got = ::read(descriptor, buffer.get(), kPiece);
      if (got >= 0) {
        bytes += static_cast<std::size_t>(got);
        return std::string_view(buffer.get(), static_cast<std::size_t>(got));
      }
      if (errno != EINTR) {
        return std::unexpected(system_error(errno, fmt::format("read {}", name)));
      }
    }
  };
  if (auto set = cache.set_from(key, next, options, size); !set) {
    return std::unexpected(set.error());
  }
  return bytes;
}

// The result as --json gives it. Of a dry run, which reads no value, without its length.
Result<> write_json(const Session& session, std::optional<std::uint64_t> bytes) {
  std::string out = "{";
  append_json_field(out, "namespace", session.location().name);
  out += ',';
  append_json_field(out, "key", session.invocation().arguments().front());
  if (bytes) out += fmt::format(R"(,"bytes":{})", *bytes);
  out += fmt::format(",\"dry_run\":{}}}\n", session.dry_run());
  return write_output(out);
}

// How many bytes were stored; of a dry run nothing.
Result<std::optional<std::uint64_t>> set(Session& session, const SetOptions& options) {
  const Invocation& invocation = session.invocation();
  const auto arguments = invocation.arguments();
  const std::string& key = arguments.front();
  const auto file = invocation.value("file");
  if (file && arguments.size() > 1) {
    return fail(ErrorCode::invalid_argument,
                "the value is given twice, as an argument and by --file. Leave one out.");
  }
  int descriptor = STDIN_FILENO;
  if (file && *file != "-") {
    descriptor = ::open(file->c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
      Error error = system_error(errno, fmt::format("open {}", *file));
      error.code = ErrorCode::io;  // "not found" is said of entries
      return std::unexpected(std::move(error));
    }
  }
  if (session.dry_run()) {
    session.messages().say(
        fmt::format("would store \"{}\" in the cache namespace {}; nothing was changed",
                    printable(key), printable(session.location().name)));
    return std::nullopt;
  }
  const bool from_stdin =
      descriptor == STDIN_FILENO && (arguments.size() == 1 || arguments[1] == "-");
  if (from_stdin && invocation.on("interactive") && !invocation.on("yes")) {
    return fail(ErrorCode::invalid_argument,
                "--interactive cannot ask while the value comes from stdin. Give it as an argument "
                "or by --file.");
  }
  if (auto sure = session.ask(fmt::format("Store \"{}\" in the cache namespace {}?", printable(key),
                                          printable(session.location().name)));
      !sure) {
    return std::unexpected(sure.error());
  }
  const auto cache = session.open(Access::write);
  if (!cache) return std::unexpected(cache.error());
  if (!file && arguments.size() > 1 && arguments[1] != "-") {
    if (auto done = (*cache)->set(key, arguments[1], options); !done) {
      return std::unexpected(done.error());
    }
    return arguments[1].size();
  }
  if (from_stdin && is_typed_in()) {
    session.messages().say("type the value, and end it with Ctrl-D");
  }
  return set_from(**cache, key, descriptor,
                  descriptor == STDIN_FILENO ? "the value from stdin" : *file, options);
}

}  // namespace

int run_set(Session& session) {
  const Invocation& invocation = session.invocation();
  if (!invocation.on("interactive")) end_at_deadline(session);
  SetOptions options{.ttl = invocation.duration("ttl"), .tags = invocation.values("tag")};
  if (options.ttl && options.ttl->count() == 0) {
    return session.report({ErrorCode::invalid_argument, Retry::never, std::nullopt,
                           "--ttl must be more than 0. Leave it out for an entry that does not "
                           "expire."});
  }
  if (const auto cost = invocation.count("cost")) {
    // A century; more would not fit where costs are added up.
    constexpr std::uint64_t kMost = 3'155'760'000'000;
    if (*cost > kMost) {
      return session.report({ErrorCode::invalid_argument, Retry::never, std::nullopt,
                             fmt::format("--cost: {} ms is more than a century.", *cost)});
    }
    options.cost = localcache::Milliseconds(*cost);
  }
  const auto bytes = set(session, options);
  if (!bytes) return session.report(bytes.error());
  if (!session.json()) return 0;
  if (const auto written = write_json(session, *bytes); !written) {
    return session.report(written.error());
  }
  return 0;
}

}  // namespace sluice::cache_cli
