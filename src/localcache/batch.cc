#include <algorithm>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "localcache/change.h"
#include "localcache/look_up.h"

namespace sluice::localcache {

namespace {

Answer get_answer(OpenCache& open, std::string_view key) {
  Answer answer{.done = check_key(key)};
  if (!answer.done) return answer;
  auto entry = look_up(open, key, {});
  if (entry) {
    answer.entry = std::move(*entry);
    answer.found = answer.entry.has_value();
  } else {
    answer.done = std::unexpected(std::move(entry.error()));
  }
  return answer;
}

// Without a transaction that writes.
Result<> get_many(OpenCache& open, std::span<const Operation> operations,
                  const Cache::TakeAnswer& take) {
  std::optional<sqlite::Snapshot> snapshot;
  for (const Operation& operation : operations) {
    if (open.database != nullptr && !snapshot) {
      auto begun = sqlite::Snapshot::begin(*open.database);
      if (!begun) return std::unexpected(open.explain(begun.error()));
      snapshot.emplace(std::move(*begun));
    }
    Answer answer = get_answer(open, operation.key);
    if (!answer.done && answer.done.error().code == ErrorCode::corrupt) {
      // A writer may have deleted the file of a value that is replaced by now.
      snapshot.reset();
      answer = get_answer(open, operation.key);
    }
    if (auto taken = take(std::move(answer)); !taken) return taken;
  }
  return {};
}

class Batch {
 public:
  Batch(OpenCache& open, std::span<const Operation> operations, const Cache::TakeAnswer& take)
      : open_(open),
        operations_(operations),
        take_(take),
        large_(operations.size()),
        checked_(operations.size()) {}

  Result<> run() {
    const auto totals = open_.totals();
    if (!totals) return std::unexpected(open_.explain(totals.error()));
    if (auto ready = prepare_large(totals->limits); !ready) return ready;
    return in_steps(open_, [&](Change& change) -> Result<bool> {
      const std::size_t sets = operations_.size();
      if (auto folded = change.fold(kMostFolded + sets, kFoldPlaces + sets); !folded) {
        return std::unexpected(folded.error());
      }
      for (std::size_t i = 0; i < operations_.size(); ++i) {
        auto answer = step(change, i);
        if (!answer) return std::unexpected(answer.error());
        if (auto taken = take_(std::move(*answer)); !taken) return std::unexpected(taken.error());
      }
      return true;
    });
  }

 private:
  // Files take long to write, and others wait for a transaction.
  Result<> prepare_large(const Limits& limits) {
    for (std::size_t i = 0; i < operations_.size(); ++i) {
      const Operation& operation = operations_[i];
      Result<>& done = checked_[i];
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

  // An error ends all; what concerns this step alone is in its answer.
  Result<Answer> step(Change& change, std::size_t i) {
    const Operation& operation = operations_[i];
    if (operation.kind == Operation::Kind::get) return get_answer(open_, operation.key);
    if (operation.kind == Operation::Kind::set) return set(change, i);
    Answer answer{.done = std::move(checked_[i])};
    if (!answer.done) return answer;
    const auto erased = change.erase(operation.key);
    if (!erased) return std::unexpected(erased.error());
    answer.found = *erased;
    return answer;
  }

  Result<Answer> set(Change& change, std::size_t i) {
    Answer answer{.done = std::move(checked_[i])};
    if (answer.done) answer.done = store(change, i);
    if (answer.done || answer.done.error().code == ErrorCode::invalid_argument) return answer;
    if (answer.done.error().code != ErrorCode::too_large) {
      return std::unexpected(std::move(answer.done.error()));
    }
    auto erased = change.erase(operations_[i].key);
    if (!erased) return std::unexpected(erased.error());
    answer.done = std::unexpected(refused(std::move(answer.done.error()), std::move(erased)));
    return answer;
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
  const Cache::TakeAnswer& take_;
  std::vector<std::optional<PreparedValue>> large_;  // by step
  std::vector<Result<>> checked_;                    // by step
};

}  // namespace

Result<std::vector<Answer>> Cache::batch(std::span<const Operation> operations) {
  std::vector<Answer> answers;
  answers.reserve(operations.size());
  auto done = batch(operations, [&](Answer answer) -> Result<> {
    answers.push_back(std::move(answer));
    return {};
  });
  if (!done) return std::unexpected(done.error());
  return answers;
}

Result<> Cache::batch(std::span<const Operation> operations, const TakeAnswer& take) {
  OpenCache& open = *state_->open;
  const Timer timer(open, Timed::batch);
  const auto is_get = [](const Operation& operation) {
    return operation.kind == Operation::Kind::get;
  };
  if (std::ranges::all_of(operations, is_get)) return get_many(open, operations, take);
  if (auto checked = check_writable(open); !checked) return checked;
  return Batch(open, operations, take).run();
}

}  // namespace sluice::localcache
