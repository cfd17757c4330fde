// sluice kv put
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/json.hpp>
#include <cerrno>
#include <utility>

#include "base/base64.h"
#include "base/timestamp.h"
#include "base/utf8.h"
#include "commands.h"
#include "consent.h"
#include "kv_store.h"
#include "store/limits.h"
#include "waiting.h"

namespace sluice::cli {

namespace {

// The largest value that any store takes from the command line: it is held in memory.
constexpr std::size_t kLargestValue = std::size_t{1} << 30;

Error usage(std::string message) {
  return {ErrorCode::invalid_argument, Retry::never, std::nullopt, std::move(message)};
}

// Closes what it has opened.
struct File {
  int descriptor;
  bool owned;
  ~File() {
    if (owned) ::close(descriptor);
  }
};

// Reads to the end, as it is: a compressed file is a value like any other. Waits for a pipe or a
// terminal on the loop, so that a stop ends the wait.
io::Task<Result<std::string>> read_all(io::Stop& stop, std::string path) {
  const bool from_stdin = path == "-";
  const std::string name = from_stdin ? "stdin" : path;
  const File file{from_stdin ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC),
                  !from_stdin};
  if (file.descriptor < 0)
    co_return std::unexpected(system_error(errno, fmt::format("open {}", path)));
  struct stat status{};
  const bool may_wait = ::fstat(file.descriptor, &status) == 0 && !S_ISREG(status.st_mode);
  using Descriptor = boost::asio::posix::basic_stream_descriptor<io::Executor>;
  std::optional<Descriptor> waiting;
  std::optional<io::Stop::Listener> on_stop;
  if (may_wait) {
    const io::Executor executor = co_await boost::asio::this_coro::executor;
    boost::system::error_code unsupported;  // /dev/null and the like never wait
    Descriptor descriptor(executor);
    descriptor.assign(::dup(file.descriptor), unsupported);
    if (!unsupported) {
      waiting.emplace(std::move(descriptor));
      on_stop.emplace(stop, [&waiting] { waiting->cancel(); });
    }
  }
  std::string text;
  std::vector<char> piece(std::size_t{1} << 16);
  for (;;) {
    if (waiting) {
      boost::system::error_code error;
      co_await waiting->async_wait(Descriptor::wait_read,
                                   boost::asio::redirect_error(io::use_task, error));
    }
    if (stop.requested()) co_return std::unexpected(stop.reason());
    const ssize_t got = ::read(file.descriptor, piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) co_return std::unexpected(system_error(errno, fmt::format("read {}", name)));
    if (got == 0) co_return text;
    text.append(piece.data(), static_cast<std::size_t>(got));
    if (text.size() > kLargestValue) {
      co_return fail(ErrorCode::too_large, "{} is larger than 1 GiB, the longest value", name);
    }
  }
}

io::Task<Result<std::string>> value_from(Context& context, const Invocation& invocation) {
  const auto arguments = invocation.arguments();
  const auto file = invocation.value("file");
  if (file && arguments.size() > 1) {
    co_return std::unexpected(usage("the value is given twice: as an argument and with --file"));
  }
  Result<std::string> value;
  if (file || arguments.size() < 2 || arguments[1] == "-") {
    value = co_await read_all(context.stop, file.value_or("-"));
  } else {
    value = arguments[1];
  }
  if (!value || !invocation.on("base64")) co_return value;
  // A file made by a tool of the shell ends with a line feed.
  while (value->ends_with('\n') || value->ends_with('\r')) value->pop_back();
  auto bytes = decode_base64(*value);
  if (!bytes) {
    co_return std::unexpected(
        usage(fmt::format("the value is not base64: {}", bytes.error().message)));
  }
  co_return bytes;
}

Result<std::int64_t> expiration_from(const Invocation& invocation) {
  const auto ttl = invocation.duration("ttl");
  const auto when = invocation.value("expiration");
  if (ttl && when)
    return std::unexpected(usage("--ttl and --expiration say the same thing twice: give one"));
  if (when) return parse_timestamp(*when);
  if (!ttl) return 0;
  if (ttl->count() <= 0) return std::unexpected(usage("--ttl must be longer than nothing"));
  return store::unix_now() + std::chrono::ceil<std::chrono::seconds>(*ttl).count();
}

io::Task<ExitCode> put(Context& context, const Invocation& invocation) {
  const bool has_metadata = invocation.value("metadata").has_value();
  const std::string metadata = invocation.value("metadata").value_or("");
  if (has_metadata) {
    boost::system::error_code error;
    boost::json::parse_options lenient;
    (void)boost::json::parse(metadata, error, {}, lenient);
    if (error) {
      co_return report_error(
          context, usage(fmt::format("--metadata is not JSON ({}): quote it for the shell, "
                                     "as in --metadata '{{\"tag\":\"x\"}}'",
                                     error.message())));
    }
  }
  const auto expiration = expiration_from(invocation);
  if (!expiration) co_return report_error(context, expiration.error());
  if (*expiration != 0 && *expiration <= store::unix_now()) {
    co_return report_error(
        context, usage(fmt::format("the expiry {} is in the past", format_timestamp(*expiration))));
  }

  StorePlace place = source_place(context, invocation);
  place.create_file = true;
  place.create = invocation.on("create-namespace");
  place.remembered = !place.create;
  auto kv = co_await open_store(context, place, invocation.on("dry-run"));
  if (!kv) co_return report_error(context, kv.error());
  // The cheap checks first: the value may have to be typed.
  store::EntryView entry{
      .key = invocation.arguments().front(), .metadata = metadata, .expiration = *expiration};
  // What any store may hold can be copied to every other one, so the narrowest rules (Cloudflare's)
  // hold for what is typed; an import takes all that its store can hold.
  store::Capabilities rules = kv->store->capabilities();
  rules.key_bytes = std::min<std::size_t>(rules.key_bytes, 512);
  rules.keys_are_utf8 = true;
  rules.least_ttl = std::max<std::int64_t>(rules.least_ttl, 60);
  if (entry.key == "." || entry.key == "..") {
    co_return report_error(
        context,
        usage(fmt::format("\"{}\" cannot be a key: it names a folder in URLs", entry.key)));
  }
  if (auto fits = store::check_entry(rules, entry, store::unix_now()); !fits) {
    co_return report_error(context, fits.error());
  }
  const auto value = co_await value_from(context, invocation);
  if (!value) co_return report_error(context, value.error());
  entry.value = *value;
  auto sure = co_await confirm_if_interactive(
      context, invocation,
      fmt::format("Put key \"{}\" into {}?", printable(entry.key), kv->description()), "written");
  if (!sure) co_return report_error(context, sure.error());
  auto putting = kv->store->put(std::span(&entry, 1));
  auto answer = co_await telling_obstacles(context, kv->opened.wire_stats, std::move(putting));
  if (!answer) co_return report_error(context, answer.error());
  if (!answer->failed.empty()) co_return report_error(context, answer->failed.front().error);
  if (invocation.on("json")) {
    print(boost::json::serialize(boost::json::object{{"key", printable(entry.key)},
                                                     {"bytes", value->size()},
                                                     {"namespace", kv->in.title},
                                                     {"dry_run", invocation.on("dry-run")}}) +
          "\n");
  }
  context.console.say("{} {} bytes under \"{}\" in {}",
                      invocation.on("dry-run") ? "would have put" : "put", value->size(),
                      printable(entry.key), kv->description());
  co_return ExitCode::done;
}

}  // namespace

ExitCode run_kv_put(Context& context, const Invocation& invocation) {
  const RunGuard guard = context.guard();
  return context.loop.run(put(context, invocation));
}

}  // namespace sluice::cli
