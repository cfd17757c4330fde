#include "store/registry.h"

#include <gtest/gtest.h>

#include <filesystem>

namespace sluice::store {
namespace {

class RegistryTest : public testing::Test {
 public:
  RegistryTest() {
    std::string name = (std::filesystem::temp_directory_path() / "sluice-registry-XXXXXX").string();
    folder_ = mkdtemp(name.data());
    before_ = std::filesystem::current_path();
    std::filesystem::current_path(folder_);
  }
  ~RegistryTest() override {
    std::filesystem::current_path(before_);
    std::filesystem::remove_all(folder_);
  }

 protected:
  Result<Opened> open(std::string_view url) { return open_backend(url, environment_); }
  std::string refusal(std::string_view url, ErrorCode code = ErrorCode::invalid_argument) {
    auto opened = open(url);
    if (opened) return "was opened";
    EXPECT_EQ(opened.error().code, code) << url;
    return opened.error().message;
  }

  io::Loop loop_;
  io::Stop stop_{loop_.executor()};
  Log log_{LogLevel::off};
  std::filesystem::path folder_;
  std::filesystem::path before_;
  Environment environment_{.executor = loop_.executor(),
                           .stop = stop_,
                           .log = log_,
                           .setting = [](std::string_view) { return std::string(); },
                           .data_folder = "data",
                           .gate = {},
                           .retry = {}};
};

TEST_F(RegistryTest, KnownSchemesOpen) {
  struct Case {
    std::string url;
    std::string description;
  };
  const std::string absolute = (folder_ / "absolute.db").string();
  for (const auto& [url, description] :
       {Case{"sqlite:", "data/store.db"}, Case{"sqlite:relative.db", "relative.db"},
        Case{"sqlite:with space & ?#%.db", "with space & ?#%.db"},
        Case{"sqlite:" + absolute, absolute}, Case{"sqlite://" + absolute, absolute},
        Case{"SQLite:upper.db", "upper.db"}, Case{"memory:", "the memory store"}}) {
    auto opened = open(url);
    ASSERT_TRUE(opened) << url << ": " << opened.error().message;
    EXPECT_EQ(opened->backend->description(), description);
    EXPECT_EQ(opened->wire_stats().gate.sent, 0u);
    EXPECT_TRUE(opened->any_loop);
    EXPECT_TRUE(loop_.run(opened->backend->find_namespace("default")));
  }
}

TEST_F(RegistryTest, WhereNoFileMayBeMadeAMissingOneIsAnEmptyStore) {
  environment_.makes_files = false;
  for (const char* url : {"sqlite:", "sqlite:new.db"}) {
    auto opened = open(url);
    ASSERT_TRUE(opened) << url << ": " << opened.error().message;
    Backend& backend = *opened->backend;
    ASSERT_TRUE(loop_.run(backend.namespaces()));
    EXPECT_EQ(loop_.run(backend.namespaces())->size(), 1u);
    EXPECT_EQ(loop_.run(backend.find_namespace("1"))->title, "default");
    EXPECT_EQ(loop_.run(backend.find_namespace("other")).error().code, ErrorCode::not_found);
    const auto which = loop_.run(backend.find_namespace("default"));
    ASSERT_TRUE(which);
    const auto store = backend.open(*which);
    const auto page = loop_.run(store->list({}));
    ASSERT_TRUE(page);
    EXPECT_TRUE(page->entries.empty());
    EXPECT_TRUE(page->cursor.empty());
    const std::vector<std::string_view> keys{"a", "b"};
    const auto answer = loop_.run(store->get(keys));
    ASSERT_TRUE(answer);
    ASSERT_EQ(answer->entries.size(), 2u);
    EXPECT_EQ(answer->entries[1].key, "b");
    EXPECT_EQ(answer->entries[1].presence, Presence::missing);
    const std::vector<EntryView> entries{{"a", "1", {}, 0, Presence::present}};
    EXPECT_FALSE(loop_.run(store->put(entries)));
    EXPECT_FALSE(loop_.run(store->erase(keys)));
    EXPECT_FALSE(loop_.run(backend.create_namespace("other")));
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
  // It would take as much as the real one, and fails where that could not be made.
  auto absent = open("sqlite:new.db");
  EXPECT_NE(refusal("sqlite:no-folder/new.db", ErrorCode::not_found).find("no-folder/new.db"),
            std::string::npos);
  environment_.makes_files = true;
  auto real = open("sqlite:new.db");
  ASSERT_TRUE(absent && real);
  const auto limits = [&](Opened& opened) {
    const auto store = opened.backend->open(*loop_.run(opened.backend->find_namespace("default")));
    const Capabilities& can = store->capabilities();
    return std::tuple(can.key_bytes, can.value_bytes, can.put_bytes, can.ordered, can.seekable);
  };
  EXPECT_EQ(limits(*absent), limits(*real));
  EXPECT_EQ(loop_.run(absent->backend->find_namespace("default"))->id,
            loop_.run(real->backend->find_namespace("default"))->id);
}

TEST_F(RegistryTest, AnUnknownSchemeNamesTheKnownOnes) {
  for (const char* url : {"mongodb://host/x", "x:", "nonsense", "http://example.com", ""}) {
    const std::string message = refusal(url);
    for (const char* known : {"sqlite:", "memory:", "cloudflare:", "postgres:"}) {
      EXPECT_NE(message.find(known), std::string::npos) << url << ": " << message;
    }
  }
  EXPECT_NE(refusal("sqllite:/x.db").find("Did you mean \"sqlite\""), std::string::npos);
  EXPECT_NE(refusal("memori:").find("Did you mean \"memory\""), std::string::npos);
  EXPECT_NE(refusal("store.db").find("sqlite:store.db"), std::string::npos);
  EXPECT_NE(refusal("/tmp/x").find("sqlite:/tmp/x"), std::string::npos);
}

TEST_F(RegistryTest, KindsThatComeLaterAreUnsupported) {
  for (const char* url : {"redis-cluster://a,b"}) {
    EXPECT_NE(refusal(url, ErrorCode::unsupported).find("not built yet"), std::string::npos);
  }
}

TEST_F(RegistryTest, BothNamesOfPostgresAreOneKind) {
  for (const char* url :
       {"postgres://nobody@127.0.0.1:1/db", "postgresql://nobody@127.0.0.1:1/db"}) {
    auto opened = open(url);  // touches no network
    ASSERT_TRUE(opened) << opened.error().message;
    EXPECT_FALSE(opened->any_loop);
    EXPECT_EQ(opened->backend->description(), "PostgreSQL database \"db\" at 127.0.0.1:1");
  }
}

TEST_F(RegistryTest, MistakesInAnAddressAreExplained) {
  EXPECT_NE(refusal("sqlite://x.db").find("one slash"), std::string::npos);
  EXPECT_NE(refusal("sqlite:~/x.db").find("$HOME"), std::string::npos);
  EXPECT_NE(refusal("memory:x").find("nothing behind"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists("~"));
}

TEST_F(RegistryTest, APasswordIsNeverRepeated) {
  for (const char* url :
       {"mongodb://user:hunter2@host/x", "sqlite://user:hunter2@host/x",
        "redis://user:hunter2@host:notaport", "postgres://user:hunter2@host/db?x=y"}) {
    auto opened = open(url);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().message.find("hunter2"), std::string::npos) << opened.error().message;
  }
}

}  // namespace
}  // namespace sluice::store
