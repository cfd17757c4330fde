#include "localcache/lock.h"

#include <utility>
#include <variant>

#include "base/duration.h"
#include "base/timestamp.h"
#include "localcache/held_file.h"
#include "localcache/open_cache.h"
#include "localcache/process.h"
#include "localcache/ticket.h"

namespace sluice::localcache {

struct Lock::State {
  std::variant<Ticket, HeldFile> held;
};

Lock::Lock(std::unique_ptr<State> state) : state_(std::move(state)) {}
Lock::Lock(Lock&&) noexcept = default;
Lock& Lock::operator=(Lock&&) noexcept = default;
Lock::~Lock() = default;

namespace {

// `record`: what the holder has said of itself; `place`: where to look for it if it has said
// nothing.
std::unexpected<Error> too_late(std::string_view name, const LockOptions& options,
                                const std::optional<HolderRecord>& record, const LockPlace& place) {
  const auto waited = options.timeout.value_or(std::chrono::seconds(0));
  const std::string state = waited.count() > 0
                                ? fmt::format("was not free within {}", format_duration(waited))
                                : "is not free";
  const auto way_out = [](std::int64_t pid, bool is_here) {
    if (!is_here || !is_stopped(pid)) return std::string(".");
    return fmt::format(". It is stopped: let it go on with `kill -CONT {}`.", pid);
  };
  if (record) {
    const LockHolder& holder = record->holder;
    return fail(
        ErrorCode::timeout, Retry::again,
        "the lock {} {}: process {} on {} has held it since {} ({}). Wait longer with --timeout, "
        "or end that process{}",
        quoted(name), state, holder.pid, quoted(holder.host),
        format_timestamp(
            std::chrono::floor<std::chrono::seconds>(holder.since.time_since_epoch()).count()),
        holder.command.empty() ? "it did not say what it does" : quoted(holder.command),
        way_out(holder.pid, ran_here(*record)));
  }
  if (const auto pid = process_with_turn(place)) {
    return fail(ErrorCode::timeout, Retry::again,
                "the lock {} {}: it is the turn of process {} ({}). Wait longer with --timeout, or "
                "end that process{}",
                quoted(name), state, *pid, quoted(command_of_process(*pid)), way_out(*pid, true));
  }
  return fail(ErrorCode::timeout, Retry::again, "the lock {} {}. Wait longer with --timeout.",
              quoted(name), state);
}

}  // namespace

Result<LockWait> parse_lock_wait(std::string_view text) {
  if (text == "kernel") return LockWait::kernel;
  if (text == "exponential") return LockWait::exponential;
  if (text == "linear") return LockWait::linear;
  return fail(ErrorCode::invalid_argument,
              "{} is no way to wait for a lock: name kernel, exponential or linear.", quoted(text));
}

Result<Lock> Lock::take(const Location& location, std::string_view name,
                        const LockOptions& options) {
  if (name.empty()) {
    return fail(ErrorCode::invalid_argument, "the name of a lock is empty. Name one.");
  }
  if (auto made = make_folders(location); !made) return std::unexpected(made.error());
  const auto place = lock_place(location, name);
  if (!place) return std::unexpected(place.error());
  const auto began = std::chrono::steady_clock::now();
  std::optional<std::chrono::steady_clock::time_point> give_up;
  // A wait beyond the clock's end is one without an end.
  if (options.timeout && *options.timeout < std::chrono::hours(24 * 365 * 100)) {
    give_up = began + *options.timeout;
  }

  Pause pause(options.wait == LockWait::linear ? LockWait::linear : LockWait::exponential, give_up);
  while (!options.without_kernel_locks) {
    auto ticket = Ticket::take(*place, options.mode, give_up);
    if (!ticket && ticket.error().code == ErrorCode::unsupported) break;
    if (!ticket && ticket.error().code == ErrorCode::timeout) {
      return too_late(name, options, std::nullopt, **place);
    }
    if (!ticket) return std::unexpected(ticket.error());
    const auto turn =
        options.wait == LockWait::kernel ? ticket->wait(give_up) : ticket->is_my_turn();
    if (!turn) return std::unexpected(turn.error());
    if (*turn) {
      // A lock is good without it.
      static_cast<void>(ticket->sign(options.command));
      return Lock(std::make_unique<State>(State{std::move(*ticket)}));
    }
    // Those who sleep must not stand in a queue: all behind them would wait for them to wake up.
    const auto holder = ticket->holder();
    {
      const Ticket back = std::move(*ticket);
    }
    if (options.wait == LockWait::kernel || !pause.sleep()) {
      return too_late(name, options, holder, **place);
    }
  }

  const auto beside = (*place)->beside(".held");
  if (!beside) return std::unexpected(beside.error());
  for (;;) {
    auto held = HeldFile::make(*beside, options.command);
    if (!held) return std::unexpected(held.error());
    if (*held) return Lock(std::make_unique<State>(State{std::move(**held)}));
    if (!pause.sleep()) return too_late(name, options, HeldFile::holder(**beside), **place);
  }
}

Result<std::optional<LockHolder>> lock_holder(const Location& location, std::string_view name) {
  const auto place = lock_place(location, name);
  if (!place && place.error().code == ErrorCode::not_found) return std::nullopt;
  if (!place) return std::unexpected(place.error());
  auto holder = holder_of(**place);
  if (!holder || *holder) return holder;
  const auto beside = (*place)->beside(".held");
  if (!beside) return std::unexpected(beside.error());
  if (const auto record = HeldFile::holder(**beside); record && !is_dead(*record)) {
    return record->holder;
  }
  return std::nullopt;
}

Result<std::optional<pid_t>> process_with_lock(const Location& location, std::string_view name,
                                               std::string_view command) {
  const auto place = lock_place(location, name);
  if (!place && place.error().code == ErrorCode::not_found) return std::nullopt;
  if (!place) return std::unexpected(place.error());
  auto process = process_with_ticket(**place, command);
  if (!process || *process) return process;
  const auto beside = (*place)->beside(".held");
  if (!beside) return std::unexpected(beside.error());
  // There the kernel knows nothing of it.
  if (const auto record = HeldFile::holder(**beside); record && record->holder.command == command &&
                                                      record->process_start != 0 &&
                                                      is_own_process(*record)) {
    return static_cast<pid_t>(record->holder.pid);
  }
  return std::nullopt;
}

}  // namespace sluice::localcache
