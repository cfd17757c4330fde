#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/utf8.h"
#include "io/worker.h"
#include "store/absent.h"
#include "store/sqlite/readers.h"
#include "store/sqlite/schema.h"
#include "store/sqlite/sqlite.h"
#include "store/sqlite/writer.h"

namespace sluice::store {

namespace {

constexpr Capabilities kCapabilities{
    .list_page = 8000,
    .get_keys = 1000,
    .put_entries = 100'000,
    .put_bytes = std::size_t{4} << 20,
    .erase_keys = 20'000,
    .key_bytes = 65'536,         // as Redis, whose listings are collected here (bulk::ListingSpool)
    .value_bytes = 900'000'000,  // a row of SQLite holds 1,000,000,000 bytes
    .metadata_bytes = std::size_t{1} << 20,
    .least_ttl = 0,
    .keys_are_utf8 = false,
    .ordered = true,
    .seekable = true,
    .lists_values = true,
    .exact_get = true,
    .remote = false,
};

// What the backend and its stores share, with all loops: the connections, each with a thread of its
// own. The threads come last: they end before what they use goes away.
struct Core {
  Core(std::string file, SqliteWriter open_writer, SqliteReader first_reader,
       const Environment& environment)
      : path(std::move(file)),
        writer(std::move(open_writer)),
        readers(std::move(first_reader), environment.readers, kCapabilities, environment.give_up) {}

  const std::string path;
  SqliteWriter writer;  // used by `write_thread` only
  io::Worker write_thread;
  SqliteReaders readers;
};

class SqliteStore : public Store {
 public:
  SqliteStore(std::shared_ptr<Core> core, const Namespace& which) : core_(std::move(core)) {
    const char* end = which.id.data() + which.id.size();
    const auto parsed = std::from_chars(which.id.data(), end, id_);
    if (parsed.ec != std::errc{} || parsed.ptr != end) {
      refused_ =
          Error{ErrorCode::not_found, Retry::fatal, std::nullopt,
                fmt::format("{} has no namespace with the id \"{}\": its ids are numbers. `sluice "
                            "kv namespace list` shows them.",
                            core_->path, printable(which.id))};
    }
  }

  [[nodiscard]] const Capabilities& capabilities() const override { return kCapabilities; }

  io::Task<Result<Page>> list(ListRequest request) override {
    if (refused_) co_return std::unexpected(*refused_);
    const auto core = core_;
    auto work = [&request, id = id_](SqliteReader& reader) { return reader.list(id, request); };
    co_return co_await core->readers.run(work);
  }

  io::Task<Result<std::vector<std::string>>> split(std::string_view prefix,
                                                   std::size_t parts) override {
    if (refused_) co_return std::unexpected(*refused_);
    const auto core = core_;
    auto work = [prefix, parts, id = id_](SqliteReader& reader) {
      return reader.split(id, prefix, parts);
    };
    co_return co_await core->readers.run(work);
  }

  io::Task<Result<GetAnswer>> get(std::span<const std::string_view> keys) override {
    if (refused_) co_return std::unexpected(*refused_);
    const auto core = core_;
    auto work = [keys, id = id_](SqliteReader& reader) { return reader.get(id, keys); };
    co_return co_await core->readers.run(work);
  }

  io::Task<Result<GetAnswer>> get_metadata(std::span<const std::string_view> keys) override {
    if (refused_) co_return std::unexpected(*refused_);
    const auto core = core_;
    auto work = [keys, id = id_](SqliteReader& reader) { return reader.get(id, keys, false); };
    co_return co_await core->readers.run(work);
  }

  io::Task<Result<WriteAnswer>> put(std::span<const EntryView> entries) override {
    if (refused_) co_return std::unexpected(*refused_);
    const auto core = core_;
    auto work = [&core, entries, id = id_] { return core->writer.put(id, entries); };
    co_return co_await core->write_thread.run(work);
  }

  io::Task<Result<WriteAnswer>> erase(std::span<const std::string_view> keys) override {
    if (refused_) co_return std::unexpected(*refused_);
    const auto core = core_;
    auto work = [&core, keys, id = id_] { return core->writer.erase(id, keys); };
    co_return co_await core->write_thread.run(work);
  }

 private:
  std::shared_ptr<Core> core_;
  std::int64_t id_ = 0;
  std::optional<Error> refused_;
};

class SqliteBackend : public Backend {
 public:
  explicit SqliteBackend(std::shared_ptr<Core> core) : core_(std::move(core)) {}

  [[nodiscard]] std::string description() const override { return core_->path; }

  io::Task<Result<std::vector<Namespace>>> namespaces() override {
    const auto core = core_;
    auto work = [](SqliteReader& reader) { return reader.namespaces(); };
    co_return co_await core->readers.run(work);
  }
  io::Task<Result<Namespace>> find_namespace(std::string_view name) override {
    const auto core = core_;
    auto work = [name](SqliteReader& reader) { return reader.find_namespace(name); };
    co_return co_await core->readers.run(work);
  }
  io::Task<Result<Namespace>> create_namespace(std::string_view title) override {
    const auto core = core_;
    auto work = [&core, title] { return core->writer.create_namespace(title); };
    co_return co_await core->write_thread.run(work);
  }
  io::Task<Result<>> rename_namespace(const Namespace& which, std::string_view title) override {
    const auto core = core_;
    auto work = [&core, &which, title] { return core->writer.rename_namespace(which, title); };
    co_return co_await core->write_thread.run(work);
  }
  io::Task<Result<>> delete_namespace(const Namespace& which) override {
    const auto core = core_;
    auto work = [&core, &which] { return core->writer.delete_namespace(which); };
    co_return co_await core->write_thread.run(work);
  }
  std::unique_ptr<Store> open(const Namespace& which) override {
    return std::make_unique<SqliteStore>(core_, which);
  }

 private:
  std::shared_ptr<Core> core_;
};

// Creates `folder` and what is missing above it, for this user only.
Result<> create_folder(const std::string& folder) {
  for (std::size_t slash = folder.find('/', 1);; slash = folder.find('/', slash + 1)) {
    const std::string part = folder.substr(0, slash);
    if (::mkdir(part.c_str(), 0700) != 0 && errno != EEXIST && errno != EISDIR && errno != EROFS) {
      return std::unexpected(system_error(errno, fmt::format("cannot create the folder {}", part)));
    }
    if (slash == std::string::npos) return {};
  }
}

// The folder that `path` lies in, as far as it can be told from the text.
std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// The store that `file` would be. Fails where the file could not be made. The data folder would be
// made with it (`makes_folders`); then it depends on the nearest folder above that exists.
Result<Opened> open_absent(std::string file, bool makes_folders) {
  std::string folder = folder_of(file);
  while (::access(folder.c_str(), W_OK | X_OK) != 0) {
    if (!makes_folders || errno != ENOENT || folder == "." || folder == "/") {
      return std::unexpected(system_error(errno, fmt::format("cannot create {}", file)));
    }
    folder = folder_of(folder);
  }
  std::vector<Namespace> at_first{{std::to_string(kDefaultNamespaceId), "default"}};
  return Opened{.backend = std::make_shared<AbsentBackend>(std::move(file), std::move(at_first),
                                                           kCapabilities),
                .wire_stats = [] { return WireStats{}; },
                .any_loop = true};
}

}  // namespace

Result<Opened> open_sqlite(std::string_view path, const Environment& environment) {
  const bool in_data_folder = path.empty();
  std::string file = in_data_folder ? environment.data_folder + "/store.db" : std::string(path);
  if (!environment.makes_files && ::access(file.c_str(), F_OK) != 0 && errno == ENOENT) {
    return open_absent(std::move(file), in_data_folder);
  }
  if (in_data_folder) {
    if (auto made = create_folder(environment.data_folder); !made)
      return std::unexpected(made.error());
  }
  auto writer = SqliteWriter::open(file, kCapabilities, environment.give_up);
  if (!writer) return std::unexpected(std::move(writer.error()));
  auto reader = SqliteReader::open(file, kCapabilities, environment.give_up);
  if (!reader) return std::unexpected(std::move(reader.error()));
  auto core =
      std::make_shared<Core>(std::move(file), std::move(*writer), std::move(*reader), environment);
  return Opened{.backend = std::make_unique<SqliteBackend>(std::move(core)),
                .wire_stats = [] { return WireStats{}; },
                .any_loop = true};
}

}  // namespace sluice::store
