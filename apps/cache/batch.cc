// sluice cache batch
#include "batch.h"

#include <unistd.h>

#include <algorithm>

#include "base/utf8.h"
#include "shared_commands.h"

namespace sluice::cache_cli {

namespace {

using localcache::Access;
using localcache::Answer;
using localcache::Cache;
using localcache::Operation;

// What shares a transaction. Larger ones are no faster, and other writers wait for their end.
constexpr std::size_t kMostOperations = 10'000;
constexpr std::size_t kMostBytes = 32'000'000;

// Runs the operations in transactions.
class Batch {
 public:
  Batch(Session& session, BatchFormat& format) : session_(session), format_(format) {
    ttl_ = session.invocation().duration("ttl");
    tags_ = session.invocation().values("tag");
  }

  int run() {
    end_at_deadline(session_);
    const Invocation& invocation = session_.invocation();
    if (invocation.on("interactive") && !invocation.on("yes") && !session_.dry_run()) {
      return session_.report({ErrorCode::invalid_argument, Retry::never, std::nullopt,
                              "--interactive cannot ask while the operations come from stdin. "
                              "Leave it out, or look with --dry-run first."});
    }
    if (is_typed_in()) {
      session_.messages().say(
          "type the operations, and end them with Ctrl-D (see `sluice help cache batch`)");
    }
    std::optional<Error> unreadable;
    for (bool more = true; more;) {
      auto operation = format_.next();
      if (!operation) unreadable = operation.error();
      more = operation && *operation;
      if (more) {
        bytes_ += (*operation)->key.size() + (*operation)->value.size();
        operations_.push_back(std::move(**operation));
      }
      if (!more || operations_.size() >= kMostOperations || bytes_ >= kMostBytes) {
        if (const auto done = run_portion(); !done) return session_.report(done.error());
      }
    }
    if (session_.dry_run()) session_.messages().say("nothing was changed");
    if (unreadable) return session_.report(*unreadable);
    if (failed_ == 0) return 0;
    session_.messages().error(
        fmt::format("{} of {} operations failed; their answers say why.", failed_, done_));
    return static_cast<int>(ExitCode::some_failed);
  }

 private:
  Result<> run_portion() {
    std::vector<Operation> steps;
    for (const BatchOperation& operation : operations_) {
      if (!takes_part(operation)) continue;
      steps.push_back({.kind = operation.kind,
                       .key = operation.key,
                       .value = operation.value,
                       .options = {.ttl = operation.ttl ? operation.ttl : ttl_,
                                   .tags = operation.tags.value_or(tags_)}});
    }
    // Nobody may see an answer before all is done.
    Spool answers(session_.spool_folders());
    auto next = operations_.begin();
    const auto answer_those_without = [&]() -> Result<> {
      for (; next != operations_.end() && !takes_part(*next); ++next) {
        Answer none;
        if (next->refused) none.done = std::unexpected(*next->refused);
        if (auto kept = append(answers, *next, none); !kept) return kept;
      }
      return {};
    };
    if (!steps.empty()) {
      const bool changes = std::ranges::any_of(
          steps, [](const Operation& step) { return step.kind != Operation::Kind::get; });
      if (auto opened = open(changes ? Access::write : Access::read); !opened) return opened;
      auto done = cache_->batch(steps, [&](Answer answer) -> Result<> {
        if (auto kept = answer_those_without(); !kept) return kept;
        return append(answers, *next++, answer);
      });
      if (!done) return done;
    }
    if (auto kept = answer_those_without(); !kept) return kept;
    done_ += operations_.size();
    operations_.clear();
    bytes_ = 0;
    return answers.each(write_output);
  }

  Result<> append(Spool& answers, const BatchOperation& operation, Answer& answer) {
    const auto good = format_.append(answers, operation, answer);
    if (!good) return std::unexpected(good.error());
    if (!*good) ++failed_;
    return {};
  }

  [[nodiscard]] bool takes_part(const BatchOperation& operation) const {
    if (operation.refused) return false;
    return operation.kind == Operation::Kind::get || !session_.dry_run();
  }

  Result<> open(Access access) {
    if (cache_ != nullptr && (access == Access::read || writes_)) return {};
    const auto cache = session_.open(access);
    if (!cache) return std::unexpected(cache.error());
    cache_ = *cache;
    writes_ = access == Access::write;
    return {};
  }

  Session& session_;
  BatchFormat& format_;
  std::optional<localcache::Milliseconds> ttl_;
  std::vector<std::string> tags_;
  Cache* cache_ = nullptr;
  bool writes_ = false;
  std::vector<BatchOperation> operations_;
  std::size_t bytes_ = 0;
  std::uint64_t done_ = 0;
  std::uint64_t failed_ = 0;
};

}  // namespace

Result<std::optional<std::string>> NulFormat::field() {
  const auto item = fields_.next();
  if (!item) return std::unexpected(item.error());
  if (!*item) return std::nullopt;
  if (!(*item)->ended) {
    return fail(ErrorCode::invalid_argument,
                "field {} of the batch does not end in NUL: the input may be cut off. What came "
                "before it was done.",
                fields_.count());
  }
  return std::string((*item)->text);
}

Result<std::string> NulFormat::field_of(std::string_view operation) {
  auto text = field();
  if (!text) return std::unexpected(text.error());
  if (!*text) {
    return fail(ErrorCode::invalid_argument,
                "the batch ends in the middle of its last operation ({}), which was not done.",
                operation);
  }
  return std::move(**text);
}

Result<std::optional<BatchOperation>> NulFormat::next() {
  const auto word = field();
  if (!word) return std::unexpected(word.error());
  if (!*word) return std::nullopt;
  BatchOperation operation;
  if (**word == "set") {
    operation.kind = Operation::Kind::set;
  } else if (**word == "get") {
    operation.kind = Operation::Kind::get;
  } else if (**word == "delete") {
    operation.kind = Operation::Kind::erase;
  } else {
    return fail(ErrorCode::invalid_argument,
                "field {} of the batch should be set, get or delete, not \"{}\". What came before "
                "it was done.",
                fields_.count(), truncated_to_width(printable(**word), 40));
  }
  auto key = field_of(**word);
  if (!key) return std::unexpected(key.error());
  operation.key = std::move(*key);
  if (operation.kind == Operation::Kind::set) {
    auto value = field_of(**word);
    if (!value) return std::unexpected(value.error());
    operation.value = std::move(*value);
  }
  return operation;
}

namespace {

// Appends a value that goes into a field. What it returns: why that could not be.
Result<std::optional<std::string>> append_value(Spool& out, localcache::Value& value) {
  for (;;) {
    const auto piece = value.next();
    if (!piece) return piece.error().message;
    if (piece->empty()) return std::nullopt;
    if (piece->find('\0') != std::string_view::npos) {
      return "the value holds a NUL: get it by `sluice cache get`, or without -0";
    }
    if (auto kept = out.append(*piece); !kept) return std::unexpected(kept.error());
  }
}

}  // namespace

Result<bool> NulFormat::append(Spool& out, const BatchOperation& operation, Answer& answer) {
  using namespace std::string_view_literals;
  const std::uint64_t begin = out.size();
  std::optional<std::string> failed;
  Result<> kept;
  if (!answer.done) {
    failed = answer.done.error().message;
  } else if (operation.kind != Operation::Kind::get) {
    kept = out.append("ok\0\0"sv);
  } else if (!answer.entry) {
    kept = out.append("miss\0\0"sv);
  } else {
    if (kept = out.append("hit\0"sv); !kept) return std::unexpected(kept.error());
    auto problem = append_value(out, answer.entry->value);
    if (!problem) return std::unexpected(problem.error());
    failed = std::move(*problem);
    if (!failed) kept = out.append("\0"sv);
  }
  if (failed) {
    out.truncate(begin);
    kept = out.append(fmt::format("error{}{}{}", '\0', *failed, '\0'));
  }
  if (!kept) return std::unexpected(kept.error());
  return !failed.has_value();
}

int run_batch(Session& session, BatchFormat& format) {
  return Batch(session, format).run();
}

}  // namespace sluice::cache_cli
