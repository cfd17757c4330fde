#include "purge_items.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "bulk/keys_file.h"
#include "cdn/item_list.h"

namespace sluice::cli {

namespace {

using cdn::PurgeKind;

// Items that go to the spool in one transaction.
constexpr std::size_t kPiece = 2000;

class Reader {
 public:
  Reader(Context& context, const Invocation& invocation, PurgeKind kind, bool by_host)
      : context_(context), invocation_(invocation), kind_(kind), by_host_(by_host) {}

  io::Task<Result<PurgeItems>> read() {
    for (const std::string& text : invocation_.values("header")) {
      auto header = cdn::parse_file_header(text);
      if (!header) co_return std::unexpected(std::move(header.error()));
      headers_.push_back(std::move(*header));
    }
    auto spool = co_await cdn::ItemSpool::open("");
    if (!spool) co_return std::unexpected(std::move(spool.error()));
    items_.spool = std::move(*spool);
    auto read = co_await read_all();
    if (!read) co_return std::unexpected(std::move(read.error()));
    co_return std::move(items_);
  }

 private:
  io::Task<Result<>> read_all() {
    for (const std::string& argument : invocation_.arguments()) {
      // A comma may be a part of a URL.
      std::vector<std::string_view> items{argument};
      if (kind_ != PurgeKind::files) items = cdn::split_list(argument);
      for (const std::string_view item : items) {
        if (auto added = add(item); !added) co_return added;
      }
      if (auto kept = co_await keep(kPiece); !kept) co_return kept;
    }
    for (const std::string& path : invocation_.values("from")) {
      if (auto read = co_await read_file(path); !read) co_return read;
    }
    co_return co_await keep(1);
  }

  io::Task<Result<>> read_file(const std::string& path) {
    const cdn::ListFormat format{.name = invocation_.value("format").value_or(""),
                                 .column = invocation_.value("column").value_or(""),
                                 .field = invocation_.value("field").value_or(""),
                                 .nul = invocation_.on("null")};
    auto feed = cdn::open_item_list(context_.loop.executor(), context_.stop, path, kind_, format);
    if (!feed) co_return std::unexpected(feed.error());
    const Result<> read = co_await read_feed(**feed, path);
    co_await (*feed)->close();
    co_return read;
  }

  io::Task<Result<>> read_feed(bulk::RecordFeed& feed, const std::string& path) {
    for (bool end = false; !end;) {
      auto piece = co_await feed.next();
      if (!piece) co_return std::unexpected(piece.error());
      if (!piece->records.bad.empty()) {
        co_return bulk::bad_key(path, piece->records.bad.front());
      }
      for (const store::EntryView& entry : piece->records.entries) {
        // A comma cannot be a part of a tag or a host.
        const bool list = kind_ == PurgeKind::tags || kind_ == PurgeKind::hosts;
        std::vector<std::string_view> items{entry.key};
        if (list) items = cdn::split_list(entry.key);
        for (const std::string_view item : items) {
          if (auto added = add(item); !added) {
            co_return fail(added.error().code, "{}: {}", path, added.error().message);
          }
        }
      }
      if (auto kept = co_await keep(kPiece); !kept) co_return kept;
      end = piece->end;
    }
    co_return Result<>();
  }

  Result<> add(std::string_view text) {
    auto item = cdn::checked_item(kind_, text, headers_);
    if (!item) return std::unexpected(std::move(item.error()));
    std::string host = by_host_ ? cdn::host_of(kind_, *item) : std::string();
    if (by_host_) items_.hosts.insert(host);
    ++items_.given;
    waiting_.push_back({.zone = std::move(host), .item = std::move(*item)});
    return {};
  }

  // Writes what waits to the spool when it is at least so much.
  io::Task<Result<>> keep(std::size_t least) {
    if (waiting_.size() < least) co_return Result<>();
    auto added = co_await items_.spool->add(waiting_);
    if (!added) co_return std::unexpected(added.error());
    items_.distinct += *added;
    waiting_.clear();
    co_return Result<>();
  }

  Context& context_;
  const Invocation& invocation_;
  PurgeKind kind_;
  bool by_host_;
  std::vector<cdn::FileHeader> headers_;
  std::vector<cdn::ItemSpool::Placed> waiting_;  // for the spool
  PurgeItems items_;
};

}  // namespace

io::Task<Result<PurgeItems>> read_purge_items(Context& context, const Invocation& invocation,
                                              cdn::PurgeKind kind, bool by_host) {
  Reader reader(context, invocation, kind, by_host);
  co_return co_await reader.read();
}

}  // namespace sluice::cli
