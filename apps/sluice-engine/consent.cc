#include "consent.h"

#include <utility>

#include "base/size.h"

namespace sluice::cli {

Result<bool> must_ask(const Context& context, const Invocation& invocation, std::string_view what) {
  const bool sure = invocation.on("yes") && !invocation.on("interactive");
  if (sure || invocation.on("dry-run")) return false;
  if (context.console.interactive()) return true;
  return fail(ErrorCode::invalid_argument,
              "{} needs --yes where nobody can be asked (--dry-run shows what would go)", what);
}

io::Task<Result<>> confirm(Context& context, std::string question, std::string_view done) {
  auto yes = co_await context.console.confirm(context.stop, std::move(question));
  if (!yes) {
    Error reason = yes.error();
    reason.message += fmt::format(": nothing was {}", done);
    co_return std::unexpected(std::move(reason));
  }
  if (!*yes) co_return fail(ErrorCode::conflict, "not confirmed: nothing was {}", done);
  co_return Result<>();
}

io::Task<Result<>> confirm_if_interactive(Context& context, const Invocation& invocation,
                                          std::string question, std::string_view done,
                                          bool can_ask) {
  if (!invocation.on("interactive") || invocation.on("yes")) co_return Result<>();
  if (!can_ask || !context.console.interactive()) {
    co_return fail(ErrorCode::invalid_argument, "--interactive needs a terminal to ask on");
  }
  co_return co_await confirm(context, std::move(question), done);
}

bulk::EraseGuard erase_guard(Context& context, const Invocation& invocation, KvJob& job, bool ask,
                             const KvStore& from, std::string besides) {
  bulk::EraseGuard guard{.max_delete = invocation.count("max-delete"), .confirm = nullptr};
  if (!ask) return guard;
  guard.confirm = [&context, &job, &from,
                   besides = std::move(besides)](std::uint64_t keys) -> io::Task<Result<>> {
    co_await job.hide_progress();
    if (keys == 0) co_return Result<>();
    auto sure = co_await confirm(
        context,
        fmt::format("Delete {} from {}{}?", format_count(keys, "key"), from.description(), besides),
        "deleted");
    if (!sure) co_return sure;
    job.show_progress_again();
    co_return Result<>();
  };
  return guard;
}

}  // namespace sluice::cli
