#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "localcache/change.h"
#include "localcache/look_up.h"

namespace sluice::localcache {

namespace {

class Batch {
 public:
  Batch(OpenCache& open, std::span<const Operation> operations)
      : open_(open),
        operations_(operations),
        large_(operations.size()),
        answers_(operations.size()) {}

  Result<std::vector<Answer>> run() {
    const auto totals = open_.totals();
    if (!totals) return std::unexpected(open_.explain(totals.error()));
    if (auto ready = prepare_large(totals->limits); !ready) return std::unexpected(ready.error());
    auto done = in_steps(open_, [&](Change& change) -> Result<bool> {
      const std::size_t sets = operations_.size();
      if (auto folded = change.fold(kMostFolded + sets, kFoldPlaces + sets); !folded) {
        return std::unexpected(folded.error());
      }
      for (std::size_t i = 0; i < operations_.size(); ++i) {
        if (auto stepped = step(change, i); !stepped) return std::unexpected(stepped.error());
      }
      return true;
    });
    if (!done) return std::unexpected(done.error());
    return std::move(answers_);
  }

 private:
  // Files take long to write, and others wait for a transaction.
  Result<> prepare_large(const Limits& limits) {
    for (std::size_t i = 0; i < operations_.size(); ++i) {
      const Operation& operation = operations_[i];
      Result<>& done = answers_[i].done;
      done = check_key(operation.key);
      if (operation.kind != Operation::Kind::set || !done) continue;
      done = check_options(operation.options);
      if (!done || operation.value.size() <= kLargestInline) continue;
      auto content = prepare(open_, operation.key, operation.value, limits);
      if (content && content->file) large_[i].emplace(std::move(*content));
      if (content) continue;
      if (content.error().code != ErrorCode::too_large) return std::unexpected(content.error());
      done = std::unexpected(std::move(content.error()));
    }
    return {};
  }

  // An error ends all; what concerns this step alone is its answer.
  Result<> step(Change& change, std::size_t i) {
    const Operation& operation = operations_[i];
    Answer& answer = answers_[i];
    if (operation.kind == Operation::Kind::set) {
      if (answer.done) answer.done = store(change, i);
      if (answer.done || answer.done.error().code == ErrorCode::invalid_argument) return {};
      if (answer.done.error().code != ErrorCode::too_large) return answer.done;
      auto erased = change.erase(operation.key);
      if (!erased) return std::unexpected(erased.error());
      answer.done = std::unexpected(refused(std::move(answer.done.error()), std::move(erased)));
      return {};
    }
    if (!answer.done) return {};
    if (operation.kind == Operation::Kind::erase) {
      const auto erased = change.erase(operation.key);
      if (!erased) return std::unexpected(erased.error());
      answer.found = *erased;
      return {};
    }
    auto entry = look_up(open_, operation.key, {});
    if (entry) {
      answer.entry = std::move(*entry);
      answer.found = answer.entry.has_value();
    } else {
      answer.done = std::unexpected(std::move(entry.error()));
    }
    return {};
  }

  Result<> store(Change& change, std::size_t i) {
    const Operation& operation = operations_[i];
    if (!large_[i]) {
      auto content = prepare(open_, operation.key, operation.value, change.totals().limits);
      if (!content) return std::unexpected(std::move(content.error()));
      large_[i].emplace(std::move(*content));
    }
    auto stored = change.set(operation.key, *large_[i], operation.options, SIZE_MAX);
    large_[i].reset();
    if (!stored) return std::unexpected(std::move(stored.error()));
    return {};
  }

  OpenCache& open_;
  std::span<const Operation> operations_;
  std::vector<std::optional<Content>> large_;  // by step
  std::vector<Answer> answers_;
};

}  // namespace

Result<std::vector<Answer>> Cache::batch(std::span<const Operation> operations) {
  OpenCache& open = *state_->open;
  const Timer timer(open, Timed::batch);
  if (auto checked = check_writable(open); !checked) return std::unexpected(checked.error());
  return Batch(open, operations).run();
}

}  // namespace sluice::localcache
