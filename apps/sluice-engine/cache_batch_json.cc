#include "cache_batch_json.h"

#include <boost/json.hpp>
#include <cmath>

#include "base/base64.h"
#include "base/duration.h"
#include "base/json_text.h"
#include "json_field.h"

namespace sluice::cli {

namespace {

namespace json = boost::json;
using cache_cli::BatchOperation;
using localcache::Operation;

constexpr std::int64_t kMostSeconds = 3'155'760'000;  // a century

std::string_view word(Operation::Kind kind) {
  switch (kind) {
    case Operation::Kind::get:
      return "get";
    case Operation::Kind::set:
      return "set";
    case Operation::Kind::erase:
      return "delete";
  }
  return "get";
}

// Reads the fields of one object. The first thing that is wrong is kept as the reason.
class Reader {
 public:
  Reader(const json::object& object, BatchOperation& operation)
      : object_(object), operation_(operation) {}

  std::string read() {
    static constexpr std::string_view known[] = {"op",     "key", "key_base64", "value",
                                                 "base64", "ttl", "tags"};
    for (const auto& field : object_) {
      const std::string_view name(field.key());
      if (std::ranges::find(known, name) == std::end(known)) {
        return fmt::format("there is no field \"{}\"", name.substr(0, 40));
      }
    }
    if (!read_op()) return R"("op" must be "set", "get" or "delete")";
    if (!read_bytes("key", "key_base64", operation_.key)) return reason_;
    if (operation_.kind != Operation::Kind::set) return {};
    if (!read_bytes("value", "base64", operation_.value)) return reason_;
    if (!read_ttl() || !read_tags()) return reason_;
    return {};
  }

 private:
  bool wrong(std::string reason) {
    reason_ = std::move(reason);
    return false;
  }

  bool read_op() {
    const json::value* op = object_.if_contains("op");
    if (op == nullptr || !op->is_string()) return false;
    const std::string_view name(op->get_string());
    if (name == "get") {
      operation_.kind = Operation::Kind::get;
    } else if (name == "set") {
      operation_.kind = Operation::Kind::set;
    } else if (name == "delete") {
      operation_.kind = Operation::Kind::erase;
    } else {
      return false;
    }
    return true;
  }

  bool read_bytes(std::string_view name, std::string_view flag, std::string& bytes) {
    const json::value* text = object_.if_contains(name);
    if (text == nullptr || !text->is_string()) {
      return wrong(fmt::format("\"{}\" must be a string", name));
    }
    const json::value* encoded = object_.if_contains(flag);
    if (encoded != nullptr && !encoded->is_bool()) {
      return wrong(fmt::format("\"{}\" must be true or false", flag));
    }
    bytes = std::string_view(text->get_string());
    if (encoded == nullptr || !encoded->get_bool()) return true;
    auto decoded = decode_base64(bytes);
    if (!decoded) return wrong(fmt::format("\"{}\" is not base64", name));
    bytes = std::move(*decoded);
    return true;
  }

  bool read_ttl() {
    const json::value* ttl = object_.if_contains("ttl");
    if (ttl == nullptr || ttl->is_null()) return true;
    if (ttl->is_string()) {
      const auto time = parse_duration(std::string_view(ttl->get_string()));
      if (!time) return wrong(fmt::format("\"ttl\": {}", time.error().message));
      operation_.ttl = *time;
    } else if (ttl->is_number()) {
      const double seconds = ttl->to_number<double>();
      if (!(seconds <= static_cast<double>(kMostSeconds))) return wrong("\"ttl\" is too long");
      operation_.ttl = localcache::Milliseconds(
          seconds > 0 ? static_cast<std::int64_t>(std::ceil(seconds * 1000)) : 0);
    } else {
      return wrong(R"("ttl" must be a number of seconds or a duration like "5m")");
    }
    return operation_.ttl->count() > 0 || wrong("\"ttl\" must be more than 0");
  }

  bool read_tags() {
    const json::value* tags = object_.if_contains("tags");
    if (tags == nullptr || tags->is_null()) return true;
    operation_.tags.emplace();
    if (!tags->is_array()) return wrong("\"tags\" must be an array of strings");
    for (const json::value& tag : tags->get_array()) {
      if (!tag.is_string()) return wrong("\"tags\" must be an array of strings");
      operation_.tags->emplace_back(std::string_view(tag.get_string()));
    }
    return true;
  }

  const json::object& object_;
  BatchOperation& operation_;
  std::string reason_;
};

}  // namespace

BatchOperation parse_batch_line(std::string_view line, std::uint64_t number) {
  BatchOperation operation;
  const auto refuse = [&](std::string_view reason) {
    operation.refused = Error{ErrorCode::invalid_argument, Retry::never, std::nullopt,
                              fmt::format("line {}: {}", number, reason)};
  };
  boost::system::error_code error;
  const json::value document = json::parse(json::string_view(line.data(), line.size()), error);
  if (error) {
    refuse("it is not valid JSON");
  } else if (!document.is_object()) {
    refuse("it is not a JSON object");
  } else if (const std::string reason = Reader(document.get_object(), operation).read();
             !reason.empty()) {
    refuse(reason);
  }
  return operation;
}

Result<std::optional<BatchOperation>> JsonFormat::next() {
  for (;;) {
    const auto line = lines_.next();
    if (!line) return std::unexpected(line.error());
    if (!*line) return std::nullopt;
    std::string_view text = (*line)->text;
    if (text.ends_with('\r')) text.remove_suffix(1);
    if (text.find_first_not_of(" \t") == std::string_view::npos) continue;
    return parse_batch_line(text, lines_.count());
  }
}

Result<bool> JsonFormat::append(cache_cli::Spool& out, const BatchOperation& operation,
                                localcache::Answer& answer) {
  const std::uint64_t start = out.size();
  std::string begin = "{";
  if (!operation.refused) {
    begin += fmt::format(R"("op":"{}",)", word(operation.kind));
    cache_cli::append_json_field(begin, "key", operation.key);
    begin += ',';
  }
  std::optional<Error> failed;
  if (!answer.done) failed = answer.done.error();
  std::optional<Error> not_kept;
  const auto keep = [&](std::string_view bytes) -> Result<> {
    auto kept = out.append(bytes);
    if (!kept) not_kept = kept.error();
    return kept;
  };
  if (!failed) {
    std::string text = begin + R"("ok":true)";
    if (dry_run_ && operation.kind != Operation::Kind::get) {
      text += R"(,"dry_run":true)";
    } else if (operation.kind != Operation::Kind::set) {
      text += fmt::format(R"(,"found":{})", answer.found);
    }
    if (answer.entry) text += ',';
    auto written = keep(text);
    if (written && answer.entry) {
      written = cache_cli::write_json_value(answer.entry->value, spool_folders_, keep);
    }
    if (!written) failed = written.error();
  }
  if (failed && !not_kept) {
    out.truncate(start);
    begin += fmt::format(R"("ok":false,"code":"{}",)", name(failed->code));
    cache_cli::append_json_field(begin, "error", failed->message);
    static_cast<void>(keep(begin));
  }
  if (!not_kept) static_cast<void>(keep("}\n"));
  if (not_kept) return std::unexpected(*not_kept);
  return !failed.has_value();
}

}  // namespace sluice::cli
