#include "bulk/job_record.h"

#include <boost/json.hpp>
#include <utility>

#include "base/base64.h"

namespace sluice::bulk {

namespace json = boost::json;

namespace {

// Keys and cursors may hold any bytes; JSON text may not.
std::string armoured(std::string_view bytes) {
  std::string text;
  append_base64(text, bytes);
  return text;
}

std::string text_of(const json::object& object, std::string_view field) {
  const json::value* value = object.if_contains(field);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

std::string bytes_of(const json::object& object, std::string_view field) {
  return decode_base64(text_of(object, field)).value_or(std::string());
}

std::string bytes_of(const json::value& value) {
  if (!value.is_string()) return {};
  return decode_base64(value.get_string()).value_or(std::string());
}

std::uint64_t number_of(const json::object& object, std::string_view field) {
  const json::value* value = object.if_contains(field);
  if (value == nullptr) return 0;
  if (value->is_uint64()) return value->get_uint64();
  return value->is_int64() ? static_cast<std::uint64_t>(value->get_int64()) : 0;
}

bool flag_of(const json::object& object, std::string_view field) {
  const json::value* value = object.if_contains(field);
  return value != nullptr && value->is_bool() && value->get_bool();
}

void put_place(const ListingPlace& place, json::object& into) {
  into["cursor"] = armoured(place.cursor);
  into["last_key"] = armoured(place.last_key);
  into["end"] = place.end;
}

ListingPlace place_of(const json::object& object) {
  return {.cursor = bytes_of(object, "cursor"),
          .last_key = bytes_of(object, "last_key"),
          .end = flag_of(object, "end")};
}

Checkpoint checkpoint_of(const json::object& record) {
  Checkpoint checkpoint;
  checkpoint.position.listing = place_of(record);
  checkpoint.position.offset = number_of(record, "offset");
  checkpoint.position.end = flag_of(record, "end");
  checkpoint.position.turn = number_of(record, "turn");
  if (const json::value* pieces = record.if_contains("pieces");
      pieces != nullptr && pieces->is_array()) {
    for (const json::value& each : pieces->get_array()) {
      if (!each.is_object()) continue;
      const json::object& piece = each.get_object();
      checkpoint.position.pieces.push_back({.piece = {.prefix = bytes_of(piece, "prefix"),
                                                      .after = bytes_of(piece, "after"),
                                                      .until = bytes_of(piece, "until")},
                                            .place = place_of(piece),
                                            .through = bytes_of(piece, "through")});
    }
  }
  if (const json::value* found = record.if_contains("found");
      found != nullptr && found->is_object()) {
    const json::object& counts = found->get_object();
    checkpoint.position.found = {.missing = number_of(counts, "missing"),
                                 .different = number_of(counts, "different"),
                                 .equal = number_of(counts, "equal"),
                                 .extra = number_of(counts, "extra"),
                                 .expiring = number_of(counts, "expiring")};
  }
  if (const json::value* ahead = record.if_contains("ahead");
      ahead != nullptr && ahead->is_array()) {
    const json::array& places = ahead->get_array();
    for (std::size_t i = 0; i + 1 < places.size(); i += 2) {
      checkpoint.position.ahead.add({bytes_of(places[i]), bytes_of(places[i + 1])});
    }
  }
  checkpoint.counts = {.listed = number_of(record, "listed"),
                       .selected = number_of(record, "selected"),
                       .done = number_of(record, "done"),
                       .failed = number_of(record, "failed"),
                       .skipped = number_of(record, "skipped")};
  checkpoint.output_bytes = number_of(record, "output_bytes");
  checkpoint.failure_bytes = number_of(record, "failure_bytes");
  checkpoint.spooled = flag_of(record, "spooled");
  return checkpoint;
}

}  // namespace

std::string_view name(JobState state) {
  switch (state) {
    case JobState::running:
      return "running";
    case JobState::unfinished:
      return "unfinished";
    case JobState::finished:
      return "finished";
    case JobState::failed:
      return "failed";
  }
  return "unknown";
}

std::string header_record(const JobHeader& header) {
  json::array words;
  for (const std::string& word : header.words) words.emplace_back(armoured(word));
  return json::serialize(json::object{{"id", header.id},
                                      {"command", header.command},
                                      {"words", std::move(words)},
                                      {"folder", armoured(header.folder)},
                                      {"output", armoured(header.output)},
                                      {"identity", armoured(header.identity)},
                                      {"format", header.format},
                                      {"created", header.created},
                                      {"created_nanoseconds", header.created_nanoseconds}});
}

std::string checkpoint_record(const Checkpoint& checkpoint, bool synced) {
  static const std::string boot = io::boot_id();
  const Position& position = checkpoint.position;
  json::object record{{"record", "checkpoint"},
                      {"offset", position.offset},
                      {"listed", checkpoint.counts.listed},
                      {"selected", checkpoint.counts.selected},
                      {"done", checkpoint.counts.done},
                      {"failed", checkpoint.counts.failed},
                      {"skipped", checkpoint.counts.skipped},
                      {"output_bytes", checkpoint.output_bytes},
                      {"failure_bytes", checkpoint.failure_bytes},
                      {"spooled", checkpoint.spooled},
                      {"synced", synced},
                      {"boot", boot}};
  put_place(position.listing, record);
  record["end"] = position.end;
  if (!position.pieces.empty()) {
    json::array pieces;
    for (const Position::OfPiece& each : position.pieces) {
      json::object piece{{"prefix", armoured(each.piece.prefix)},
                         {"after", armoured(each.piece.after)},
                         {"until", armoured(each.piece.until)},
                         {"through", armoured(each.through)}};
      put_place(each.place, piece);
      pieces.push_back(std::move(piece));
    }
    record["pieces"] = std::move(pieces);
    record["turn"] = position.turn;
  }
  if (!position.ahead.empty()) {
    json::array places;  // where each stretch begins and ends, by turns
    for (const auto& [from, to] : position.ahead) {
      places.emplace_back(armoured(from));
      places.emplace_back(armoured(to));
    }
    record["ahead"] = std::move(places);
  }
  if (position.found != MergeFindings{}) {
    record["found"] = json::object{{"missing", position.found.missing},
                                   {"different", position.found.different},
                                   {"equal", position.found.equal},
                                   {"extra", position.found.extra},
                                   {"expiring", position.found.expiring}};
  }
  return json::serialize(record);
}

std::string end_record(JobState state, std::string_view reason) {
  return json::serialize(
      json::object{{"record", "end"}, {"state", name(state)}, {"reason", armoured(reason)}});
}

void SummaryReader::read(std::string_view text) {
  boost::system::error_code error;
  const json::value value = json::parse(text, error);
  if (error || !value.is_object()) return;
  const json::object& record = value.get_object();
  if (first_) {
    first_ = false;
    summary_.header = {
        .id = text_of(record, "id"),
        .command = text_of(record, "command"),
        .words = {},
        .folder = bytes_of(record, "folder"),
        .output = bytes_of(record, "output"),
        .identity = bytes_of(record, "identity"),
        .format = text_of(record, "format"),
        .created = static_cast<std::int64_t>(number_of(record, "created")),
        .created_nanoseconds = static_cast<std::int64_t>(number_of(record, "created_nanoseconds"))};
    if (const json::value* words = record.if_contains("words");
        words != nullptr && words->is_array()) {
      for (const json::value& word : words->get_array()) {
        if (!word.is_string()) continue;
        summary_.header.words.push_back(decode_base64(word.get_string()).value_or(std::string()));
      }
    }
  } else if (const std::string kind = text_of(record, "record"); kind == "checkpoint") {
    if (flag_of(record, "synced") || text_of(record, "boot") == boot_) {
      summary_.checkpoint = checkpoint_of(record);
      has_checkpoint_ = true;
    }
    summary_.state = JobState::unfinished;
    summary_.reason.clear();
  } else if (kind == "end") {
    const std::string state = text_of(record, "state");
    summary_.state = state == "finished" ? JobState::finished
                     : state == "failed" ? JobState::failed
                                         : JobState::unfinished;
    summary_.reason = bytes_of(record, "reason");
  }
}

}  // namespace sluice::bulk
