#include "io/temporary.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <optional>

namespace sluice::io {
namespace {

TEST(TemporaryFolder, IsForItsOwnerAndGoesWithAllThatIsInIt) {
  std::string path;
  {
    auto made = TemporaryFolder::create("test", testing::TempDir());
    ASSERT_TRUE(made) << made.error().message;
    path = made->path();
    struct stat status{};
    ASSERT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0700u);
    std::filesystem::create_directory(path + "/inside");
    std::ofstream(path + "/inside/file") << "x";
    // What a link in it leads to is not part of it.
    std::filesystem::create_directory_symlink(testing::TempDir(), path + "/link");
  }
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_TRUE(std::filesystem::exists(testing::TempDir()));
}

TEST(TemporaryFolder, LivesOnWhereItIsMoved) {
  auto first = TemporaryFolder::create("test", testing::TempDir());
  auto second = TemporaryFolder::create("test", testing::TempDir());
  ASSERT_TRUE(first && second);
  const std::string kept = first->path();
  const std::string gone = second->path();
  EXPECT_NE(kept, gone);
  *second = std::move(*first);
  EXPECT_FALSE(std::filesystem::exists(gone));
  std::optional<TemporaryFolder> last(std::move(*second));
  EXPECT_TRUE(std::filesystem::exists(kept));
  last.reset();
  EXPECT_FALSE(std::filesystem::exists(kept));
}

TEST(TemporaryFolder, SaysWhereItCannotBeMade) {
  const auto made = TemporaryFolder::create("test", "/nonexistent/folder");
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().message.find("/nonexistent/folder"), std::string::npos);
}

}  // namespace
}  // namespace sluice::io
