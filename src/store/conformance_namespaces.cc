// Conformance: namespaces.
#include <algorithm>

#include "store/conformance.h"

namespace sluice::store::conformance {

TEST_P(Conformance, NamespacesAreCreatedListedFoundRenamedDeleted) {
  const auto titles = [&] {
    std::vector<std::string> all;
    auto spaces = run(backend().namespaces());
    EXPECT_TRUE(spaces);
    if (spaces) {
      for (const Namespace& space : *spaces) all.push_back(space.title);
    }
    return all;
  };
  const std::size_t before = titles().size();
  for (const char* title : {"my namespace", "My Namespace", "ünï/çode?%#", "zzz"}) {
    auto made = run(backend().create_namespace(title));
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_EQ(made->title, title);
    EXPECT_FALSE(made->id.empty());
  }
  auto all = titles();
  EXPECT_EQ(all.size(), before + 4);
  EXPECT_TRUE(std::ranges::is_sorted(all));

  auto found = run(backend().find_namespace("My Namespace"));
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->title, "My Namespace");
  auto by_id = run(backend().find_namespace(found->id));
  ASSERT_TRUE(by_id) << by_id.error().message;
  EXPECT_EQ(by_id->title, "My Namespace");

  auto renamed = run(backend().rename_namespace(*found, "renamed"));
  ASSERT_TRUE(renamed) << renamed.error().message;
  EXPECT_EQ(run(backend().find_namespace("renamed"))->id, found->id);
  auto gone = run(backend().find_namespace("My Namespace"));
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code, ErrorCode::not_found);

  auto store = backend().open(*run(backend().find_namespace("renamed")));
  put(*store, numbered(3));
  auto deleted = run(backend().delete_namespace(*run(backend().find_namespace("renamed"))));
  ASSERT_TRUE(deleted) << deleted.error().message;
  EXPECT_EQ(titles().size(), before + 3);
}

TEST_P(Conformance, ATitleThatIsTakenIsAConflict) {
  ASSERT_TRUE(run(backend().create_namespace("taken")));
  auto again = run(backend().create_namespace("taken"));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, ErrorCode::conflict);
  EXPECT_NE(again.error().message.find("taken"), std::string::npos);
  auto other = run(backend().create_namespace("other"));
  ASSERT_TRUE(other);
  auto renamed = run(backend().rename_namespace(*other, "taken"));
  ASSERT_FALSE(renamed);
  EXPECT_EQ(renamed.error().code, ErrorCode::conflict);
  EXPECT_EQ(run(backend().find_namespace("other"))->id, other->id);
}

TEST_P(Conformance, ANamespaceThatDoesNotExistIsNotFound) {
  auto found = run(backend().find_namespace("no such namespace"));
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, ErrorCode::not_found);
  EXPECT_NE(found.error().message.find("no such namespace"), std::string::npos);

  auto made = run(backend().create_namespace("short-lived"));
  ASSERT_TRUE(made);
  auto store = backend().open(*made);
  put(*store, numbered(2));
  ASSERT_TRUE(run(backend().delete_namespace(*made)));
  const std::vector<std::string_view> keys = {"key:000000"};
  const Entry entry{"k", "v", "", 0};
  const std::vector<EntryView> entries = {view(entry)};
  auto listed = run(store->list({}));
  ASSERT_FALSE(listed);
  EXPECT_EQ(listed.error().code, ErrorCode::not_found);
  auto got = run(store->get(keys));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, ErrorCode::not_found);
  auto written = run(store->put(entries));
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, ErrorCode::not_found);
  auto erased = run(store->erase(keys));
  ASSERT_FALSE(erased);
  EXPECT_EQ(erased.error().code, ErrorCode::not_found);

  auto made_up = backend().open({"no-such-id", "no-such-id"});
  auto page = run(made_up->list({}));
  ASSERT_FALSE(page);
  EXPECT_EQ(page.error().code, ErrorCode::not_found);
  auto deleted = run(backend().delete_namespace(*made));
  ASSERT_FALSE(deleted);
  EXPECT_EQ(deleted.error().code, ErrorCode::not_found);
  auto renamed = run(backend().rename_namespace(*made, "new title"));
  ASSERT_FALSE(renamed);
  EXPECT_EQ(renamed.error().code, ErrorCode::not_found);
}

TEST_P(Conformance, NamespacesDoNotMix) {
  auto one = fresh();
  auto two = fresh();
  put(*one, {{"same", "one", R"({"n":1})", 0}});
  put(*two, {{"same", "two", "", 0}, {"more", "two", "", 0}});
  EXPECT_EQ(get(*one, "same")->value, "one");
  EXPECT_EQ(get(*two, "same")->value, "two");
  erase(*two, {"same"});
  EXPECT_EQ(list(*one).size(), 1u);
  EXPECT_EQ(keys_of(list(*two)), std::vector<std::string>{"more"});
}

TEST_P(Conformance, ABadTitleIsRefused) {
  for (const std::string& title : {std::string(), std::string(513, 'x')}) {
    auto made = run(backend().create_namespace(title));
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code, ErrorCode::invalid_argument);
  }
}

}  // namespace sluice::store::conformance
