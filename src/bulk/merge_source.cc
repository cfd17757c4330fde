#include "bulk/merge_source.h"

#include <algorithm>
#include <boost/json.hpp>
#include <utility>

#include "bulk/value_hashes.h"
#include "store/limits.h"

namespace sluice::bulk {

namespace {

// A page ends after so many entries to be written, so many bytes of them, or so many entries looked
// at: then the position moves on, and what has been found is worked on.
constexpr std::size_t kMostEntries = 1000;
constexpr std::size_t kMostBytes = std::size_t{2} << 20;
constexpr std::size_t kMostSteps = 10'000;
constexpr std::int64_t kWritingSeconds = 15;

// Digits beyond a double's precision are lost in parsing: such numbers cannot be told apart.
bool holds_double(const boost::json::value& value) {
  if (value.is_double()) return true;
  if (value.is_array()) return std::ranges::any_of(value.get_array(), holds_double);
  return value.is_object() && std::ranges::any_of(value.get_object(), [](const auto& field) {
           return holds_double(field.value());
         });
}

}  // namespace

bool same_metadata(std::string_view one, std::string_view other) {
  if (one == other) return true;
  boost::system::error_code error;
  const boost::json::value first = boost::json::parse(one, error);
  if (error) return false;
  const boost::json::value second = boost::json::parse(other, error);
  return !error && first == second && !holds_double(first);
}

MergeSource::MergeSource(Job& job, Options options, const Position& start)
    : job_(job), options_(std::move(options)), found_(start.found), end_(start.end) {
  const auto add = [&](const Position::OfPiece& from, const Position::OfPiece& to) {
    merges_.push_back(
        Merge{.from = OrderedEntries(job.executor, options_.from, from.piece, from.place,
                                     from.through, options_.listed_values),
              .to = OrderedEntries(job.executor, options_.to, to.piece, to.place, to.through,
                                   options_.listed_values),
              .through = from.through});
  };
  for (std::size_t i = 0; i + 1 < start.pieces.size(); i += 2) {
    add(start.pieces[i], start.pieces[i + 1]);
  }
  if (merges_.empty()) {
    for (const Piece& piece : options_.pieces) {
      add({.piece = piece, .place = {}}, {.piece = piece, .place = {}});
    }
  }
  turn_ = std::min<std::size_t>(start.turn, merges_.size() - 1);
}

bool MergeSource::selected(const store::EntryView& entry) const {
  return (!options_.keys || options_.keys->contains(entry.key)) &&
         options_.filter.matches(entry.key, entry.metadata);
}

io::Task<Result<SourcePage>> MergeSource::next() {
  if (!std::exchange(begun_, true) && !end_) {
    for (Merge& merge : merges_) {
      merge.from.fetch_ahead();
      merge.to.fetch_ahead();
    }
  }
  if (options_.limit == 0) end_ = true;
  Draft draft;
  if (!end_) {
    Merge& merge = merges_[turn_];
    auto drafted = co_await this->draft(merge, draft);
    if (drafted && !draft.candidates.empty()) drafted = co_await compare_values(draft);
    if (!drafted) {
      end_ = true;
      co_return std::unexpected(drafted.error());
    }
    if (options_.limit) *options_.limit -= draft.page.entries.size();
    end_ = options_.limit == 0 || std::ranges::all_of(merges_, &Merge::at_end);
    for (std::size_t tries = 0; !end_ && tries < merges_.size(); ++tries) {
      turn_ = (turn_ + 1) % merges_.size();
      if (!merges_[turn_].at_end()) break;
    }
  }
  draft.page.after = position();
  co_return std::move(draft.page);
}

io::Task<Result<>> MergeSource::draft(Merge& merge, Draft& draft) {
  const std::size_t most = static_cast<std::size_t>(
      std::min<std::uint64_t>(kMostEntries, options_.limit.value_or(kMostEntries)));
  while (draft.page.entries.size() < most && draft.steps < kMostSteps &&
         draft.page.entries.bytes() < kMostBytes) {
    if (!merge.ready()) {
      if (auto filled = co_await merge.from.fill(); !filled) co_return filled;
      if (auto filled = co_await merge.to.fill(); !filled) co_return filled;
    }
    if (merge.at_end()) break;
    if (auto stepped = step(merge, draft); !stepped) co_return stepped;
  }
  // Whether this was the end has to be known before the position is told.
  if (auto filled = co_await merge.from.fill(); !filled) co_return filled;
  co_return co_await merge.to.fill();
}

// Takes the least key of both sides.
Result<> MergeSource::step(Merge& merge, Draft& draft) {
  ++draft.steps;
  const bool take_from =
      merge.from.has() && (!merge.to.has() || merge.from.current().key <= merge.to.current().key);
  const bool take_to =
      merge.to.has() && (!merge.from.has() || merge.to.current().key <= merge.from.current().key);
  merge.through = take_from ? merge.from.current().key : merge.to.current().key;
  draft.page.listed += (take_from ? 1u : 0u) + (take_to ? 1u : 0u);
  saw_source_ = saw_source_ || take_from;
  if (take_from && selected(merge.from.current())) {
    if (expires_too_soon(merge.from.current())) {
      ++found_.expiring;
    } else if (take_to) {
      compare(merge.from.current(), merge.to.current(), draft);
    } else {
      ++found_.missing;
      draft.page.entries.append(merge.from.current());
    }
  } else if (!take_from && selected(merge.to.current())) {
    ++found_.extra;
    if (options_.extra != nullptr) {
      if (auto told = options_.extra->append(merge.to.current().key); !told) return told;
    }
  }
  if (take_from) merge.from.pop();
  if (take_to) merge.to.pop();
  return {};
}

// By the time that it is written, it may be a little later than now.
bool MergeSource::expires_too_soon(const store::EntryView& entry) const {
  const std::int64_t least = options_.to_least_ttl;
  return least > 0 && entry.expiration != 0 &&
         entry.expiration < store::unix_now() + least + kWritingSeconds;
}

void MergeSource::compare(const store::EntryView& from, const store::EntryView& to, Draft& draft) {
  const bool same = from.expiration == to.expiration && same_metadata(from.metadata, to.metadata) &&
                    (!options_.listed_values || from.value == to.value);
  if (same && !options_.fetched_values) {
    ++found_.equal;
    return;
  }
  if (same) {
    draft.candidates.push_back(draft.page.entries.size());
  } else {
    ++found_.different;
  }
  draft.page.entries.append(from);
}

// Fetches both values of the candidates and takes those out of the page that are equal.
io::Task<Result<>> MergeSource::compare_values(Draft& draft) {
  store::Block candidates;
  for (const std::size_t place : draft.candidates) {
    candidates.append_in_place(draft.page.entries[place]);
  }
  store::Store& from = options_.from_values != nullptr ? *options_.from_values : options_.from;
  store::Store& to = options_.to_values != nullptr ? *options_.to_values : options_.to;
  auto reading = io::start(job_.executor, hash_values(job_, from, candidates, options_.exact));
  auto there = co_await hash_values(job_, to, candidates, options_.exact);
  auto here = co_await reading.get();
  if (!here) co_return std::unexpected(here.error());
  if (!there) co_return std::unexpected(there.error());
  std::size_t next = 0;
  std::size_t place = 0;
  draft.page.entries.retain([&](const store::EntryView&) {
    if (next == draft.candidates.size() || draft.candidates[next] != place++) return true;
    const bool equal = (*here)[next].has_value() && (*here)[next] == (*there)[next];
    ++(equal ? found_.equal : found_.different);
    ++next;
    return !equal;
  });
  co_return Result<>();
}

Position MergeSource::position() const {
  Position position;
  position.end = end_;
  position.turn = turn_;
  position.found = found_;
  for (const Merge& merge : merges_) {
    position.pieces.push_back(
        {.piece = merge.from.piece(), .place = merge.from.place(), .through = merge.through});
    position.pieces.push_back(
        {.piece = merge.to.piece(), .place = merge.to.place(), .through = merge.through});
  }
  return position;
}

io::Task<> MergeSource::close() {
  for (Merge& merge : merges_) {
    co_await merge.from.close();
    co_await merge.to.close();
  }
}

}  // namespace sluice::bulk
