#include "server/tokens.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "server/token_guard.h"

namespace sluice::server {
namespace {

// printf %s one | sha256sum
constexpr std::string_view kOne =
    "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed";
constexpr std::string_view kTwo =
    "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3";

std::string entry(std::string_view name, std::string_view hash, std::string_view more = {}) {
  return fmt::format("[[token]]\nname = \"{}\"\nsha256 = \"{}\"\n{}\n", name, hash,
                     more.empty() ? "access = \"read\"" : more);
}

TEST(Tokens, AreRead) {
  const auto tokens = Tokens::parse(
      entry("a", kOne) + entry("b", kTwo,
                               "access = \"write\"\naccounts = [\"x\", \"y\"]\n"
                               "namespaces = [\"My Namespace\"]\nemail = \"b@example.com\""),
      "t.toml");
  ASSERT_TRUE(tokens) << tokens.error().message;
  ASSERT_EQ(tokens->all().size(), 2u);
  const Token& a = tokens->all().front();
  const Token& b = tokens->all().back();
  EXPECT_FALSE(a.may_write);
  EXPECT_TRUE(a.allows_account("any"));
  EXPECT_TRUE(a.allows_namespace({"any"}));
  EXPECT_TRUE(b.may_write);
  EXPECT_TRUE(b.allows_account("y"));
  EXPECT_FALSE(b.allows_account("z"));
  EXPECT_TRUE(b.allows_namespace({"id", "My Namespace"}));
  EXPECT_FALSE(b.allows_namespace({"id", "my namespace"}));
  EXPECT_EQ(tokens->by_name("b"), &b);
  EXPECT_EQ(tokens->by_name(""), nullptr);

  EXPECT_EQ(tokens->find({.authorization = "Bearer one"}), &a);
  EXPECT_EQ(tokens->find({.email = "b@example.com", .key = "two"}), &b);
  using Problem = Tokens::Problem;
  EXPECT_EQ(tokens->find({}).error(), Problem::none);
  EXPECT_EQ(tokens->find({.authorization = "Bearer two"}).error(), Problem::unknown_token);
  EXPECT_EQ(tokens->find({.authorization = "Bearer  one"}).error(), Problem::unknown_token);
  EXPECT_EQ(tokens->find({.authorization = "Bearer"}).error(), Problem::malformed);
  EXPECT_EQ(tokens->find({.authorization = "one"}).error(), Problem::malformed);
  EXPECT_EQ(tokens->find({.email = "b@example.com"}).error(), Problem::malformed);
  EXPECT_EQ(tokens->find({.email = "", .key = "one"}).error(), Problem::malformed);
  EXPECT_EQ(tokens->find({.email = "a@example.com", .key = "two"}).error(), Problem::unknown_key);
}

TEST(Tokens, MistakesAreNamed) {
  const std::pair<std::string, std::string_view> table[] = {
      {"", "holds no token"},
      {"# nothing\n", "holds no token"},
      {"token = []", "t.toml:1: a token begins with [[token]]"},
      {"[token]\nname = \"a\"", "t.toml:1: a token begins with [[token]]"},
      {"[[tokens]]\n",
       "t.toml:1: there is no setting \"tokens\" in a file of tokens. Did you mean "
       "\"token\"?"},
      {"[[token]]\nname = a", "t.toml:2: the file is not valid TOML"},
      {entry("a", kOne, "access = \"read\"\nacounts = [\"x\"]"),
       "t.toml:5: there is no setting \"acounts\" of a token. Did you mean \"accounts\"?"},
      {entry("a", "12ab"), "t.toml:3: \"sha256\" must be"},
      {entry("a", kOne, "access = \"admin\""), "t.toml:4: \"access\" must be"},
      {entry("a", kOne, "email = \"e\""), "t.toml:1: the token \"a\" has no \"access\""},
      {"[[token]]\nname = \"a\"\naccess = \"read\"", "t.toml:1: the token \"a\" has no \"sha256\""},
      {"[[token]]\naccess = \"read\"", "t.toml:1: this token has no \"name\""},
      {entry("", kOne), "t.toml:2: \"name\" must be a text"},
      {entry("a", kOne, "access = \"read\"\nnamespaces = []"),
       "t.toml:5: \"namespaces\" names none"},
      {entry("a", kOne, "access = \"read\"\naccounts = \"x\""),
       "t.toml:5: \"accounts\" must be a list"},
      {entry("a", kOne, "access = \"read\"\naccounts = [1]"),
       "t.toml:5: \"accounts\" must be a list"},
      {entry("a", kOne) + entry("a", kTwo), "t.toml:5: there are two tokens \"a\""},
      {entry("a", kOne) + entry("b", kOne), "have the same sha256"},
  };
  for (const auto& [text, message] : table) {
    const auto tokens = Tokens::parse(text, "t.toml");
    ASSERT_FALSE(tokens) << text;
    EXPECT_NE(tokens.error().message.find(message), std::string::npos)
        << text << tokens.error().message;
    EXPECT_EQ(tokens.error().message.find(kOne.substr(0, 16)), std::string::npos);
  }
}

TEST(TokenGuard, LetsAnyTokenPass) {
  const auto tokens = Tokens::parse(entry("a", kOne), "t.toml");
  ASSERT_TRUE(tokens);
  const Guard guard = token_guard(std::make_shared<const Tokens>(*tokens));
  Request request;
  const Route route;
  Call call{request, route, {}};
  const auto refused = guard(call);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 401);
  ASSERT_EQ(refused->headers.size(), 1u);
  EXPECT_EQ(refused->headers.front().first, "WWW-Authenticate");
  request.headers = {{"authorization", "Bearer one"}};
  EXPECT_FALSE(guard(call));
  EXPECT_EQ(call.caller, "a");
}

TEST(Tokens, TheFileMustBeItsOwnersAlone) {
  std::string folder = (std::filesystem::temp_directory_path() / "sluice-tokens-XXXXXX").string();
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  const std::string path = folder + "/tokens.toml";
  std::ofstream(path) << entry("a", kOne);
  const std::pair<mode_t, bool> modes[] = {{0600, true},  {0400, true},  {0640, true},
                                           {0644, false}, {0660, false}, {0602, false},
                                           {0604, false}};
  for (const auto& [mode, good] : modes) {
    ASSERT_EQ(chmod(path.c_str(), mode), 0);
    const auto tokens = Tokens::read(path);
    EXPECT_EQ(tokens.has_value(), good) << mode;
    if (!good) EXPECT_NE(tokens.error().message.find("chmod 600 " + path), std::string::npos);
  }
  EXPECT_FALSE(Tokens::read(folder));
  EXPECT_EQ(Tokens::read(folder + "/none").error().code, ErrorCode::not_found);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace sluice::server
