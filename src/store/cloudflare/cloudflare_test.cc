#include "store/cloudflare/cloudflare_test.h"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <filesystem>
#include <set>

namespace sluice::store::cloudflare_test {
namespace {

TEST_F(CloudflareTest, NamesTheMissingCredentials) {
  settings.erase("CLOUDFLARE_API_TOKEN");
  auto result = open_cloudflare("acc", environment());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::unauthorized);
  EXPECT_NE(result.error().message.find("CLOUDFLARE_API_TOKEN"), std::string::npos);
  EXPECT_NE(result.error().message.find("CLOUDFLARE_API_KEY"), std::string::npos);
  settings["CLOUDFLARE_EMAIL"] = "a@b.c";
  EXPECT_FALSE(open_cloudflare("acc", environment()));
  settings["CLOUDFLARE_API_KEY"] = "key";
  EXPECT_TRUE(open_cloudflare("acc", environment()));
}

TEST_F(CloudflareTest, NamesTheMissingAccount) {
  settings.erase("CLOUDFLARE_ACCOUNT_ID");
  const auto result = open_cloudflare({}, environment());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::invalid_argument);
  EXPECT_NE(result.error().message.find("CLOUDFLARE_ACCOUNT_ID"), std::string::npos);
}

TEST_F(CloudflareTest, SendsCredentialsOnlyWhereNobodyCanReadThem) {
  for (const std::string_view url : {"http://example.org/v4", "http://127.example.org", "ftp://x",
                                     "https://user:pass@x/", "https://", "https://x/?q", "x y"}) {
    settings["CLOUDFLARE_API_BASE_URL"] = url;
    const auto result = open_cloudflare("acc", environment());
    ASSERT_FALSE(result) << url;
    EXPECT_EQ(result.error().code, ErrorCode::invalid_argument) << url;
    EXPECT_EQ(result.error().message.find("pass@"), std::string::npos);
  }
  for (const std::string_view url :
       {"https://example.org/v4", "http://localhost:1/v4", "http://[::1]:1", ""}) {
    settings["CLOUDFLARE_API_BASE_URL"] = url;
    EXPECT_TRUE(open_cloudflare("acc", environment())) << url;
  }
}

TEST_F(CloudflareTest, SharesItsBudgetWithThoseOfTheSameCredentials) {
  std::string folder = testing::TempDir() + "cloudflare-budget-XXXXXX";
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  Environment shared = environment();
  shared.budget_folder = folder;
  const auto files = [&] {
    std::set<std::string> names;
    for (const auto& file : std::filesystem::directory_iterator(folder)) {
      names.insert(file.path().filename());
    }
    return names;
  };
  EXPECT_TRUE(open_cloudflare("acc", shared));
  EXPECT_TRUE(open_cloudflare("another-account", shared));
  EXPECT_EQ(files().size(), 1u);
  EXPECT_EQ(files().begin()->find("s3cret"), std::string::npos);
  settings["CLOUDFLARE_API_TOKEN"] = "another";
  EXPECT_TRUE(open_cloudflare("acc", shared));
  EXPECT_EQ(files().size(), 2u);
  settings["CLOUDFLARE_API_BASE_URL"] = "";
  EXPECT_TRUE(open_cloudflare("acc", shared));
  EXPECT_EQ(files().size(), 3u);
  shared.budget_folder = folder + "/no/such/folder";
  EXPECT_TRUE(open_cloudflare("acc", shared)) << "works alone";
  std::filesystem::remove_all(folder);
}

TEST_F(CloudflareTest, RefusesATokenThatWouldBreakAHeader) {
  settings["CLOUDFLARE_API_TOKEN"] = "abc\r\nX: y";
  const auto result = open_cloudflare("acc", environment());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::unauthorized);
  EXPECT_EQ(result.error().message.find("abc"), std::string::npos);
}

TEST_F(CloudflareTest, DescribesItself) {
  EXPECT_EQ(opened.backend->description(),
            fmt::format("Cloudflare account acc at 127.0.0.1:{}", server.port()));
}

// --- Namespaces ------------------------------------------------------------------------------

TEST_F(CloudflareTest, PagesThroughNamespacesUntilAnEmptyPage) {
  answer(
      {json(R"({"success":true,"result":[{"id":"2","title":"b"}],"result_info":{"per_page":1}})"),
       json(R"({"success":true,"result":[{"id":"2","title":"b"},{"id":"1","title":"a"}]})"),
       json(R"({"success":true,"result":[]})")});
  const auto all = loop.run(opened.backend->namespaces());
  ASSERT_TRUE(all) << all.error().message;
  ASSERT_EQ(all->size(), 2u);
  EXPECT_EQ((*all)[0].title, "a");
  ASSERT_EQ(server.seen().size(), 3u);
  EXPECT_EQ(
      server.seen()[0].target,
      "/v4/accounts/acc/storage/kv/namespaces?page=1&per_page=1000&order=title&direction=asc");
  EXPECT_EQ(server.seen()[0].header("authorization"), "Bearer s3cret");
}

TEST_F(CloudflareTest, AShortPageEndsOnlyWithAProof) {
  answer({json(R"({"success":true,"result":[{"id":"1","title":"a"}],
                   "result_info":{"per_page":1000,"total_count":1}})")});
  ASSERT_TRUE(loop.run(opened.backend->namespaces()));
  EXPECT_EQ(server.seen().size(), 1u);
}

TEST_F(CloudflareTest, APeerThatIgnoresPagesIsNotAskedForEver) {
  answer({json(R"({"success":true,"result":[{"id":"1","title":"a"}]})")});
  const auto all = loop.run(opened.backend->namespaces());
  ASSERT_TRUE(all);
  EXPECT_EQ(all->size(), 1u);
  EXPECT_EQ(server.seen().size(), 2u);
}

TEST_F(CloudflareTest, ATitleWinsOverAnId) {
  answer({json(R"({"success":true,"result":[{"id":"x","title":"a"},{"id":"1","title":"b"}]})"),
          json(R"({"success":true,"result":[{"id":"2","title":"x"}]})"),
          json(R"({"success":true,"result":[]})")});
  EXPECT_EQ(loop.run(opened.backend->find_namespace("x"))->id, "2");
  served = 0;
  EXPECT_EQ(loop.run(opened.backend->find_namespace("1"))->title, "b");
  served = 0;
  const auto none = loop.run(opened.backend->find_namespace("none"));
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::not_found);
}

TEST_F(CloudflareTest, CreatesRenamesDeletes) {
  answer({json(R"({"success":true,"result":{"id":"9","title":"T"}})"), json(ok_null)});
  const auto made = loop.run(opened.backend->create_namespace("T"));
  ASSERT_TRUE(made);
  EXPECT_EQ(made->id, "9");
  EXPECT_TRUE(loop.run(opened.backend->rename_namespace(*made, "U\"")));
  EXPECT_TRUE(loop.run(opened.backend->delete_namespace(*made)));
  ASSERT_EQ(server.seen().size(), 3u);
  EXPECT_EQ(server.seen()[0].body, R"({"title":"T"})");
  EXPECT_EQ(server.seen()[1].method, "PUT");
  EXPECT_EQ(server.seen()[1].body, R"({"title":"U\""})");
  EXPECT_EQ(server.seen()[2].method, "DELETE");
  EXPECT_EQ(server.seen()[2].target, "/v4/accounts/acc/storage/kv/namespaces/9");
}

TEST_F(CloudflareTest, ATakenTitleIsAConflict) {
  answer({reply(
      400, R"({"success":false,"errors":[{"code":10014,"message":"exists"}],"result":null})")});
  const auto made = loop.run(opened.backend->create_namespace("T"));
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ErrorCode::conflict);
  EXPECT_FALSE(loop.run(opened.backend->create_namespace("")));
  EXPECT_EQ(server.seen().size(), 1u);
}

TEST_F(CloudflareTest, ACreationWhoseAnswerIsLostIsNotRepeated) {
  answer({cut()});
  EXPECT_FALSE(loop.run(opened.backend->create_namespace("T")));
  EXPECT_EQ(server.seen().size(), 1u);
}

TEST_F(CloudflareTest, ADeletionWhoseAnswerWasLostIsASuccess) {
  const Reply gone = reply(
      404, R"({"success":false,"errors":[{"code":10013,"message":"not found"}],"result":null})");
  answer({cut(), gone});
  EXPECT_TRUE(loop.run(opened.backend->delete_namespace({.id = "1", .title = "t"})));
  answer({gone});
  const auto deleted = loop.run(opened.backend->delete_namespace({.id = "1", .title = "t"}));
  ASSERT_FALSE(deleted);
  EXPECT_EQ(deleted.error().code, ErrorCode::not_found);
}

}  // namespace
}  // namespace sluice::store::cloudflare_test
