#include "bulk/csv_reader.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/text_distance.h"
#include "base/utf8.h"
#include "bulk/byte_order_mark.h"

namespace sluice::bulk {

namespace {

// In the order of CsvReader::Column.
constexpr std::array<std::string_view, 6> kColumns = {"key",      "value",      "base64",
                                                      "metadata", "expiration", "expiration_ttl"};

// More columns than any header that is of use: the bound of what is kept of a record.
constexpr std::size_t kMostFields = 1024;

std::string normalized(std::string_view name) {
  while (!name.empty() && name.front() == ' ') name.remove_prefix(1);
  while (!name.empty() && name.back() == ' ') name.remove_suffix(1);
  std::string lower(name);
  for (char& c : lower) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
  return lower;
}

// The bytes before the next comma, quote, CR or LF.
std::size_t plain_run(std::string_view text) {
  std::size_t at = 0;
  while (at != text.size() && text[at] != ',' && text[at] != '"' && text[at] != '\n' &&
         text[at] != '\r') {
    ++at;
  }
  return at;
}

}  // namespace

Result<> CsvReader::feed(std::string_view chunk, Records& out) {
  out.end = begin_;
  while (!chunk.empty()) {
    const char c = chunk.front();
    std::size_t taken = 1;
    bool record_ends = false;
    switch (state_) {
      case State::field:
        if (c == '"') {
          state_ = State::quoted;
        } else {
          state_ = State::plain;
          taken = 0;
        }
        break;
      case State::plain:
        if (c == ',') {
          end_field();
        } else if (c == '\n') {
          record_ends = true;
        } else if (c == '\r') {
          state_ = State::line_end;
        } else if (c == '"') {
          // A byte-order mark stands before the first quote of the file.
          if (offset_ == kByteOrderMark.size() && text_ == kByteOrderMark) {
            state_ = State::quoted;
          } else {
            spoil(
                "there is a quote in a field that does not begin with one; double it, and put the "
                "field in quotes");
          }
        } else {
          taken = plain_run(chunk);
          text_ += chunk.substr(0, taken);
        }
        break;
      case State::quoted: {
        if (c == '"') {
          state_ = State::quote;
          break;
        }
        taken = std::min(chunk.find('"'), chunk.size());
        const std::string_view run = chunk.substr(0, taken);
        line_ += static_cast<std::uint64_t>(std::count(run.begin(), run.end(), '\n'));
        text_ += run;
        break;
      }
      case State::quote:
        if (c == '"') {
          text_ += '"';
          state_ = State::quoted;
        } else if (c == ',') {
          end_field();
        } else if (c == '\n') {
          record_ends = true;
        } else if (c == '\r') {
          state_ = State::line_end;
        } else {
          spoil("something follows the quote that ends a field; a quote in a field is doubled");
        }
        break;
      case State::line_end:
        if (c == '\n') {
          record_ends = true;
        } else {
          taken = 0;
          spoil("there is a carriage return in a field without quotes");
        }
        break;
      case State::bad:
        if (c == '\n') {
          record_ends = true;
        } else {
          taken = std::min(chunk.find('\n'), chunk.size());
        }
        break;
    }
    offset_ += taken;
    chunk.remove_prefix(taken);
    if (text_.size() > longest_) {
      return fail(
          ErrorCode::invalid_argument,
          "line {}: the record is longer than {} bytes, the most that is accepted; is a quote "
          "missing?",
          begin_line_, longest_);
    }
    if (record_ends) {
      ++line_;
      if (Result<> ended = end_record(out); !ended) return ended;
    }
  }
  return {};
}

Result<> CsvReader::finish(Records& out) {
  out.end = begin_;
  if (state_ == State::quoted) {
    return fail(
        ErrorCode::invalid_argument,
        "line {}: the input ends within the quotes of a field; it is truncated, or a quote is "
        "missing. The records before this line are good.",
        begin_line_);
  }
  const bool something = begin_ != offset_;
  if (something && !columns_.empty() && state_ != State::bad && fields_ + 1 < columns_.size()) {
    return fail(ErrorCode::invalid_argument,
                "line {}: the input ends in a record with {} of {} fields; it is truncated. The "
                "records before this line are good.",
                begin_line_, fields_ + 1, columns_.size());
  }
  if (something) {
    if (Result<> ended = end_record(out); !ended) return ended;
  }
  if (columns_.empty()) {
    return fail(ErrorCode::invalid_argument,
                "the input has no CSV header; the first line names the columns, such as "
                "key,value,base64,metadata,expiration.");
  }
  return {};
}

void CsvReader::resume(std::uint64_t offset, std::uint64_t line) {
  offset_ = offset;
  line_ = line;
  begin_record();
}

void CsvReader::begin_record() {
  if (text_.capacity() > (std::size_t{1} << 20)) std::string().swap(text_);
  text_.clear();
  ends_.clear();
  fields_ = 0;
  state_ = State::field;
  begin_ = offset_;
  begin_line_ = line_;
}

void CsvReader::spoil(std::string_view reason) {
  reason_ = reason;
  state_ = State::bad;
}

void CsvReader::end_field() {
  ++fields_;
  if (ends_.size() < kMostFields) ends_.push_back(text_.size());
  state_ = State::field;
}

Result<> CsvReader::end_record(Records& out) {
  const bool spoilt = state_ == State::bad;
  end_field();
  if (columns_.empty()) {
    if (spoilt) {
      return fail(ErrorCode::invalid_argument, "line {}: the CSV header cannot be read: {}.",
                  begin_line_, reason_);
    }
    if (fields_ > 1 || !(text_.empty() || text_ == kByteOrderMark)) {
      if (Result<> read = items_ ? find_item_column() : read_header(); !read) return read;
      // Without a header, the first record is one.
      if (items_ && items_->column > 0) {
        if (!accept(out)) {
          out.bad.push_back({begin_line_, begin_, std::move(reason_)});
        } else {
          out.ends.push_back(offset_);
        }
      }
    }
  } else if (spoilt) {
    out.bad.push_back({begin_line_, begin_, std::move(reason_)});
  } else if (fields_ > 1 || !text_.empty()) {
    if (accept(out)) {
      out.ends.push_back(offset_);
    } else {
      out.bad.push_back({begin_line_, begin_, std::move(reason_)});
    }
  }
  out.end = offset_;
  begin_record();
  return {};
}

Result<> CsvReader::read_header() {
  std::string_view text = text_;
  std::size_t from = text.starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0;
  std::vector<Column> columns;
  for (const std::size_t end : ends_) {
    const std::string name = normalized(text.substr(from, end - from));
    from = end;
    const auto* const known = std::find(kColumns.begin(), kColumns.end(), name);
    if (known == kColumns.end()) {
      const bool separators = ends_.size() == 1 && name.find_first_of(";\t|") != std::string::npos;
      return fail(ErrorCode::invalid_argument,
                  "line {}: the CSV header names an unknown column \"{}\".{} The columns are {}{}.",
                  begin_line_, truncated_to_width(printable(name), 60),
                  did_you_mean(name, kColumns), fmt::join(kColumns, ", "),
                  separators ? ", separated by commas" : "");
    }
    const auto column = static_cast<Column>(known - kColumns.begin());
    if (std::find(columns.begin(), columns.end(), column) != columns.end()) {
      return fail(ErrorCode::invalid_argument,
                  "line {}: the CSV header names the column \"{}\" twice.", begin_line_, name);
    }
    columns.push_back(column);
  }
  for (const Column required : {Column::key, Column::value}) {
    if (std::find(columns.begin(), columns.end(), required) == columns.end()) {
      return fail(ErrorCode::invalid_argument,
                  "line {}: the CSV header has no column \"{}\"; the columns key and value are "
                  "required.",
                  begin_line_, kColumns[static_cast<std::size_t>(required)]);
    }
  }
  columns_ = std::move(columns);
  return {};
}

Result<> CsvReader::find_item_column() {
  const std::string_view text = text_;
  std::vector<std::string> header;
  std::size_t from = text.starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0;
  for (const std::size_t end : ends_) {
    header.push_back(normalized(text.substr(from, end - from)));
    from = end;
  }
  std::size_t found = header.size();
  if (items_->column > 0) {
    found = items_->column - 1;
    if (text.starts_with(kByteOrderMark)) {
      text_.erase(0, kByteOrderMark.size());
      for (std::size_t& end : ends_) end -= kByteOrderMark.size();
    }
  }
  for (const std::string& name : items_->names) {
    const auto place = std::find(header.begin(), header.end(), normalized(name));
    if (found == header.size()) found = static_cast<std::size_t>(place - header.begin());
  }
  if (found >= header.size()) {
    const std::string wanted = items_->column > 0
                                   ? fmt::format("number {}", items_->column)
                                   : fmt::format("\"{}\"", fmt::join(items_->names, "\" or \""));
    return fail(ErrorCode::invalid_argument,
                "line {}: there is no column {}; the columns are {}. Name one with --column.",
                begin_line_, printable(wanted),
                truncated_to_width(printable(fmt::format("{}", fmt::join(header, ", "))), 200));
  }
  columns_.assign(header.size(), Column::other);
  columns_[found] = Column::key;
  return {};
}

bool CsvReader::accept(Records& out) {
  if (fields_ != columns_.size()) {
    reason_ = fmt::format("the record has {} field{}, the header {}", fields_,
                          fields_ == 1 ? "" : "s", columns_.size());
    return false;
  }
  Fields fields;
  const std::string_view text = text_;
  std::size_t from = 0;
  for (std::size_t i = 0; i != columns_.size(); ++i) {
    const std::string_view field = text.substr(from, ends_[i] - from);
    from = ends_[i];
    switch (columns_[i]) {
      case Column::key:
        fields.key = field;
        break;
      case Column::value:
        fields.value = field;
        break;
      case Column::other:
        break;
      case Column::base64: {
        const std::string word = normalized(field);
        if (word == "true" || word == "1") {
          fields.value_is_base64 = true;
        } else if (!word.empty() && word != "false" && word != "0") {
          reason_ = "\"base64\" is neither true nor false";
          return false;
        }
        break;
      }
      case Column::metadata:
        if (field.empty() || field == "null") break;
        if (!parser_.is_json(field)) {
          reason_ = "\"metadata\" is not valid JSON";
          return false;
        }
        fields.metadata = field;
        break;
      case Column::expiration:
      case Column::expiration_ttl: {
        if (field.empty()) break;
        const std::optional<std::int64_t> seconds = parse_seconds(field);
        const bool absolute = columns_[i] == Column::expiration;
        if (!seconds) {
          reason_ = fmt::format("\"{}\" is not a whole number of seconds",
                                absolute ? "expiration" : "expiration_ttl");
          return false;
        }
        (absolute ? fields.expiration : fields.expiration_ttl) = seconds;
        break;
      }
    }
  }
  if (items_) return parser_.accept_key(fields, out.entries, reason_);
  return parser_.accept(fields, out.entries, reason_);
}

}  // namespace sluice::bulk
