// sluice kv put
#include <fcntl.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cerrno>
#include <utility>

#include "base/base64.h"
#include "base/timestamp.h"
#include "base/utf8.h"
#include "commands.h"
#include "kv_store.h"
#include "signals.h"
#include "store/limits.h"

namespace sluice::cli {

namespace {

// The largest value that any store takes from the command line: it is held in memory.
constexpr std::size_t kLargestValue = std::size_t{1} << 30;

Error usage(std::string message) {
  return {ErrorCode::invalid_argument, Retry::never, std::nullopt, std::move(message)};
}

// As it is: a compressed file is a value like any other.
Result<std::string> read_all(const std::string& path) {
  const bool from_stdin = path == "-";
  const std::string_view name = from_stdin ? std::string_view("stdin") : std::string_view(path);
  const int file = from_stdin ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return std::unexpected(system_error(errno, fmt::format("open {}", path)));
  std::string text;
  std::vector<char> piece(std::size_t{1} << 16);
  Result<std::string> result;
  for (;;) {
    const ssize_t got = ::read(file, piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) result = std::unexpected(system_error(errno, fmt::format("read {}", name)));
    if (got <= 0) break;
    text.append(piece.data(), static_cast<std::size_t>(got));
    if (text.size() > kLargestValue) {
      result = fail(ErrorCode::too_large, "{} is larger than 1 GiB", name);
      break;
    }
  }
  if (!from_stdin) ::close(file);
  if (result) result = std::move(text);
  return result;
}

Result<std::string> value_from(const Invocation& invocation) {
  const auto arguments = invocation.arguments();
  const auto file = invocation.value("file");
  if (file && arguments.size() > 1) {
    return std::unexpected(usage("the value is given twice: as an argument and with --file"));
  }
  const bool from_file = file || arguments.size() < 2 || arguments[1] == "-";
  Result<std::string> value =
      from_file ? read_all(file ? *file : std::string("-")) : Result<std::string>(arguments[1]);
  if (!value || !invocation.on("base64")) return value;
  // A file made by a tool of the shell ends with a line feed.
  while (value->ends_with('\n') || value->ends_with('\r')) value->pop_back();
  auto bytes = decode_base64(*value);
  if (!bytes) return std::unexpected(usage(fmt::format("the value is not base64: {}", bytes.error().message)));
  return bytes;
}

Result<std::int64_t> expiration_from(const Invocation& invocation) {
  const auto ttl = invocation.duration("ttl");
  const auto when = invocation.value("expiration");
  if (ttl && when) return std::unexpected(usage("--ttl and --expiration say the same thing twice: give one"));
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
      co_return report_error(context, usage(fmt::format("--metadata is not JSON ({}): quote it for the shell, "
                                                        "as in --metadata '{{\"tag\":\"x\"}}'",
                                                        error.message())));
    }
  }
  const auto expiration = expiration_from(invocation);
  if (!expiration) co_return report_error(context, expiration.error());

  StorePlace place = source_place(context, invocation);
  place.create = invocation.on("create-namespace");
  auto kv = co_await open_store(context, place, invocation.on("dry-run"));
  if (!kv) co_return report_error(context, kv.error());
  const SignalStop signals(context.loop.executor(), context.stop, context.console);
  // The cheap checks first: the value may have to be typed.
  store::EntryView entry{.key = invocation.arguments().front(), .metadata = metadata, .expiration = *expiration};
  if (auto fits = store::check_entry(kv->store->capabilities(), entry, store::unix_now()); !fits) {
    co_return report_error(context, fits.error());
  }
  const auto value = value_from(invocation);
  if (!value) co_return report_error(context, value.error());
  entry.value = *value;
  if (invocation.on("interactive") && !invocation.on("yes")) {
    if (!context.console.interactive()) {
      co_return report_error(context, usage("--interactive needs a terminal to ask on"));
    }
    auto yes = co_await context.console.confirm(
        context.stop, fmt::format("Put key \"{}\" into {}?", printable(entry.key), kv->description()));
    if (!yes) co_return report_error(context, yes.error());
    if (!*yes) co_return report_error(context, {ErrorCode::conflict, Retry::never, std::nullopt,
                                                "not confirmed: nothing was written"});
  }
  auto answer = co_await kv->store->put(std::span(&entry, 1));
  if (!answer) co_return report_error(context, answer.error());
  if (!answer->failed.empty()) co_return report_error(context, answer->failed.front().error);
  if (invocation.on("json")) {
    print(boost::json::serialize(boost::json::object{{"key", printable(entry.key)},
                                                     {"bytes", value->size()},
                                                     {"namespace", kv->in.title},
                                                     {"dry_run", invocation.on("dry-run")}}) +
          "\n");
  }
  context.console.say("{} {} bytes under \"{}\" in {}", invocation.on("dry-run") ? "would have put" : "put",
                      value->size(), printable(entry.key), kv->description());
  co_return ExitCode::done;
}

}  // namespace

ExitCode run_kv_put(Context& context, const Invocation& invocation) {
  return context.loop.run(put(context, invocation));
}

}  // namespace sluice::cli
