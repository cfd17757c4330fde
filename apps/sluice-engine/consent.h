// Consent: asking before something is taken away.
#pragma once

#include <string>
#include <string_view>

#include "bulk/erase_batches.h"
#include "context.h"
#include "kv_job.h"

namespace sluice::cli {

// Whether to ask before deleting: not with --yes (unless --interactive), and not where --dry-run
// deletes nothing. Fails where one has to ask and nobody can answer; `what` is the command.
Result<bool> must_ask(const Context& context, const Invocation& invocation, std::string_view what);

// Asks; an answer other than yes is an error that says "not confirmed: nothing was `done`", a stop
// one that says "interrupted: nothing was `done`".
io::Task<Result<>> confirm(Context& context, std::string question, std::string_view done);

// Asks if --interactive is given without --yes; elsewhere it agrees. `can_ask`: stdin is not taken.
io::Task<Result<>> confirm_if_interactive(Context& context, const Invocation& invocation,
                                          std::string question, std::string_view done,
                                          bool can_ask = true);

// Stops at --max-delete, and asks with the exact count before the first key of `from` is deleted.
// `besides` is what else is asked for: " and purge …". `context`, `job` and `from` outlive the
// guard.
bulk::EraseGuard erase_guard(Context& context, const Invocation& invocation, KvJob& job, bool ask,
                             const KvStore& from, std::string besides = {});

}  // namespace sluice::cli
