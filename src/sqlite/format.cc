#include "sqlite/format.h"

#include <chrono>
#include <string>
#include <thread>

namespace sluice::sqlite {

namespace {

enum class State : std::uint8_t { empty, older, current };

Result<State> state_of(Database& database, const Format& format) {
  auto id = database.number("PRAGMA application_id");
  if (!id) return std::unexpected(id.error());
  auto version = database.number("PRAGMA user_version");
  if (!version) return std::unexpected(version.error());
  const auto newest = static_cast<std::int64_t>(format.migrations.size());
  if (static_cast<std::uint32_t>(*id) == format.application_id) {
    if (*version > newest) {
      return fail(
          ErrorCode::unsupported, Retry::fatal,
          "{} was written by a newer Sluice (format {}, this one knows up to {}). Install that "
          "version, or name another file.",
          database.path(), *version, newest);
    }
    return *version == newest ? State::current : State::older;
  }
  auto tables = database.number("SELECT count(*) FROM sqlite_schema");
  if (!tables) return std::unexpected(tables.error());
  if (*id == 0 && *version == 0 && *tables == 0) return State::empty;
  return fail(
      ErrorCode::invalid_argument, Retry::fatal,
      "{} is a database of another program, not a {}, and was left as it is. Name another file.",
      database.path(), format.name);
}

// state_of, asked of one state of the file: between its questions another process may adopt it.
Result<State> settled_state_of(Database& database, const Format& format) {
  const auto snapshot = Snapshot::begin(database);
  if (!snapshot) return std::unexpected(snapshot.error());
  return state_of(database, format);
}

Result<> migrate(Database& database, const Format& format) {
  auto transaction = Transaction::begin(database);
  if (!transaction) return std::unexpected(transaction.error());
  // Asked again under the lock: another process may have been faster.
  auto state = state_of(database, format);
  if (!state) return std::unexpected(state.error());
  if (*state == State::current) return {};
  auto version = database.number("PRAGMA user_version");
  if (!version) return std::unexpected(version.error());
  for (auto next = static_cast<std::size_t>(*version); next < format.migrations.size(); ++next) {
    if (auto done = database.run(std::string(format.migrations[next])); !done) return done;
  }
  if (auto done = database.run(fmt::format("PRAGMA application_id={}; PRAGMA user_version={}",
                                           static_cast<std::int32_t>(format.application_id),
                                           format.migrations.size()));
      !done) {
    return done;
  }
  return transaction->commit();
}

Result<> adopt_once(Database& database, const Format& format, Journal journal) {
  auto state = settled_state_of(database, format);
  if (!state) return std::unexpected(state.error());
  if (*state == State::empty) {
    // The size of a page is settled by the first write, which switching to the log is.
    if (auto set = database.run(fmt::format("PRAGMA page_size={}", format.page_size)); !set)
      return set;
    if (auto set = database.run(journal == Journal::log ? "PRAGMA journal_mode=WAL"
                                                        : "PRAGMA journal_mode=DELETE");
        !set) {
      return set;
    }
    // SQLite 3.40 goes on to count the cache in pages of the old size; setting it again recounts.
    auto cache = database.number("PRAGMA cache_size");
    if (!cache) return std::unexpected(cache.error());
    if (auto set = database.run(fmt::format("PRAGMA cache_size={}", *cache)); !set) return set;
  }
  if (journal == Journal::rollback && *state != State::empty) {
    if (auto set = database.run("PRAGMA journal_mode=DELETE"); !set) return set;
  }
  if (*state != State::current) return migrate(database, format);
  return {};
}

}  // namespace

Result<> adopt(Database& database, const Format& format, Journal journal) {
  // SQLite does not wait for a lock when two connections switch the journal mode at the same time
  // (it could be a deadlock), so the wait is here.
  constexpr std::chrono::milliseconds kPause{20};
  const auto give_up = std::chrono::steady_clock::now() + database.busy_timeout();
  for (;;) {
    auto adopted = adopt_once(database, format, journal);
    if (adopted || adopted.error().code != ErrorCode::conflict) return adopted;
    if (database.gave_up() || std::chrono::steady_clock::now() >= give_up) return adopted;
    std::this_thread::sleep_for(kPause);
  }
}

Result<> check(Database& database, const Format& format) {
  auto state = settled_state_of(database, format);
  if (!state) return std::unexpected(state.error());
  if (*state == State::empty) {
    return fail(ErrorCode::not_found, Retry::fatal, "{} is empty: nothing was written to it yet.",
                database.path());
  }
  if (*state != State::current) {
    return fail(
        ErrorCode::unsupported, Retry::fatal,
        "{} was written by an older Sluice. Open it once for writing, so that it is migrated.",
        database.path());
  }
  return {};
}

}  // namespace sluice::sqlite
