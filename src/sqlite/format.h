// Format: which files are ours, and how older ones become current.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/error.h"
#include "sqlite/database.h"

namespace sluice::sqlite {

// A kind of database file. The header of an SQLite file has two fields for the program that owns it
// (https://www.sqlite.org/fileformat2.html, application_id and user_version): the first holds the
// kind's magic, the second the version of its schema.
struct Format {
  // What people call such a file: "Sluice store".
  std::string_view name;
  // Four ASCII letters, read as a big-endian number: unlike any other program's, never changed.
  std::uint32_t application_id = 0;
  // migrations[i] turns version i into version i + 1; version 0 is the empty file. The current
  // version is their number. Never edited once released: a new version is a new last element.
  std::span<const std::string_view> migrations;
  // Bytes of a page, for new files only.
  int page_size = 4096;
};

// How a file is kept whole when a process dies while it writes.
enum class Journal : std::uint8_t {
  // The write-ahead log: nobody who reads waits for a writer. All processes must be on one machine.
  log,
  // The rollback journal: for file systems that several machines use.
  rollback,
};

// Makes `database` current: creates the schema in an empty file, migrates an older one forward in
// one transaction, and sets the journal up (`rollback` also for a file that has a log). Refuses,
// without having changed anything, a file of another program (invalid_argument) and one of a newer
// Sluice (unsupported). Several processes may do this at the same time.
Result<> adopt(Database& database, const Format& format, Journal journal = Journal::log);

// The check of `adopt` for a connection that only reads: the file must be ours and current.
Result<> check(Database& database, const Format& format);

}  // namespace sluice::sqlite
