#include "postgres/connection.h"

#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <thread>
#include <utility>

namespace sluice::postgres {

namespace {

constexpr int kBinary = 1;
// What libpq copies into its buffer at once.
constexpr std::size_t kCopyPiece = std::size_t{256} << 10;
// libpq's buffers grow to the largest message and never shrink: after one of this size a connection
// is not kept.
constexpr std::size_t kMostKept = std::size_t{16} << 20;

std::string field(const pg_result* result, int code) {
  const char* text = PQresultErrorField(result, code);
  return text != nullptr ? text : "";
}

}  // namespace

void Connection::Close::operator()(pg_conn* connection) const {
  PQfinish(connection);
}
void Connection::Clear::operator()(pg_result* result) const {
  PQclear(result);
}

Connection::Connection(const Target& target, Log& log, io::Stop& stop, io::Executor executor)
    : target_(target),
      log_(log),
      stop_(stop),
      executor_(executor),
      readiness_(executor),
      on_abandon_(stop, [this] { readiness_.interrupt(); }, io::Stop::Phase::abandoned) {}

Connection::~Connection() = default;

void Connection::begin(std::string doing, io::Clock::time_point until) {
  doing_ = std::move(doing);
  until_ = until;
  sqlstate_.clear();
  sent_ = false;
}

io::Task<Result<std::vector<Rows>>> Connection::run(std::vector<Statement> statements) {
  sqlstate_.clear();
  if (PQenterPipelineMode(handle_.get()) != 1) co_return std::unexpected(broken());
  for (const Statement& statement : statements) {
    std::vector<Oid> types;
    std::vector<const char*> values;
    std::vector<int> lengths;
    for (const Statement::Parameter& parameter : statement.parameters) {
      types.push_back(parameter.type);
      values.push_back(parameter.is_null ? nullptr : parameter.value.data());
      lengths.push_back(static_cast<int>(parameter.value.size()));
      traffic_.sent += parameter.value.size();
    }
    const std::vector<int> formats(types.size(), kBinary);
    traffic_.sent += statement.sql.size();
    for (const Statement::Parameter& parameter : statement.parameters) {
      largest_ = std::max(largest_, parameter.value.size());
    }
    if (PQsendQueryParams(handle_.get(), statement.sql.c_str(), static_cast<int>(types.size()),
                          types.data(), values.data(), lengths.data(), formats.data(),
                          kBinary) != 1) {
      co_return std::unexpected(broken());
    }
  }
  const std::size_t count = statements.size();
  statements.clear();  // libpq has its own copy
  sent_ = true;
  if (PQpipelineSync(handle_.get()) != 1) co_return std::unexpected(broken());
  if (auto sent = co_await flush(); !sent) co_return std::unexpected(std::move(sent.error()));

  std::vector<Rows> answers;
  std::optional<Error> error;
  for (std::size_t i = 0; i < count; ++i) {
    for (;;) {
      auto result = co_await next();
      if (!result) co_return std::unexpected(std::move(result.error()));
      if (!*result) break;
      if (keep(result->get())) {
        answers.emplace_back(result->release());
      } else if (!error) {  // those behind it are answered by "aborted"
        error = failed(result->get());
      }
      if (ended_) co_return std::unexpected(error ? std::move(*error) : broken());
    }
  }
  // The mark of the pipeline's end; the connection is of no more use without it.
  auto end = co_await next();
  if (!end) co_return std::unexpected(std::move(end.error()));
  const bool in_order = *end && PQresultStatus(end->get()) == PGRES_PIPELINE_SYNC &&
                        PQexitPipelineMode(handle_.get()) == 1;
  if (error) co_return std::unexpected(std::move(*error));
  if (!in_order || answers.size() != count) co_return std::unexpected(broken());
  co_return answers;
}

io::Task<Result<Rows>> Connection::run_one(Statement statement) {
  std::vector<Statement> statements;
  statements.push_back(std::move(statement));
  auto answers = co_await run(std::move(statements));
  if (!answers) co_return std::unexpected(std::move(answers.error()));
  co_return std::move(answers->front());
}

io::Task<Result<>> Connection::copy_in(std::string sql,
                                       std::function<std::string_view()> next_piece) {
  sqlstate_.clear();
  traffic_.sent += sql.size();
  sent_ = true;
  if (PQsendQuery(handle_.get(), sql.c_str()) != 1) co_return std::unexpected(broken());
  if (auto sent = co_await flush(); !sent) co_return sent;

  std::optional<Error> error;
  bool copied = false;
  for (;;) {
    auto result = co_await next();
    if (!result) co_return std::unexpected(std::move(result.error()));
    if (!*result) break;
    if (PQresultStatus(result->get()) == PGRES_COPY_IN && !copied) {
      copied = true;
      for (std::string_view piece = next_piece(); !piece.empty(); piece = next_piece()) {
        traffic_.sent += piece.size();
        while (!piece.empty()) {
          const std::string_view part = piece.substr(0, kCopyPiece);
          const int put = PQputCopyData(handle_.get(), part.data(), static_cast<int>(part.size()));
          if (put < 0) co_return std::unexpected(broken());
          if (put > 0) piece.remove_prefix(part.size());
          if (auto sent = co_await flush(); !sent) co_return sent;
        }
      }
      while (true) {
        const int put = PQputCopyEnd(handle_.get(), nullptr);
        if (put < 0) co_return std::unexpected(broken());
        if (auto sent = co_await flush(); !sent) co_return sent;
        if (put > 0) break;
      }
      continue;
    }
    if (!keep(result->get()) && !error) error = failed(result->get());
    if (ended_) break;
  }
  if (error) co_return std::unexpected(std::move(*error));
  if (ended_ || !copied) co_return std::unexpected(broken());
  co_return Result<>{};
}

bool Connection::reusable() {
  if (ended_ || PQstatus(handle_.get()) != CONNECTION_OK ||
      PQpipelineStatus(handle_.get()) != PQ_PIPELINE_OFF ||
      PQtransactionStatus(handle_.get()) != PQTRANS_IDLE || largest_ > kMostKept) {
    return false;
  }
  // Nothing is asked, so what has arrived is a notice, or more likely the server's farewell. There
  // is an end to what is looked at: no server talks without being asked for ever.
  for (int looks = 0; looks < 16; ++looks) {
    pollfd waiting{.fd = PQsocket(handle_.get()), .events = POLLIN, .revents = 0};
    if (poll(&waiting, 1, 0) == 0) return true;
    take_in();
    if (ended_) return false;
    // Takes notices out of libpq's buffer; notifications are for those who have asked for them.
    PQfreemem(PQnotifies(handle_.get()));
  }
  return false;
}

io::Task<Result<>> Connection::flush() {
  for (;;) {
    const int left = PQflush(handle_.get());
    if (left == 0) co_return Result<>{};
    if (left < 0 || PQsocket(handle_.get()) < 0) co_return std::unexpected(broken());
    // The server may stop reading until somebody takes what it says.
    Readiness::Wanted both{.read = true, .write = true};
    const Readiness::Wanted ready = co_await readiness_.wait(both, until_);
    if (!ready.read && !ready.write) co_return std::unexpected(timed_out());
    if (ready.read) take_in();
    // What the server has said before it left tells more than that it cannot be written to.
    if (ended_) co_return Result<>{};
  }
}

void Connection::take_in() {
  const bool alive = PQconsumeInput(handle_.get()) == 1;
  // libpq closes the socket when the server has left.
  if (!alive || PQsocket(handle_.get()) < 0) {
    readiness_.detach();
    ended_ = true;
  }
}

io::Task<Result<Connection::Answer>> Connection::next() {
  Readiness::Wanted reading{.read = true, .write = false};
  while (!ended_ && PQisBusy(handle_.get()) == 1) {
    const Readiness::Wanted ready = co_await readiness_.wait(reading, until_);
    if (!ready.read) co_return std::unexpected(timed_out());
    take_in();
  }
  Answer answer(PQgetResult(handle_.get()));
  if (PQstatus(handle_.get()) != CONNECTION_OK) {
    readiness_.detach();
    ended_ = true;
  }
  co_return answer;
}

// Whether it is an answer; counts it.
bool Connection::keep(const pg_result* result) {
  largest_ = std::max(largest_, PQresultMemorySize(result));
  const int rows = PQntuples(result);
  const int columns = PQnfields(result);
  for (int row = 0; row < rows; ++row) {
    for (int column = 0; column < columns; ++column) {
      traffic_.received += static_cast<std::uint64_t>(PQgetlength(result, row, column));
    }
  }
  const ExecStatusType status = PQresultStatus(result);
  return status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK || status == PGRES_EMPTY_QUERY;
}

Error Connection::failed(const pg_result* result) {
  const char* password = PQpass(handle_.get());
  const std::string_view secret = password != nullptr ? password : "";
  ServerError said{.sqlstate = field(result, PG_DIAG_SQLSTATE),
                   .message = quoted(field(result, PG_DIAG_MESSAGE_PRIMARY), secret),
                   .detail = quoted(field(result, PG_DIAG_MESSAGE_DETAIL), secret)};
  if (said.sqlstate.empty()) said.message = quoted(PQresultErrorMessage(result), secret);
  sqlstate_ = said.sqlstate;
  return make_error(said, target_.description, doing_);
}

Error Connection::broken() {
  readiness_.detach();
  ended_ = true;
  sqlstate_.clear();
  const char* password = PQpass(handle_.get());
  return make_error(
      {.sqlstate = {},
       .message = quoted(PQerrorMessage(handle_.get()), password != nullptr ? password : ""),
       .detail = {}},
      target_.description, doing_);
}

Error Connection::timed_out() {
  readiness_.detach();
  ended_ = true;
  sqlstate_.clear();
  // So that the server gives up, too, and lets go of its locks. libpq can do this only by blocking,
  // for as long as the network pleases, so nobody waits for it: the thread owns all that it uses.
  if (PGcancel* cancel = PQgetCancel(handle_.get()); cancel != nullptr) {
    std::thread([cancel] {
      char ignored[256];
      PQcancel(cancel, ignored, sizeof ignored);
      PQfreeCancel(cancel);
    }).detach();
  }
  if (stop_.abandoned()) return stop_.given_up(target_.description);
  return Error{ErrorCode::timeout, Retry::again, std::nullopt,
               fmt::format("{} did not answer in time while {}. Allow more with --timeout, or try "
                           "again later.",
                           target_.description, doing_)};
}

void Connection::on_notice(void* log, const pg_result* notice) {
  const std::string severity = field(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
  const std::string message = quoted(field(notice, PG_DIAG_MESSAGE_PRIMARY), {});
  static_cast<Log*>(log)->debug("PostgreSQL {}: {}", severity, message);
}

}  // namespace sluice::postgres
