#include "sqlite/database.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <thread>
#include <utility>

namespace sluice::sqlite {

namespace {

// What SQLite says beyond the code, if that is of use to people.
std::string_view detail(sqlite3* connection, int code) {
  return connection != nullptr ? sqlite3_errmsg(connection) : sqlite3_errstr(code);
}

std::string file_of(sqlite3* connection) {
  const char* name = connection != nullptr ? sqlite3_db_filename(connection, "main") : nullptr;
  return name != nullptr && *name != '\0' ? name : "the database";
}

Error make_error(ErrorCode code, Retry retry, std::string message) {
  return Error{code, retry, std::nullopt, std::move(message)};
}

Error describe(const std::string& file, int code, int system_code, std::string_view detail_text,
               std::string_view doing) {
  if (system_code == ENOSPC || system_code == EDQUOT) code = SQLITE_FULL;
  switch (code & 0xff) {
    case SQLITE_FULL:
      return make_error(
          ErrorCode::no_space, Retry::fatal,
          fmt::format(
              "cannot {} {}: the disk is full. Free some space, then run the command again.", doing,
              file));
    case SQLITE_CORRUPT:
      return make_error(
          ErrorCode::corrupt, Retry::fatal,
          fmt::format("{} is damaged ({}). Restore it from a copy, or save what can be "
                      "read with `sqlite3 FILE .recover`.",
                      file, detail_text));
    case SQLITE_NOTADB:
      return make_error(ErrorCode::corrupt, Retry::fatal,
                        fmt::format("{} is not an SQLite database, or its beginning is damaged. "
                                    "Name another file.",
                                    file));
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return make_error(
          ErrorCode::conflict, Retry::again,
          fmt::format("cannot {} {}: another process has it locked. Try again when that "
                      "one has finished.",
                      doing, file));
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return make_error(
          ErrorCode::io, Retry::fatal,
          fmt::format("cannot {} {}: it or its folder is read-only for you. Change the "
                      "permissions, or name another file.",
                      doing, file));
    case SQLITE_CANTOPEN:
      return make_error(
          ErrorCode::io, Retry::fatal,
          fmt::format("cannot open {}: {}. Check that it is a file in a folder that you "
                      "may write to.",
                      file,
                      system_code != 0 && strerrordesc_np(system_code) != nullptr
                          ? std::string_view(strerrordesc_np(system_code))
                          : detail_text));
    case SQLITE_TOOBIG:
      return make_error(
          ErrorCode::too_large, Retry::never,
          fmt::format("cannot {} {}: a value is larger than SQLite takes (1 GB).", doing, file));
    case SQLITE_INTERRUPT:
      return make_error(ErrorCode::interrupted, Retry::never,
                        fmt::format("stopped while trying to {} {}.", doing, file));
    case SQLITE_IOERR:
      return make_error(
          ErrorCode::io, Retry::fatal,
          fmt::format("cannot {} {}: {} ({}). Check the disk.", doing, file, detail_text,
                      system_code != 0 && strerrordesc_np(system_code) != nullptr
                          ? strerrordesc_np(system_code)
                          : "input/output error"));
    case SQLITE_NOMEM:
      throw std::bad_alloc();
    default:
      return make_error(ErrorCode::io, Retry::never,
                        fmt::format("cannot {} {}: {}.", doing, file, detail_text));
  }
}

// See https://www.sqlite.org/uri.html for the characters that mean something there.
std::string immutable_uri(std::string_view path) {
  std::string uri = "file:";
  for (const char c : path) {
    if (c == '%' || c == '?' || c == '#') {
      uri += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    } else {
      uri += c;
    }
  }
  return uri + "?immutable=1";
}

// Creates an absent file with mode 0600 whatever the umask is, before SQLite would create it with
// 0644. The -wal and -shm files take the mode of the database.
Result<> create_private(const std::string& path) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) {
    if (errno == EEXIST) return {};
    return std::unexpected(system_error(errno, fmt::format("cannot create {}", path)));
  }
  const int changed = ::fchmod(file, 0600);
  const int reason = errno;
  ::close(file);
  if (changed != 0)
    return std::unexpected(system_error(reason, fmt::format("cannot create {}", path)));
  return {};
}

}  // namespace

Error error_of(sqlite3* connection, int code, std::string_view doing) {
  return describe(file_of(connection), code,
                  connection != nullptr ? sqlite3_system_errno(connection) : 0,
                  detail(connection, code), doing);
}

void Statement::Finalize::operator()(sqlite3_stmt* statement) const {
  sqlite3_finalize(statement);
}

// A bind can fail only for a wrong parameter number, which is a mistake in this program, or for a
// size that SQLite refuses; the step that follows then fails or the NOT NULL constraint does.
void Statement::bind_text(int parameter, std::string_view text) {
  sqlite3_bind_text64(statement_.get(), parameter, text.data() != nullptr ? text.data() : "",
                      text.size(), SQLITE_STATIC, SQLITE_UTF8);
}

void Statement::bind_blob(int parameter, std::string_view bytes) {
  sqlite3_bind_blob64(statement_.get(), parameter, bytes.data() != nullptr ? bytes.data() : "",
                      bytes.size(), SQLITE_STATIC);
}

void Statement::bind_int64(int parameter, std::int64_t number) {
  sqlite3_bind_int64(statement_.get(), parameter, number);
}

void Statement::bind_double(int parameter, double number) {
  sqlite3_bind_double(statement_.get(), parameter, number);
}

void Statement::bind_null(int parameter) {
  sqlite3_bind_null(statement_.get(), parameter);
}

Result<bool> Statement::step() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  Error error = error_of(sqlite3_db_handle(statement_.get()), code,
                         sqlite3_stmt_readonly(statement_.get()) != 0 ? "read" : "write to");
  sqlite3_reset(statement_.get());
  return std::unexpected(std::move(error));
}

Result<> Statement::run() {
  auto stepped = step();
  if (!stepped) return std::unexpected(std::move(stepped.error()));
  sqlite3_reset(statement_.get());
  return {};
}

void Statement::reset() {
  sqlite3_reset(statement_.get());
}

std::string_view Statement::text(int column) const {
  // The text first: asking for the size first may convert the column twice.
  const auto* text = sqlite3_column_text(statement_.get(), column);
  if (text == nullptr) return {};
  return {reinterpret_cast<const char*>(text),
          static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column))};
}

std::string_view Statement::blob(int column) const {
  const void* bytes = sqlite3_column_blob(statement_.get(), column);
  if (bytes == nullptr) return {};
  return {static_cast<const char*>(bytes),
          static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column))};
}

std::int64_t Statement::int64(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

double Statement::real(int column) const {
  return sqlite3_column_double(statement_.get(), column);
}

bool Statement::is_null(int column) const {
  return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
}

std::size_t Statement::size(int column) const {
  return static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column));
}

void Database::Close::operator()(sqlite3* connection) const {
  sqlite3_close_v2(connection);
}

// SQLite asks before each new try for a lock. `times` counts the tries of one wait.
int Database::Patience::wait(void* self, int times) {
  auto& patience = *static_cast<Patience*>(self);
  const auto now = std::chrono::steady_clock::now();
  if (times == 0) patience.since = now;
  if (patience.given_up() || now - patience.since >= patience.most) return 0;
  // Most locks are held for a few milliseconds; a long one is not asked for all the time.
  std::this_thread::sleep_for(std::chrono::milliseconds(std::min(1 + times, 25)));
  return 1;
}

void remove_database(const std::string& path) {
  for (const std::string_view part : {"", "-wal", "-shm"}) {
    ::unlink(fmt::format("{}{}", path, part).c_str());
  }
}

Error moved(const std::string& path) {
  return {
      ErrorCode::io, Retry::fatal, std::nullopt,
      fmt::format("{} was deleted, moved or replaced while it was in use. Put it back, or start "
                  "the program again: what is written now would be lost.",
                  path)};
}

Result<Database> Database::open(const std::string& path, const OpenOptions& options) {
  if (options.access == Access::create) {
    if (auto created = create_private(path); !created) return std::unexpected(created.error());
  } else if (::access(path.c_str(), F_OK) != 0 && errno == ENOENT) {
    return fail(ErrorCode::not_found, "there is no file {}.", path);
  }
  Database database;
  database.path_ = path;
  database.patience_ = std::make_unique<Patience>();
  database.patience_->most = options.busy_timeout;
  database.patience_->give_up = options.give_up;
  sqlite3* connection = nullptr;
  // Without SQLite's own mutexes: a connection is used by one thread at a time.
  const int flags =
      SQLITE_OPEN_NOMUTEX |
      (options.access == Access::read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE);
  const int code = options.immutable ? sqlite3_open_v2(immutable_uri(path).c_str(), &connection,
                                                       flags | SQLITE_OPEN_URI, nullptr)
                                     : sqlite3_open_v2(path.c_str(), &connection, flags, nullptr);
  database.connection_.reset(connection);
  if (code != SQLITE_OK) {
    return std::unexpected(describe(path, code,
                                    connection != nullptr ? sqlite3_system_errno(connection) : 0,
                                    detail(connection, code), "open"));
  }
  sqlite3_extended_result_codes(connection, 1);
  sqlite3_busy_handler(connection, Patience::wait, database.patience_.get());
  // Content of a damaged or hostile file must not run code or crash the process.
  sqlite3_db_config(connection, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(connection, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  if (options.keep_log) {
    sqlite3_db_config(connection, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  }
  if (auto set = database.run(fmt::format("PRAGMA cache_size=-{}", options.cache_kib)); !set) {
    return std::unexpected(set.error());
  }
  return database;
}

Result<Statement> Database::prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v3(connection_.get(), sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (code != SQLITE_OK) return std::unexpected(error_of(connection_.get(), code, "read"));
  Statement prepared;
  prepared.statement_.reset(statement);
  return prepared;
}

Result<> Database::run(const std::string& sql) {
  const int code = sqlite3_exec(connection_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return std::unexpected(error_of(connection_.get(), code, "write to"));
  return {};
}

Result<std::int64_t> Database::number(std::string_view sql, std::int64_t fallback) {
  auto statement = prepare(sql);
  if (!statement) return std::unexpected(statement.error());
  auto row = statement->step();
  if (!row) return std::unexpected(row.error());
  return *row ? statement->int64(0) : fallback;
}

Result<> Database::check_in_place() {
  int moved = 0;
  sqlite3_file_control(connection_.get(), "main", SQLITE_FCNTL_HAS_MOVED, &moved);
  if (moved == 0) return {};
  return std::unexpected(sqlite::moved(path_));
}

std::int64_t Database::changes() const {
  return sqlite3_changes64(connection_.get());
}

std::int64_t Database::last_insert_rowid() const {
  return sqlite3_last_insert_rowid(connection_.get());
}

void Database::forget_last_insert_rowid() {
  sqlite3_set_last_insert_rowid(connection_.get(), 0);
}

Result<Transaction> Transaction::begin(Database& database) {
  if (auto begun = database.run("BEGIN IMMEDIATE"); !begun) return std::unexpected(begun.error());
  return Transaction(database);
}

Transaction::Transaction(Transaction&& other) noexcept
    : database_(std::exchange(other.database_, nullptr)) {}

Transaction::~Transaction() {
  if (database_ == nullptr) return;
  // Some errors (a full disk) have rolled back already; a second time would only report that.
  if (sqlite3_get_autocommit(database_->handle()) == 0) {
    sqlite3_exec(database_->handle(), "ROLLBACK", nullptr, nullptr, nullptr);
  }
}

Result<> Transaction::commit() {
  if (auto committed = database_->run("COMMIT"); !committed) return committed;
  database_ = nullptr;
  return {};
}

Result<Snapshot> Snapshot::begin(Database& database) {
  if (auto begun = database.run("BEGIN"); !begun) return std::unexpected(begun.error());
  return Snapshot(database);
}

Snapshot::Snapshot(Snapshot&& other) noexcept
    : database_(std::exchange(other.database_, nullptr)) {}

Snapshot::~Snapshot() {
  if (database_ != nullptr) {
    sqlite3_exec(database_->handle(), "ROLLBACK", nullptr, nullptr, nullptr);
  }
}

}  // namespace sluice::sqlite
