#include "sqlite/page_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>

#include "sqlite/database.h"
#include "sqlite/table_page.h"

namespace sluice::sqlite {
namespace {

constexpr std::size_t kPage = 1024;

// A table of one database, written by SQLite and read without it.
class PageFileTest : public testing::Test {
 protected:
  PageFileTest() {
    std::string name = (std::filesystem::temp_directory_path() / "sluice-pages-XXXXXX").string();
    folder_ = mkdtemp(name.data());
    path_ = (folder_ / "a.db").string();
    auto database = Database::open(path_);
    EXPECT_TRUE(database && database->run("PRAGMA page_size=1024; PRAGMA journal_mode=WAL; "
                                          "PRAGMA wal_autocheckpoint=0; "
                                          "CREATE TABLE t(a INTEGER PRIMARY KEY, b, c)"));
    database_.emplace(std::move(*database));
  }
  ~PageFileTest() override {
    database_.reset();
    std::filesystem::remove_all(folder_);
  }
  void run(const std::string& sql) {
    const auto done = database_->run(sql);
    ASSERT_TRUE(done) << done.error().message;
  }
  // What all leaves but those of the schema and the free ones hold: b by a.
  std::map<std::int64_t, Field> rows(std::map<std::int64_t, std::string>* blobs = nullptr) {
    std::map<std::int64_t, Field> found;
    const auto file = PageFile::open(path_, kPage);
    EXPECT_TRUE(file);
    const auto free = free_pages(*file);
    EXPECT_TRUE(free && free->complete);
    std::string page;
    for (std::uint32_t number = 2; number <= file->count(); ++number) {
      if (free->is_free[number] || !*file->read(number, page)) continue;
      const auto leaf = parse_leaf_page(page, number);
      if (!leaf) continue;
      EXPECT_EQ(leaf->damaged, 0);
      for (const LeafCell& cell : leaf->cells) {
        const auto payload = read_payload(*file, cell, 1'000'000);
        const auto fields = parse_record(**payload);
        EXPECT_TRUE(fields && fields->size() == 3);
        Field field = (*fields)[1];
        if (blobs != nullptr) (*blobs)[cell.id] = field.bytes;
        field.bytes = {};
        found[cell.id] = field;
      }
    }
    return found;
  }
  std::filesystem::path folder_;
  std::string path_;
  std::optional<Database> database_;
};

TEST_F(PageFileTest, ReadsEveryKindOfNumber) {
  const std::vector<std::int64_t> numbers = {0,
                                             1,
                                             -1,
                                             127,
                                             -128,
                                             128,
                                             32'767,
                                             -32'768,
                                             8'388'607,
                                             -8'388'608,
                                             2147483647,
                                             -2147483648,
                                             1LL << 40,
                                             -(1LL << 40),
                                             (1LL << 47) - 1,
                                             -(1LL << 47),
                                             INT64_MAX,
                                             INT64_MIN};
  auto insert = database_->prepare("INSERT INTO t(a, b) VALUES(?1, ?2)");
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    insert->bind_int64(1, static_cast<std::int64_t>(i));
    insert->bind_int64(2, numbers[i]);
    ASSERT_TRUE(insert->run());
  }
  run("INSERT INTO t VALUES(-5, 1.5, NULL), (1000000000000, 'text', x'00')");
  const auto found = rows();
  ASSERT_EQ(found.size(), numbers.size() + 2);
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    EXPECT_EQ(found.at(static_cast<std::int64_t>(i)).kind, Field::Kind::integer);
    EXPECT_EQ(found.at(static_cast<std::int64_t>(i)).integer, numbers[i]);
  }
  EXPECT_EQ(found.at(-5).real, 1.5);
  EXPECT_EQ(found.at(1'000'000'000'000).kind, Field::Kind::text);
}

// Lengths around those at which a value goes on, on one more page.
TEST_F(PageFileTest, ReadsValuesOfEveryLength) {
  auto insert = database_->prepare("INSERT INTO t(a, b) VALUES(?1, ?2)");
  std::map<std::int64_t, std::string> expected;
  for (std::int64_t size = 0; size < 4000; size += size > 900 && size < 1100 ? 1 : 37) {
    std::string value(static_cast<std::size_t>(size), '\0');
    for (std::size_t i = 0; i < value.size(); ++i) value[i] = static_cast<char>(i * 31 + i / 256);
    insert->bind_int64(1, size);
    insert->bind_blob(2, value);
    ASSERT_TRUE(insert->run());
    expected[size] = value;
  }
  std::map<std::int64_t, std::string> found;
  rows(&found);
  EXPECT_EQ(found, expected);
}

TEST_F(PageFileTest, TheLogCountsAsFarAsItIsWholeAndCommitted) {
  run("INSERT INTO t(a, b) VALUES(1, 10); PRAGMA wal_checkpoint(TRUNCATE)");
  run("UPDATE t SET b = 20");
  const auto after_first = std::filesystem::file_size(path_ + "-wal");
  run("UPDATE t SET b = 30");
  EXPECT_EQ(rows().at(1).integer, 30);
  const auto size = std::filesystem::file_size(path_ + "-wal");
  // The last frame is torn, and then one byte of it is wrong.
  const std::filesystem::path copy = folder_ / "b.db";
  const auto read_copy = [&](std::uintmax_t length, std::optional<std::uintmax_t> wrong) {
    std::filesystem::copy_file(path_, copy, std::filesystem::copy_options::overwrite_existing);
    const std::string log = copy.string() + "-wal";
    std::filesystem::copy_file(path_ + "-wal", log,
                               std::filesystem::copy_options::overwrite_existing);
    std::filesystem::resize_file(log, length);
    if (wrong) {
      std::fstream file(log, std::ios::in | std::ios::out | std::ios::binary);
      file.seekp(static_cast<std::streamoff>(*wrong));
      file.put('\x55');
    }
    const std::string path = std::exchange(path_, copy.string());
    const auto found = rows();
    path_ = path;
    return found.at(1).integer;
  };
  EXPECT_EQ(read_copy(size, std::nullopt), 30);
  EXPECT_EQ(read_copy(size - 1, std::nullopt), 20);
  EXPECT_EQ(read_copy(size, size - 1), 20);
  EXPECT_EQ(read_copy(size, after_first + 3), 20);
  EXPECT_EQ(read_copy(size, 40), 10) << "the first frame, and so all behind it";
  EXPECT_EQ(read_copy(size, 17), 10) << "the header";
  EXPECT_EQ(read_copy(10, std::nullopt), 10);
}

TEST_F(PageFileTest, TheSizeOfAPageIsNotForADamagedHeaderToSay) {
  run("PRAGMA wal_checkpoint(TRUNCATE)");
  const auto before = rows();
  std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(16);
  file.put('\x08');
  file.close();
  EXPECT_EQ(rows().size(), before.size());
}

TEST_F(PageFileTest, KnowsTheFreePages) {
  run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) "
      "INSERT INTO t SELECT i, zeroblob(400), NULL FROM n; DELETE FROM t WHERE a > 20; "
      "PRAGMA wal_checkpoint(TRUNCATE)");
  const auto expected = database_->number("PRAGMA freelist_count");
  // More than one page of the list.
  ASSERT_GT(*expected, 500);
  EXPECT_EQ(rows().size(), 20);
  {
    const auto file = PageFile::open(path_, kPage);
    const auto free = free_pages(*file);
    EXPECT_EQ(std::ranges::count(free->is_free, true), *expected);
  }
  // The second page of the list is garbage.
  std::string page;
  const auto first = PageFile::open(path_, kPage);
  ASSERT_TRUE(*first->read(1, page));
  ASSERT_TRUE(*first->read(static_cast<std::uint32_t>(big_endian(page, 32, 4)), page));
  const std::uint64_t second = big_endian(page, 0, 4);
  ASSERT_NE(second, 0);
  {
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>((second - 1) * kPage));
    file << std::string(kPage, '\xff');
  }
  const auto broken = free_pages(*first);
  ASSERT_TRUE(broken);
  EXPECT_FALSE(broken->complete);
}

TEST_F(PageFileTest, SaysWhatIsNotThere) {
  EXPECT_EQ(PageFile::open(path_ + "x", kPage).error().code, ErrorCode::not_found);
  const auto file = PageFile::open(path_, kPage);
  std::string page;
  EXPECT_FALSE(*file->read(0, page));
  EXPECT_FALSE(*file->read(file->count() + 1, page));
  EXPECT_FALSE(parse_leaf_page("", 1));
  EXPECT_FALSE(parse_inner_page(std::string(kPage, '\x05'), 2));
  EXPECT_FALSE(parse_record("\x09\x01"));
}

}  // namespace
}  // namespace sluice::sqlite
