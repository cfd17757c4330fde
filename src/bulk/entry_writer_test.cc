#include "bulk/entry_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <boost/json.hpp>
#include <string>
#include <vector>

#include "base/json_text.h"
#include "base/utf8.h"
#include "bulk/entry_reader.h"
#include "bulk/json_walk.h"

namespace sluice::bulk {
namespace {

using store::EntryView;
using store::Presence;

struct OwnedEntry {
  std::string key;
  std::string value;
  std::string metadata;
  std::int64_t expiration = 0;

  [[nodiscard]] EntryView view() const {
    return {key, value, metadata, expiration, Presence::present};
  }
  friend bool operator==(const OwnedEntry&, const OwnedEntry&) = default;
  friend std::ostream& operator<<(std::ostream& out, const OwnedEntry& entry) {
    return out << fmt::format("{{{}, {}, {}, {}}}", printable(entry.key), printable(entry.value),
                              printable(entry.metadata), entry.expiration);
  }
};

std::string written(const std::vector<OwnedEntry>& entries, EntryWriter::Options options) {
  EntryWriter writer(options);
  std::string out;
  writer.begin(out);
  for (const OwnedEntry& entry : entries) writer.append(entry.view(), out);
  writer.end(out);
  return out;
}

const OwnedEntry kText{"a\"b", "line\nnext", R"({"t": [1]})", 1'900'000'000};
const OwnedEntry kBinary{"b", "\xff\x01", "", 0};

TEST(EntryWriter, Ndjson) {
  EXPECT_EQ(written({kText, kBinary}, {.format = Format::ndjson}),
            "{\"key\":\"a\\\"b\",\"value\":\"line\\nnext\",\"metadata\":{\"t\": [1]},"
            "\"expiration\":1900000000}\n"
            "{\"key\":\"b\",\"value\":\"/wE=\",\"base64\":true}\n");
  EXPECT_EQ(written({kText}, {.format = Format::ndjson, .metadata = false}),
            "{\"key\":\"a\\\"b\",\"value\":\"line\\nnext\",\"expiration\":1900000000}\n");
  EXPECT_EQ(written({}, {.format = Format::ndjson}), "");
}

TEST(EntryWriter, ListedEntriesHaveNoValue) {
  EntryWriter writer({.format = Format::ndjson});
  std::string out;
  writer.append({"k", "", "[]", 0, Presence::listed}, out);
  EXPECT_EQ(out, "{\"key\":\"k\",\"metadata\":[]}\n");
}

TEST(EntryWriter, MetadataCannotBreakALine) {
  EXPECT_EQ(written({{"k", "", "{\n\r\"a\\n\":1\n}", 0}}, {.format = Format::ndjson}),
            "{\"key\":\"k\",\"value\":\"\",\"metadata\":{  \"a\\n\":1 }}\n");
}

TEST(EntryWriter, KeysThatAreNotUtf8) {
  EXPECT_EQ(written({{"\xff", "v", "", 0}}, {.format = Format::ndjson}),
            "{\"key\":\"/w==\",\"key_base64\":true,\"value\":\"v\"}\n");
}

TEST(EntryWriter, JsonIsOneArray) {
  EXPECT_EQ(written({}, {.format = Format::json}), "[\n]\n");
  EXPECT_EQ(written({kBinary}, {.format = Format::json}),
            "[\n{\"key\":\"b\",\"value\":\"/wE=\",\"base64\":true}\n]\n");
  EXPECT_EQ(written({{"a", "", "", 0}, {"b", "", "", 0}}, {.format = Format::json}),
            "[\n{\"key\":\"a\",\"value\":\"\"},\n{\"key\":\"b\",\"value\":\"\"}\n]\n");
}

TEST(EntryWriter, Csv) {
  EXPECT_EQ(written({kText, kBinary, {"a,b", "c\rd", "", 0}}, {.format = Format::csv}),
            "key,value,base64,metadata,expiration\r\n"
            "\"a\"\"b\",\"line\nnext\",,\"{\"\"t\"\": [1]}\",1900000000\r\n"
            "b,/wE=,true,,\r\n"
            "\"a,b\",\"c\rd\",,,\r\n");
  EXPECT_EQ(written({kText}, {.format = Format::csv, .values = false}),
            "key,metadata,expiration\r\n\"a\"\"b\",\"{\"\"t\"\": [1]}\",1900000000\r\n");
  EXPECT_EQ(written({kText}, {.format = Format::csv, .values = false, .metadata = false}),
            "key,expiration\r\n\"a\"\"b\",1900000000\r\n");
}

TEST(EntryWriter, Keys) {
  EXPECT_EQ(written({kBinary, {"{user}:1", "", "", 0}, {"a\nb", "", "", 0}, {"{user}", "", "", 0}},
                    {.format = Format::keys}),
            "b\n{user}:1\n{\"key\":\"a\\nb\"}\n{\"key\":\"{user}\"}\n");
  EXPECT_EQ(
      written({{"a\nb", "", "", 0}, {"c\r", "", "", 0}}, {.format = Format::keys, .nul = true}),
      std::string("a\nb\0c\r\0", 7));
}

TEST(EntryWriter, ContinuesAnOutput) {
  const std::vector<OwnedEntry> all = {kText, kBinary, {"c", "d", "", 0}};
  for (const Format format : {Format::ndjson, Format::json, Format::csv, Format::keys}) {
    for (std::size_t before = 0; before <= all.size(); ++before) {
      EntryWriter first({.format = format});
      std::string out;
      first.begin(out);
      for (std::size_t i = 0; i != before; ++i) first.append(all[i].view(), out);
      if (before == 0) out.clear();  // as the caller does who has no entry in the journal
      EntryWriter second({.format = format, .entries_before = before});
      second.begin(out);
      for (std::size_t i = before; i != all.size(); ++i) second.append(all[i].view(), out);
      second.end(out);
      EXPECT_EQ(out, written(all, {.format = format})) << name(format) << " after " << before;
    }
  }
}

// Texts with a good share of what is special in some format.
rc::Gen<std::string> any_text() {
  return rc::gen::container<std::string>(rc::gen::weightedOneOf<char>(
      {{6, rc::gen::inRange('a', 'f')},
       {5, rc::gen::elementOf(std::string("\"\\,\r\n{}[]: \t\0\x7f", 13))},
       {2, rc::gen::arbitrary<char>()}}));
}

rc::Gen<std::string> any_metadata() {
  return rc::gen::exec([] {
    switch (*rc::gen::inRange(0, 7)) {
      case 0:
        return std::string();
      case 1:
        return std::string("{ \"a\" : [ 1e9 , -0.5 , null ] }");
      case 2:
        return std::string("true");
      case 3:
        return std::string("-12.50E+3");
      case 4:
        return std::string("{\n\"deep\":[[[{}]]]}");
      default: {
        std::string text = "{\"n\":";
        const std::string inner = *any_text();
        append_json_string(text, is_utf8(inner) ? inner : "not text");
        return text + "}";
      }
    }
  });
}

rc::Gen<OwnedEntry> any_entry() {
  return rc::gen::build<OwnedEntry>(
      rc::gen::set(&OwnedEntry::key, rc::gen::nonEmpty(any_text())),
      rc::gen::set(&OwnedEntry::value, any_text()),
      rc::gen::set(&OwnedEntry::metadata, any_metadata()),
      rc::gen::set(&OwnedEntry::expiration,
                   rc::gen::weightedOneOf<std::int64_t>(
                       {{1, rc::gen::just<std::int64_t>(0)},
                        {1, rc::gen::inRange<std::int64_t>(1, 253'402'300'800)}})));
}

struct ReadBack {
  std::vector<OwnedEntry> entries;
  std::vector<std::uint64_t> ends;
};

// Reads `text` in pieces whose sizes are chosen at random, from `from` on.
ReadBack read_back(EntryReader& reader, std::string_view text, std::size_t from = 0) {
  Records records;
  while (from != text.size()) {
    const auto size =
        *rc::gen::inRange<std::size_t>(1, std::min<std::size_t>(text.size() - from, 200) + 1);
    const std::string chunk(text.substr(from, size));
    Result<> fed = reader.feed(chunk, records);
    if (!fed) RC_FAIL(fed.error().message);
    from += size;
  }
  Result<> ended = reader.finish(records);
  if (!ended) RC_FAIL(ended.error().message);
  for (const BadRecord& bad : records.bad) RC_FAIL(describe(bad));
  ReadBack out;
  for (const EntryView& entry : records.entries) {
    out.entries.push_back({std::string(entry.key), std::string(entry.value),
                           std::string(entry.metadata), entry.expiration});
  }
  out.ends = records.ends;
  return out;
}

void check_round_trip(Format format) {
  auto entries = *rc::gen::container<std::vector<OwnedEntry>>(any_entry());
  const std::string text = written(entries, {.format = format});
  // What a line of NDJSON cannot hold as it is (see entry_writer.h).
  if (format == Format::ndjson) {
    for (OwnedEntry& entry : entries)
      std::replace(entry.metadata.begin(), entry.metadata.end(), '\n', ' ');
  }
  auto reader = make_entry_reader(format, {});
  const ReadBack all = read_back(*reader, text);
  RC_ASSERT(all.entries == entries);

  // And go on behind any entry.
  if (entries.empty()) return;
  const auto done = *rc::gen::inRange<std::size_t>(0, entries.size());
  const std::uint64_t offset = all.ends[done];
  auto second = make_entry_reader(format, {});
  if (second->needs_header()) {
    Records passed;
    RC_ASSERT(second->feed(text.substr(0, offset), passed).has_value());
  }
  second->resume(offset, 1);
  const std::vector<OwnedEntry> rest(entries.begin() + static_cast<std::ptrdiff_t>(done) + 1,
                                     entries.end());
  RC_ASSERT(read_back(*second, text, offset).entries == rest);
}

RC_GTEST_PROP(RoundTrip, Ndjson, ()) {
  check_round_trip(Format::ndjson);
}
RC_GTEST_PROP(RoundTrip, JsonArray, ()) {
  check_round_trip(Format::json);
}
RC_GTEST_PROP(RoundTrip, Csv, ()) {
  check_round_trip(Format::csv);
}

RC_GTEST_PROP(RoundTrip, Keys, ()) {
  auto entries = *rc::gen::container<std::vector<OwnedEntry>>(any_entry());
  const bool nul = *rc::gen::arbitrary<bool>();
  const std::string text = written(entries, {.format = Format::keys, .nul = nul});
  auto reader = make_keys_reader(nul, {});
  const ReadBack back = read_back(*reader, text);
  for (OwnedEntry& entry : entries) entry = {entry.key, "", "", 0};
  RC_ASSERT(back.entries == entries);
}

// Our check of metadata against another parser's.
RC_GTEST_PROP(Metadata, IsJsonIfBoostSaysSo, ()) {
  const auto text = *rc::gen::container<std::string>(rc::gen::weightedOneOf<char>(
      {{8, rc::gen::elementOf(std::string("{}[]\":,0123456789.eE+-truefalsn\\u \n"))},
       {1, rc::gen::arbitrary<char>()}}));
  std::string wrapped = "{\"key\":\"k\",\"value\":\"v\",\"metadata\":[" + text + "]}\n";
  std::replace(wrapped.begin(), wrapped.end() - 1, '\n', ' ');
  boost::json::error_code error;
  boost::json::parse_options options;
  options.max_depth = static_cast<std::size_t>(kDeepestJson) + 10;
  boost::json::parse(wrapped, error, {}, options);
  auto reader = make_entry_reader(Format::ndjson, {});
  Records records;
  RC_ASSERT(reader->feed(wrapped, records).has_value());
  // A text such as `1],"key":"x","y":[2` is JSON but has fields twice.
  const std::string reason = records.bad.empty() ? "" : records.bad.front().reason;
  const bool is_json = reason.find("valid JSON") == std::string::npos &&
                       reason.find("not UTF-8") == std::string::npos;
  const bool surrogate = error == boost::json::error::illegal_leading_surrogate ||
                         error == boost::json::error::illegal_trailing_surrogate ||
                         error == boost::json::error::expected_utf16_escape;
  if (!surrogate) RC_ASSERT(is_json == !error);
}

}  // namespace
}  // namespace sluice::bulk
