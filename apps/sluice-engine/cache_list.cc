// sluice cache list
#include <algorithm>

#include "base/duration.h"
#include "base/size.h"
#include "base/utf8.h"
#include "cache_command.h"
#include "json_field.h"
#include "localcache/location.h"
#include "localcache/memo.h"
#include "size_text.h"
#include "table.h"

namespace sluice::cli {

namespace {

using cache_cli::Session;
using cache_cli::time_text;
using localcache::Access;
using localcache::EntryInfo;
using localcache::TimePoint;

constexpr std::size_t kFlushAt = std::size_t{64} << 10;
// What waits for a slow reader while the cache is read. Beyond it the reading stops until all is
// written.
constexpr std::size_t kMostWaiting = std::size_t{4} << 20;
constexpr std::size_t kWidestCommand = 60;
constexpr std::size_t kWidestKey = 60;  // on a terminal

// The commands behind memoized results, read without counting that as a use.
class Commands {
 public:
  explicit Commands(const Session& session) : session_(session) {}

  // Empty for an entry that is none, or whose value cannot be read.
  std::string of(const EntryInfo& info) {
    if (!info.key.starts_with(localcache::kMemoPrefix)) return {};
    if (!cache_) {
      auto options = session_.options(Access::read);
      options.timing = false;
      auto opened = localcache::Cache::open(session_.location(), options);
      if (!opened) return {};
      cache_.emplace(std::move(*opened));
    }
    auto entry = cache_->get(info.key, {.stale_ok = true, .counts = false});
    if (!entry || !*entry) return {};
    const auto beginning = (*entry)->value.next();
    if (!beginning) return {};
    return localcache::memo_command(*beginning).value_or("");
  }

 private:
  const Session& session_;
  std::optional<localcache::Cache> cache_;
};

std::string json_line(const EntryInfo& info, std::string_view command) {
  std::string out = "{";
  cache_cli::append_json_field(out, "key", info.key);
  out += fmt::format(R"(,"bytes":{},"created":"{}")", info.value_bytes, time_text(info.created));
  if (info.expires) out += fmt::format(R"(,"expires":"{}")", time_text(*info.expires));
  out += fmt::format(R"(,"stale":{},"used":"{}","hits":{},"cost_ms":{},)", info.stale,
                     time_text(info.used), info.hits, info.cost.count());
  cache_cli::append_json_tags(out, info.tags);
  if (!command.empty()) {
    out += ',';
    cache_cli::append_json_field(out, "command", command);
  }
  return out + "}\n";
}

void add_row(Table& table, const EntryInfo& info, std::size_t widest_key, std::string_view command,
             TimePoint now) {
  std::string tags;
  for (const std::string& tag : info.tags) tags += (tags.empty() ? "" : ", ") + tag;
  table.add({truncated_to_width(info.key, widest_key), format_count(info.value_bytes),
             format_elapsed(now - info.created),
             !info.expires ? "never"
             : info.stale  ? "expired"
                           : format_elapsed(*info.expires - now),
             format_count(info.hits), tags, truncated_to_width(command, kWidestCommand)});
}

// Writes entries while they come.
class Lister {
 public:
  Lister(Context& context, Session& session)
      : session_(session),
        json_(session.json()),
        long_(session.invocation().on("long") && !json_),
        end_(session.invocation().on("null") ? '\0' : '\n'),
        for_terminal_(context.console.stdout_is_terminal() && end_ == '\n'),
        most_(session.invocation().count("limit")),
        tags_(session.invocation().values("tag")),
        commands_(session) {}

  Result<> run() {
    const auto cache = session_.open(Access::read);
    if (!cache) return std::unexpected(cache.error());
    now_ = (*cache)->now();
    localcache::Selector selector{.prefix = session_.invocation().value("prefix").value_or(""),
                                  .tag = std::nullopt,
                                  .matches = nullptr};
    if (tags_.size() == 1) selector.tag = tags_[0];
    if (const auto pattern = session_.invocation().value("pattern")) {
      auto matcher = session_.engine().compile_pattern(*pattern);
      if (!matcher) return std::unexpected(matcher.error());
      selector.matches = std::move(*matcher);
    }
    do {
      stopped_ = false;
      const std::optional<std::string> after = last_;
      auto listed = (*cache)->list(
          selector, [this](const EntryInfo& info) { return take(info); },
          after ? &*after : nullptr);
      if (!listed) return listed;
      if (!written_) return written_;
      if (auto written = cache_cli::write_output(out_); !written) return written;
      out_.clear();
      flush_at_ = kFlushAt;
    } while (stopped_);
    return long_ ? cache_cli::write_output(table_.text()) : Result<>();
  }

 private:
  bool take(const EntryInfo& info) {
    if (most_ && taken_ >= *most_) return false;
    if (tags_.size() > 1 && std::ranges::find_first_of(info.tags, tags_) == info.tags.end()) {
      return true;
    }
    ++taken_;
    if (long_) {
      add_row(table_, info, for_terminal_ ? kWidestKey : info.key.size(), commands_.of(info), now_);
      return true;
    }
    if (json_) {
      out_ += json_line(info, commands_.of(info));
    } else {
      out_ += for_terminal_ ? printable(info.key) : info.key;
      out_ += end_;
    }
    if (out_.size() < flush_at_) return true;
    const auto written = cache_cli::write_ready_output(out_);
    if (!written) {
      written_ = std::unexpected(written.error());
      return false;
    }
    out_.erase(0, *written);
    flush_at_ = out_.size() + kFlushAt;
    stopped_ = out_.size() >= kMostWaiting;
    if (stopped_) last_ = info.key;
    return !stopped_;
  }

  Session& session_;
  bool json_;
  bool long_;
  char end_;
  bool for_terminal_;
  std::optional<std::uint64_t> most_;
  std::vector<std::string> tags_;
  Commands commands_;
  TimePoint now_;
  std::uint64_t taken_ = 0;
  std::string out_;
  std::size_t flush_at_ = kFlushAt;
  bool stopped_ = false;             // for a slow reader
  std::optional<std::string> last_;  // the key to go on behind then
  Result<> written_;
  Table table_{{{"KEY"},
                {"BYTES", Table::Align::right},
                {"AGE", Table::Align::right},
                {"EXPIRES IN", Table::Align::right},
                {"HITS", Table::Align::right},
                {"TAGS"},
                {"COMMAND"}}};
};

Result<> list_namespaces(Context& context, Session& session) {
  const auto names = localcache::list_namespaces(session.location().root);
  if (!names) return std::unexpected(names.error());
  const bool nul = session.invocation().on("null");
  std::string out;
  std::optional<Error> failed;
  for (const std::string& name : *names) {
    if (session.json()) {
      localcache::Location location = session.location();
      location.name = name;
      auto cache = localcache::Cache::open(location, session.options(Access::read));
      const auto size =
          cache ? cache->size() : Result<localcache::Size>(std::unexpected(cache.error()));
      // One that is damaged keeps nobody from seeing the others.
      if (size) out += cache_cli::size_json(name, *size);
      if (!size && !failed) failed = size.error();
    } else {
      const bool safe = nul || !context.console.stdout_is_terminal();
      out += safe ? name : printable(name);
      out += nul ? '\0' : '\n';
    }
  }
  if (auto written = cache_cli::write_output(out); !written) return written;
  if (failed) return std::unexpected(std::move(*failed));
  return {};
}

}  // namespace

int run_cache_list(Context& context, Session& session) {
  cache_cli::end_at_deadline(session);
  const auto done = session.invocation().on("namespaces") ? list_namespaces(context, session)
                                                          : Lister(context, session).run();
  return done ? 0 : session.report(done.error());
}

}  // namespace sluice::cli
