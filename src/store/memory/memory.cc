#include "store/memory/memory.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <utility>

#include "base/text_distance.h"
#include "base/utf8.h"
#include "store/limits.h"
#include "store/memory/sharded_table.h"

namespace sluice::store {

namespace {

// Entries of a call after which the loop gets its turn, about 0.3 ms of work.
constexpr std::size_t kSlice = 1000;
// More bytes of values are too many for one answer, unless it is a single value.
constexpr std::size_t kMostAnswerBytes = std::size_t{32} << 20;

struct Space {
  explicit Space(std::string given_id) : id(std::move(given_id)) {}
  const std::string id;
  std::string title;  // under Core::mutex
  ShardedTable table;
};

// What the backend and its stores share, with all loops.
struct Core {
  using Spaces = std::map<std::string, std::shared_ptr<Space>, std::less<>>;

  explicit Core(MemoryOptions given) : options(std::move(given)) {}

  const MemoryOptions options;
  mutable std::shared_mutex mutex;
  // What follows is under the mutex.
  Spaces by_id;
  Spaces by_title;
  int ids_given = 0;

  [[nodiscard]] std::int64_t now() const { return options.now ? options.now() : unix_now(); }
  // Null: there is none.
  [[nodiscard]] std::shared_ptr<Space> find(std::string_view id) const {
    const std::shared_lock lock(mutex);
    const auto found = by_id.find(id);
    return found != by_id.end() ? found->second : nullptr;
  }
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
      : core_(std::move(core)), id_(std::move(id)), space_(core_->find(id_)) {}

  [[nodiscard]] const Capabilities& capabilities() const override {
    return core_->options.capabilities;
  }

  io::Task<Result<Page>> list(ListRequest request) override {
    if (core_->options.suspends) co_await suspend();
    if (closed()) co_return std::unexpected(no_such_namespace(id_));
    auto page = list_now(request);
    if (closed()) co_return std::unexpected(no_such_namespace(id_));
    co_return page;
  }

  io::Task<Result<std::vector<std::string>>> split(std::string_view prefix,
                                                   std::size_t parts) override {
    if (core_->options.suspends) co_await suspend();
    if (closed()) co_return std::unexpected(no_such_namespace(id_));
    std::vector<std::string> keys;
    if (capabilities().seekable) keys = space_->table.sample(prefix);
    co_return split_points(std::move(keys), parts);
  }

  io::Task<Result<GetAnswer>> get(std::span<const std::string_view> keys) override {
    if (core_->options.suspends) co_await suspend();
    if (closed()) co_return std::unexpected(no_such_namespace(id_));
    if (auto checked = check_get(capabilities(), keys); !checked) {
      co_return std::unexpected(std::move(checked.error()));
    }
    const std::int64_t now = core_->now();
    GetAnswer answer;
    answer.entries.reserve(keys.size());
    for (const std::string_view key : keys) {
      space_->table.get(key, now, answer.entries);
      if (keys.size() > 1 && answer.entries.bytes() > kMostAnswerBytes) {
        co_return fail(ErrorCode::too_large, Retry::smaller,
                       "the values of {} keys are more than {} bytes. Ask for fewer keys at once.",
                       keys.size(), kMostAnswerBytes);
      }
    }
    // Entries of a namespace that is being deleted are missing one by one, which is no answer.
    if (closed()) co_return std::unexpected(no_such_namespace(id_));
    co_return answer;
  }

  io::Task<Result<WriteAnswer>> put(std::span<const EntryView> entries) override {
    if (core_->options.suspends) co_await suspend();
    if (closed()) co_return std::unexpected(no_such_namespace(id_));
    if (auto checked = check_put(capabilities(), entries); !checked) {
      co_return std::unexpected(std::move(checked.error()));
    }
    const std::int64_t now = core_->now();
    WriteAnswer answer;
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if (auto checked = check_entry(capabilities(), entries[i], now); !checked) {
        answer.failed.push_back({i, std::move(checked.error())});
      } else if (!space_->table.put(entries[i], now)) {
        co_return std::unexpected(no_such_namespace(id_));
      }
      if ((i + 1) % kSlice == 0) co_await suspend();
    }
    co_return answer;
  }

  io::Task<Result<WriteAnswer>> erase(std::span<const std::string_view> keys) override {
    if (core_->options.suspends) co_await suspend();
    if (closed()) co_return std::unexpected(no_such_namespace(id_));
    if (auto checked = check_erase(capabilities(), keys); !checked) {
      co_return std::unexpected(std::move(checked.error()));
    }
    const std::int64_t now = core_->now();
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (!space_->table.erase(keys[i], now)) co_return std::unexpected(no_such_namespace(id_));
      if ((i + 1) % kSlice == 0) co_await suspend();
    }
    co_return WriteAnswer{};
  }

 private:
  [[nodiscard]] bool closed() const { return space_ == nullptr || space_->table.closed(); }

  // A cursor is '>' and the last key of its page.
  [[nodiscard]] Result<Page> list_now(const ListRequest& request) const {
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
    const ShardedTable::Range range{.prefix = request.prefix,
                                    .after = after,
                                    .until = can.seekable ? request.until : std::string_view{}};
    Page page;
    if (space_->table.list(range, limit, request.values && can.lists_values, core_->now(),
                           page.entries)) {
      page.cursor = fmt::format(">{}", page.entries[page.entries.size() - 1].key);
    }
    return page;
  }

  const std::shared_ptr<Core> core_;
  const std::string id_;
  const std::shared_ptr<Space> space_;  // null: there was none with this id
};

class MemoryBackend : public Backend {
 public:
  explicit MemoryBackend(MemoryOptions options)
      : core_(std::make_shared<Core>(std::move(options))) {
    add("default");
  }

  [[nodiscard]] std::string description() const override { return "the memory store"; }

  io::Task<Result<std::vector<Namespace>>> namespaces() override {
    if (core_->options.suspends) co_await suspend();
    const std::shared_lock lock(core_->mutex);
    std::vector<Namespace> all;
    all.reserve(core_->by_title.size());
    for (const auto& [title, space] : core_->by_title) all.push_back({space->id, title});
    co_return all;
  }

  io::Task<Result<Namespace>> create_namespace(std::string_view title) override {
    if (core_->options.suspends) co_await suspend();
    const std::lock_guard lock(core_->mutex);
    if (auto checked = check_title(title, {}); !checked) co_return std::unexpected(checked.error());
    co_return add(title);
  }

  io::Task<Result<>> rename_namespace(const Namespace& which, std::string_view title) override {
    if (core_->options.suspends) co_await suspend();
    const std::lock_guard lock(core_->mutex);
    const auto found = core_->by_id.find(which.id);
    if (found == core_->by_id.end()) co_return std::unexpected(no_such_namespace(which.id));
    if (auto checked = check_title(title, which.id); !checked) co_return checked;
    Space& space = *found->second;
    if (space.title == "default") co_return refuse_default("renamed");
    core_->by_title.erase(space.title);
    space.title = title;
    core_->by_title.emplace(space.title, found->second);
    co_return Result<>{};
  }

  io::Task<Result<>> delete_namespace(const Namespace& which) override {
    if (core_->options.suspends) co_await suspend();
    std::shared_ptr<Space> space;
    {
      const std::lock_guard lock(core_->mutex);
      const auto found = core_->by_id.find(which.id);
      if (found == core_->by_id.end()) co_return std::unexpected(no_such_namespace(which.id));
      space = found->second;
      if (space->title == "default") co_return refuse_default("deleted");
      space->table.close();
      core_->by_title.erase(space->title);
      core_->by_id.erase(found);
    }
    // It is gone already; what it held may take seconds to free.
    while (space->table.clear_some(kSlice)) co_await suspend();
    co_return Result<>{};
  }

  io::Task<Result<Namespace>> find_namespace(std::string_view name) override {
    if (core_->options.suspends) co_await suspend();
    const std::shared_lock lock(core_->mutex);
    for (const Core::Spaces* spaces : {&core_->by_title, &core_->by_id}) {
      if (const auto found = spaces->find(name); found != spaces->end()) {
        co_return Namespace{found->second->id, found->second->title};
      }
    }
    std::vector<std::string_view> titles;
    for (const auto& [title, space] : core_->by_title) titles.push_back(title);
    co_return fail(ErrorCode::not_found, "the memory store has no namespace \"{}\".{}",
                   printable(name), did_you_mean(name, titles));
  }

  std::unique_ptr<Store> open(const Namespace& which) override {
    return std::make_unique<MemoryStore>(core_, which.id);
  }

 private:
  // These two are called under the mutex, or before anybody else knows the backend.
  Namespace add(std::string_view title) {
    auto space = std::make_shared<Space>(fmt::format("m{}", ++core_->ids_given));
    space->title = title;
    core_->by_id.emplace(space->id, space);
    core_->by_title.emplace(title, space);
    return {space->id, space->title};
  }

  [[nodiscard]] Result<> check_title(std::string_view title, std::string_view own_id) const {
    if (title.empty() || title.size() > 512 || !is_utf8(title)) {
      return fail(
          ErrorCode::invalid_argument,
          "\"{}\" cannot be the title of a namespace: it has to be UTF-8 of 1 to 512 bytes.",
          truncated_to_width(printable(title), 80));
    }
    const auto found = core_->by_title.find(title);
    if (found != core_->by_title.end() && found->second->id != own_id) {
      return fail(ErrorCode::conflict,
                  "the memory store has a namespace \"{}\" already. Choose another title.",
                  printable(title));
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
  MemoryOptions options;
  options.suspends = false;
  return Opened{.backend = make_memory_backend(std::move(options)),
                .wire_stats = [] { return WireStats{}; },
                .any_loop = true};
}

}  // namespace sluice::store
