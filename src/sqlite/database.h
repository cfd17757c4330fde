// Database, Statement, Transaction: SQLite with owners and Results.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"

struct sqlite3;
struct sqlite3_stmt;

namespace sluice::sqlite {

enum class Access : std::uint8_t {
  read_only,   // the file must exist; nothing in it is changed
  read_write,  // the file must exist
  create,      // an absent file is created, readable by its owner only (mode 0600)
};

struct OpenOptions {
  Access access = Access::create;
  // How long a call waits for another connection's lock before it fails with `conflict`.
  std::chrono::milliseconds busy_timeout{10'000};
  // Once it is true (set by any thread), no call waits for a lock any longer.
  std::shared_ptr<const std::atomic<bool>> give_up = nullptr;
  // For read_only: nobody writes to the file while it is open. It is then read without locks and
  // without its log, so this works in a folder where neither can be made.
  bool immutable = false;
  // The last connection that closes leaves the write-ahead log as it is, instead of moving it into
  // the database (which takes two syncs): for processes that live a millisecond.
  bool keep_log = false;
  // The page cache, in KiB. It bounds the memory of large transactions: what does not fit is
  // spilled into the write-ahead log.
  int cache_kib = 2048;
};

// The error of a failed SQLite call: `code` is what it returned, `connection` names the file (may
// be null), `doing` is what was attempted ("write to"). A full disk is `no_space` and fatal, a
// damaged file `corrupt`, a lock that was not released in time `conflict` (again).
[[nodiscard]] Error error_of(sqlite3* connection, int code, std::string_view doing);

// A prepared statement. Parameters are numbered from 1, columns from 0, as in SQLite. What is bound
// by view must stay valid until the next reset; what a column returns is valid until the next step
// or reset. Reset it as soon as its rows are read: an open SELECT holds a snapshot of the database.
class Statement {
 public:
  Statement() = default;

  // SQL text, or any bytes (compared byte by byte).
  void bind_text(int parameter, std::string_view text);
  void bind_blob(int parameter, std::string_view bytes);
  void bind_int64(int parameter, std::int64_t number);
  void bind_double(int parameter, double number);
  void bind_null(int parameter);

  // Runs to the next row. False: there is none (any more).
  Result<bool> step();
  // Runs a statement that returns no rows, and resets it.
  Result<> run();
  void reset();

  [[nodiscard]] std::string_view text(int column) const;
  [[nodiscard]] std::string_view blob(int column) const;
  [[nodiscard]] std::int64_t int64(int column) const;
  [[nodiscard]] double real(int column) const;
  [[nodiscard]] bool is_null(int column) const;
  // Bytes of a text or blob column.
  [[nodiscard]] std::size_t size(int column) const;

  explicit operator bool() const { return statement_ != nullptr; }

 private:
  friend class Database;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

// Removes a database that nobody has open, with its log, if there is one.
void remove_database(const std::string& path);

// The error (io, fatal) of a file that is no longer the one that was opened at `path`.
[[nodiscard]] Error moved(const std::string& path);

// A connection to one file. Used by one thread at a time; two threads take two connections.
// Statements must be gone before their Database.
class Database {
 public:
  // Opens `path`. Fails with `corrupt` when it is not an SQLite database.
  static Result<Database> open(const std::string& path, const OpenOptions& options = {});

  // Compiles one statement, kept for many executions.
  Result<Statement> prepare(std::string_view sql);
  // Runs a script of statements; rows are thrown away.
  Result<> run(const std::string& sql);
  // The first column of the first row, as a number; `fallback` when there is no row.
  Result<std::int64_t> number(std::string_view sql, std::int64_t fallback = 0);

  // Fails with moved() when the file at the path is no longer the one that is open: what is written
  // now would be in a file that nobody finds. Costs one stat(2).
  Result<> check_in_place();

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::chrono::milliseconds busy_timeout() const { return patience_->most; }
  // Whether nobody waits for a lock any longer (OpenOptions::give_up).
  [[nodiscard]] bool gave_up() const { return patience_->given_up(); }
  // Rows that the last INSERT, UPDATE or DELETE touched.
  [[nodiscard]] std::int64_t changes() const;
  // The rowid of the last inserted row; an UPSERT that updates does not change it.
  [[nodiscard]] std::int64_t last_insert_rowid() const;
  // Makes last_insert_rowid() 0, to find out whether the next UPSERT inserts.
  void forget_last_insert_rowid();
  [[nodiscard]] sqlite3* handle() const { return connection_.get(); }

 private:
  struct Close {
    void operator()(sqlite3* connection) const;
  };
  // How a connection waits for a lock. SQLite holds its address.
  struct Patience {
    std::chrono::milliseconds most{};
    std::shared_ptr<const std::atomic<bool>> give_up;
    std::chrono::steady_clock::time_point since{};  // when the wait under way began

    [[nodiscard]] bool given_up() const { return give_up != nullptr && give_up->load(); }
    static int wait(void* self, int times);
  };
  Database() = default;
  std::unique_ptr<Patience> patience_;
  std::unique_ptr<sqlite3, Close> connection_;
  std::string path_;
};

// A write transaction: takes the write lock at once (BEGIN IMMEDIATE), so that it never fails half
// way for want of it. The destructor rolls back what was not committed.
class Transaction {
 public:
  static Result<Transaction> begin(Database& database);
  Transaction(Transaction&& other) noexcept;
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();

  // When it has succeeded, the changes survive a power cut (with synchronous=FULL).
  Result<> commit();

 private:
  explicit Transaction(Database& database) : database_(&database) {}
  Database* database_;
};

// A read transaction: all statements within it see the same state.
class Snapshot {
 public:
  static Result<Snapshot> begin(Database& database);
  Snapshot(Snapshot&& other) noexcept;
  Snapshot& operator=(Snapshot&&) = delete;
  ~Snapshot();

 private:
  explicit Snapshot(Database& database) : database_(&database) {}
  Database* database_;
};

}  // namespace sluice::sqlite
