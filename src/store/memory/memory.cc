#include "store/memory/memory.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <map>
#include <string>
#include <utility>

#include "base/text_distance.h"
#include "base/utf8.h"
#include "store/limits.h"

namespace sluice::store {

namespace {

struct Record {
  std::string value;
  std::string metadata;
  std::int64_t expiration = 0;
};
using Table = std::map<std::string, Record, std::less<>>;

struct Space {
  std::string title;
  Table entries;
};

// What the backend and its stores share.
struct Core {
  MemoryOptions options;
  std::map<std::string, Space, std::less<>> spaces;  // by id
  int ids_given = 0;

  [[nodiscard]] std::int64_t now() const { return options.now ? options.now() : unix_now(); }
};

Error no_such_namespace(std::string_view id) {
  return Error{ErrorCode::not_found, Retry::fatal, std::nullopt,
               fmt::format("the memory store has no namespace with the id \"{}\".", printable(id))};
}

io::Task<> suspend() {
  const io::Executor executor = co_await boost::asio::this_coro::executor;
  co_await boost::asio::post(executor, io::use_task);
}

class MemoryStore : public Store {
 public:
  MemoryStore(std::shared_ptr<Core> core, std::string id)
      : core_(std::move(core)), id_(std::move(id)) {}

  [[nodiscard]] const Capabilities& capabilities() const override {
    return core_->options.capabilities;
  }

  io::Task<Result<Page>> list(ListRequest request) override {
    co_await suspend();
    Table* table = find_table();
    if (table == nullptr) co_return std::unexpected(no_such_namespace(id_));
    co_return list_now(*table, request);
  }

  io::Task<Result<std::vector<std::string>>> split(std::string_view prefix,
                                                   std::size_t parts) override {
    co_await suspend();
    const Table* table = find_table();
    if (table == nullptr) co_return std::unexpected(no_such_namespace(id_));
    std::vector<std::string> keys;
    if (capabilities().seekable) {
      for (auto at = table->lower_bound(prefix);
           at != table->end() && at->first.starts_with(prefix); ++at) {
        keys.push_back(at->first);
      }
    }
    co_return split_points(std::move(keys), parts);
  }

  io::Task<Result<GetAnswer>> get(std::span<const std::string_view> keys) override {
    co_await suspend();
    Table* table = find_table();
    if (table == nullptr) co_return std::unexpected(no_such_namespace(id_));
    if (auto checked = check_get(capabilities(), keys); !checked) {
      co_return std::unexpected(checked.error());
    }
    const std::int64_t now = core_->now();
    GetAnswer answer;
    for (const std::string_view key : keys) {
      const auto found = table->find(key);
      const bool present = found != table->end() && !expired(found->second, now);
      answer.entries.append(present ? view(*found, Presence::present)
                                    : EntryView{key, {}, {}, 0, Presence::missing});
    }
    co_return answer;
  }

  io::Task<Result<WriteAnswer>> put(std::span<const EntryView> entries) override {
    co_await suspend();
    Table* table = find_table();
    if (table == nullptr) co_return std::unexpected(no_such_namespace(id_));
    if (auto checked = check_put(capabilities(), entries); !checked) {
      co_return std::unexpected(checked.error());
    }
    WriteAnswer answer;
    for (const std::uint32_t place :
         writable_in_key_order(capabilities(), entries, core_->now(), answer.failed)) {
      const EntryView& entry = entries[place];
      (*table)[std::string(entry.key)] =
          Record{std::string(entry.value), std::string(entry.metadata), entry.expiration};
    }
    co_return answer;
  }

  io::Task<Result<WriteAnswer>> erase(std::span<const std::string_view> keys) override {
    co_await suspend();
    Table* table = find_table();
    if (table == nullptr) co_return std::unexpected(no_such_namespace(id_));
    if (auto checked = check_erase(capabilities(), keys); !checked) {
      co_return std::unexpected(checked.error());
    }
    for (const std::string_view key : keys) {
      if (const auto found = table->find(key); found != table->end()) table->erase(found);
    }
    co_return WriteAnswer{};
  }

 private:
  Table* find_table() {
    const auto found = core_->spaces.find(id_);
    return found != core_->spaces.end() ? &found->second.entries : nullptr;
  }
  static bool expired(const Record& record, std::int64_t now) {
    return record.expiration != 0 && record.expiration <= now;
  }
  static EntryView view(const Table::value_type& entry, Presence presence) {
    return {
        entry.first,
        presence == Presence::present ? std::string_view(entry.second.value) : std::string_view{},
        entry.second.metadata, entry.second.expiration, presence};
  }

  // A cursor is '>' and the last key of its page.
  Result<Page> list_now(const Table& table, const ListRequest& request) const {
    const Capabilities& can = capabilities();
    std::string_view after = can.seekable ? request.after : std::string_view{};
    if (!request.cursor.empty()) {
      if (request.cursor.front() != '>' || request.cursor.size() < 2) {
        return fail(
            ErrorCode::invalid_argument,
            "the cursor \"{}\" is not one of this store's. Start the listing from its beginning.",
            printable(request.cursor));
      }
      after = request.cursor.substr(1);
    }
    const std::size_t limit =
        request.limit == 0 ? can.list_page : std::min(request.limit, can.list_page);
    const Presence presence =
        request.values && can.lists_values ? Presence::present : Presence::listed;
    const std::int64_t now = core_->now();
    Page page;
    auto at = !after.empty() && after >= request.prefix ? table.upper_bound(after)
                                                        : table.lower_bound(request.prefix);
    std::string_view last;
    const std::string_view until = can.seekable ? request.until : std::string_view{};
    for (; at != table.end() && at->first.starts_with(request.prefix); ++at) {
      if (!until.empty() && at->first > until) break;
      if (expired(at->second, now)) continue;
      if (page.entries.size() == limit) {
        page.cursor = fmt::format(">{}", last);
        break;
      }
      page.entries.append(view(*at, presence));
      last = at->first;
    }
    return page;
  }

  std::shared_ptr<Core> core_;
  std::string id_;
};

class MemoryBackend : public Backend {
 public:
  explicit MemoryBackend(MemoryOptions options) : core_(std::make_shared<Core>()) {
    core_->options = std::move(options);
    add("default");
  }

  [[nodiscard]] std::string description() const override { return "the memory store"; }

  io::Task<Result<std::vector<Namespace>>> namespaces() override {
    co_await suspend();
    co_return all();
  }

  io::Task<Result<Namespace>> create_namespace(std::string_view title) override {
    co_await suspend();
    if (auto checked = check_title(title, {}); !checked) co_return std::unexpected(checked.error());
    co_return add(title);
  }

  io::Task<Result<>> rename_namespace(const Namespace& which, std::string_view title) override {
    co_await suspend();
    const auto found = core_->spaces.find(which.id);
    if (found == core_->spaces.end()) co_return std::unexpected(no_such_namespace(which.id));
    if (auto checked = check_title(title, which.id); !checked) co_return checked;
    if (found->second.title == "default") co_return refuse_default("renamed");
    found->second.title = title;
    co_return Result<>{};
  }

  io::Task<Result<>> delete_namespace(const Namespace& which) override {
    co_await suspend();
    const auto found = core_->spaces.find(which.id);
    if (found == core_->spaces.end()) co_return std::unexpected(no_such_namespace(which.id));
    if (found->second.title == "default") co_return refuse_default("deleted");
    core_->spaces.erase(found);
    co_return Result<>{};
  }

  io::Task<Result<Namespace>> find_namespace(std::string_view name) override {
    co_await suspend();
    const std::vector<Namespace> spaces = all();
    for (const auto member : {&Namespace::title, &Namespace::id}) {
      const auto found = std::ranges::find(spaces, name, member);
      if (found != spaces.end()) co_return *found;
    }
    std::vector<std::string_view> titles;
    for (const Namespace& space : spaces) titles.push_back(space.title);
    co_return fail(ErrorCode::not_found, "the memory store has no namespace \"{}\".{}",
                   printable(name), did_you_mean(name, titles));
  }

  std::unique_ptr<Store> open(const Namespace& which) override {
    return std::make_unique<MemoryStore>(core_, which.id);
  }

 private:
  Namespace add(std::string_view title) {
    Namespace space{fmt::format("m{}", ++core_->ids_given), std::string(title)};
    core_->spaces[space.id].title = title;
    return space;
  }

  [[nodiscard]] std::vector<Namespace> all() const {
    std::vector<Namespace> spaces;
    for (const auto& [id, space] : core_->spaces) spaces.push_back({id, space.title});
    std::ranges::sort(spaces, {}, &Namespace::title);
    return spaces;
  }

  [[nodiscard]] Result<> check_title(std::string_view title, std::string_view own_id) const {
    if (title.empty() || title.size() > 512 || !is_utf8(title)) {
      return fail(
          ErrorCode::invalid_argument,
          "\"{}\" cannot be the title of a namespace: it has to be UTF-8 of 1 to 512 bytes.",
          truncated_to_width(printable(title), 80));
    }
    for (const auto& [id, space] : core_->spaces) {
      if (space.title == title && id != own_id) {
        return fail(ErrorCode::conflict,
                    "the memory store has a namespace \"{}\" already. Choose another title.",
                    printable(title));
      }
    }
    return {};
  }

  static Result<> refuse_default(std::string_view what) {
    return fail(ErrorCode::invalid_argument,
                "the namespace \"default\" exists in every store and cannot be {}.", what);
  }

  std::shared_ptr<Core> core_;
};

}  // namespace

std::unique_ptr<Backend> make_memory_backend(MemoryOptions options) {
  return std::make_unique<MemoryBackend>(std::move(options));
}

Result<Opened> open_memory(const Environment&) {
  return Opened{make_memory_backend(), [] { return WireStats{}; }};
}

}  // namespace sluice::store
