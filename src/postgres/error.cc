#include "postgres/error.h"

#include <algorithm>
#include <iterator>

#include "base/utf8.h"

namespace sluice::postgres {

namespace {

constexpr std::size_t kMostQuoted = 300;

struct Entry {
  std::string_view prefix;  // of the SQLSTATE: five characters, or two for a class
  Meaning meaning;
};

constexpr std::string_view kLater = "Try again later.";
constexpr std::string_view kCredentials =
    "Check the user and the password: in the store's URL, PGPASSWORD or the password file.";
constexpr std::string_view kShape =
    "A table of entries needs the columns key bytea (its primary key), value bytea, metadata json "
    "and expires_at timestamptz.";

// Whole codes stand before their class.
constexpr Entry kMeanings[] = {
    {"08P01", {ErrorCode::protocol, Retry::never, "Is a PostgreSQL server at this address?"}},
    {"08", {ErrorCode::network, Retry::again, "Check the network and the server."}},
    {"0A", {ErrorCode::unsupported, Retry::fatal, "This server cannot do that."}},
    {"21", {ErrorCode::invalid_argument, Retry::never, "The server does not take it as it is."}},
    {"22", {ErrorCode::invalid_argument, Retry::never, "The server does not take it as it is."}},
    {"23", {ErrorCode::invalid_argument, Retry::never, "A constraint of the table forbids it."}},
    {"25006",
     {ErrorCode::unsupported, Retry::fatal,
      "The server only reads (a standby?). Name the one that writes; with several hosts, "
      "?target_session_attrs=read-write finds it."}},
    {"25P02", {ErrorCode::unavailable, Retry::again, kLater}},
    {"25P03", {ErrorCode::network, Retry::again, kLater}},
    {"28", {ErrorCode::unauthorized, Retry::fatal, kCredentials}},
    {"3D000",
     {ErrorCode::not_found, Retry::fatal,
      "Check the database's name in the store's URL; createdb makes one."}},
    {"3F000",
     {ErrorCode::not_found, Retry::fatal,
      "Check ?schema= and search_path; CREATE SCHEMA makes one."}},
    {"40", {ErrorCode::unavailable, Retry::again, kLater}},
    {"42501",
     {ErrorCode::unauthorized, Retry::fatal,
      "GRANT the user what it lacks. To make tables it needs CREATE on the schema, which since "
      "PostgreSQL 15 not everybody has on \"public\"."}},
    {"42601", {ErrorCode::protocol, Retry::never, "This server speaks another SQL."}},
    {"42703", {ErrorCode::invalid_argument, Retry::fatal, kShape}},
    {"42804", {ErrorCode::invalid_argument, Retry::fatal, kShape}},
    {"42883", {ErrorCode::invalid_argument, Retry::fatal, kShape}},
    {"42P10", {ErrorCode::invalid_argument, Retry::fatal, kShape}},
    {"42P01", {ErrorCode::not_found, Retry::fatal, "The table does not exist (any more)."}},
    {"53100",
     {ErrorCode::no_space, Retry::fatal,
      "The server's disk is full: make room there, and resume."}},
    {"53200", {ErrorCode::unavailable, Retry::again, "The server has no memory left."}},
    {"53300",
     {ErrorCode::unavailable, Retry::again,
      "The server takes no more connections; use a smaller --concurrency."}},
    {"53", {ErrorCode::unavailable, Retry::again, kLater}},
    {"54", {ErrorCode::invalid_argument, Retry::never, "It is beyond the server's limits."}},
    {"55P03", {ErrorCode::unavailable, Retry::again, "Somebody else holds a lock."}},
    {"55006", {ErrorCode::unavailable, Retry::again, "Somebody else uses it."}},
    {"57014",
     {ErrorCode::timeout, Retry::again,
      "It took too long (statement_timeout?); a smaller batch may help."}},
    {"57P04", {ErrorCode::not_found, Retry::fatal, "The database has been dropped."}},
    {"57", {ErrorCode::unavailable, Retry::again, kLater}},
    {"58P01", {ErrorCode::corrupt, Retry::fatal, "The server misses a file of its own."}},
    {"58", {ErrorCode::unavailable, Retry::again, "The server has trouble with its disk."}},
    {"XX001", {ErrorCode::corrupt, Retry::fatal, "The server's data is damaged."}},
    {"XX002", {ErrorCode::corrupt, Retry::fatal, "An index of the server is damaged: REINDEX."}},
};
static_assert(std::ranges::all_of(kMeanings, [](const Entry& entry) {
  return entry.prefix.size() == 2 || entry.prefix.size() == 5;
}));

constexpr Meaning kBroken{ErrorCode::network, Retry::again, "Check the network and the server."};
constexpr Meaning kOther{ErrorCode::unavailable, Retry::never, "The server's log may say more."};

bool is_state_character(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z');
}

}  // namespace

Meaning meaning_of(std::string_view sqlstate) {
  if (sqlstate.empty()) return kBroken;
  const auto* const found = std::ranges::find_if(
      kMeanings, [&](const Entry& entry) { return sqlstate.starts_with(entry.prefix); });
  return found == std::end(kMeanings) ? kOther : found->meaning;
}

Error make_error(const ServerError& said, std::string_view where, std::string_view doing) {
  const Meaning meaning = meaning_of(said.sqlstate);
  std::string text = said.message;
  // The detail of a constraint is the row itself, which is nobody's to show.
  if (!said.detail.empty() && !said.sqlstate.starts_with("23")) {
    text += fmt::format(" ({})", said.detail);
  }
  if (said.sqlstate.empty()) {
    return Error{meaning.code, meaning.retry, std::nullopt,
                 fmt::format("the connection to {} broke while {}: {}. {}", where, doing, text,
                             meaning.advice)};
  }
  return Error{meaning.code, meaning.retry, std::nullopt,
               fmt::format("{} answered error {} while {}: \"{}\". {}", where, said.sqlstate, doing,
                           text, meaning.advice)};
}

std::string quoted(std::string_view text, std::string_view password) {
  std::string line(text.substr(0, 4 * kMostQuoted));
  // One character would tear the whole text apart, and is no secret.
  if (password.size() > 1) {
    for (auto at = line.find(password); at != std::string::npos; at = line.find(password, at)) {
      line.replace(at, password.size(), "***");
      at += 3;
    }
  }
  std::string out;
  for (const char c : line) {
    const bool blank = c == ' ' || c == '\n' || c == '\r' || c == '\t';
    if (!blank) out += c;
    if (blank && !out.empty() && out.back() != ' ') out += ' ';
  }
  while (!out.empty() && (out.back() == ' ' || out.back() == '.')) out.pop_back();
  return truncated_to_width(printable(out), kMostQuoted);
}

std::string_view sqlstate_in(std::string_view message) {
  // The word before it is in the server's language, but the spaces are not.
  constexpr std::string_view kBefore = ":  ";
  for (auto at = message.find(kBefore); at != std::string_view::npos;
       at = message.find(kBefore, at + 1)) {
    const std::string_view state = message.substr(at + kBefore.size(), 5);
    const std::string_view after = message.substr(std::min(message.size(), at + 8), 2);
    if (state.size() == 5 && after == ": " && std::ranges::all_of(state, is_state_character)) {
      return state;
    }
  }
  return {};
}

}  // namespace sluice::postgres
