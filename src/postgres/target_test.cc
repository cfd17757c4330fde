#include "postgres/target.h"

#include <gtest/gtest.h>

namespace sluice::postgres {
namespace {

// libpq's keywords as they are without any setting, and what a test sets.
std::vector<Default> defaults(std::vector<std::pair<std::string, std::string>> set = {}) {
  std::vector<Default> all = libpq_defaults();
  for (Default& each : all) {
    each.value.reset();
    if (each.keyword == "port") each.value = "5432";
    if (each.keyword == "user") each.value = "me";
    for (const auto& [name, value] : set) {
      if (each.keyword == name) each.value = value;
    }
  }
  return all;
}

Result<Target> target(std::string_view url,
                      std::vector<std::pair<std::string, std::string>> set = {}) {
  static constexpr std::string_view kOwn[] = {"table"};
  auto parsed = StoreUrl::parse(url);
  if (!parsed) return std::unexpected(std::move(parsed.error()));
  return make_target(
      *parsed,
      {.own_parameters = kOwn, .ca_file = "/ca.pem", .defaults = defaults(std::move(set))});
}

using Hosts = std::vector<Target::Host>;

TEST(PostgresTarget, ARedactedPasswordIsNone) {
  EXPECT_EQ(target("postgres://u:***@h/")->find("password"), std::nullopt);
  EXPECT_EQ(target("postgres://u:secret@h/")->find("password"), "secret");
}

TEST(PostgresTarget, AUrlIsTakenApart) {
  const auto made = target("postgres://u%40x:p%3Aw@db.example:6543/app?application_name=x&table=t");
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->hosts, (Hosts{{"db.example", "", "6543"}}));
  EXPECT_EQ(made->find("user"), "u@x");
  EXPECT_EQ(made->find("password"), "p:w");
  EXPECT_EQ(made->find("dbname"), "app");
  EXPECT_EQ(made->find("application_name"), "x");
  EXPECT_EQ(made->find("table"), std::nullopt) << "not libpq's";
  EXPECT_EQ(made->description, "PostgreSQL database \"app\" at db.example:6543");
}

TEST(PostgresTarget, ServersElsewhereAreVerifiedUnlessSomethingSaysOtherwise) {
  for (const char* url : {"postgres://db.example/", "postgres://localhost/", "postgres:"}) {
    EXPECT_TRUE(target(url)->verify_remote) << url;
    EXPECT_EQ(target(url)->find("sslmode"), std::nullopt) << url;
  }
  EXPECT_FALSE(target("postgres://db.example/?sslmode=require")->verify_remote);
  EXPECT_FALSE(target("postgres://db.example/?ssl=true")->verify_remote);
  EXPECT_EQ(target("postgres://db.example/?ssl=true")->find("sslmode"), "require");
  EXPECT_FALSE(target("postgres://db.example/", {{"sslmode", "disable"}})->verify_remote);
  for (const Target::Host& host : Hosts{{"localhost", "", ""},
                                        {"127.0.0.1", "", ""},
                                        {"::1", "", ""},
                                        {"/run/postgresql", "", ""},
                                        {"", "", ""},
                                        {"db.example", "127.0.0.1", ""}}) {
    EXPECT_TRUE(is_local(host)) << host.name;
  }
  for (const Target::Host& host :
       Hosts{{"db.example", "", ""}, {"10.0.0.1", "", ""}, {"localhost", "10.0.0.1", ""}}) {
    EXPECT_FALSE(is_local(host)) << host.name;
  }
}

TEST(PostgresTarget, HostsComeFromTheUrlOrElseFromLibpq) {
  EXPECT_EQ(target("postgres://a:1,b:2/x")->hosts, (Hosts{{"a", "", "1"}, {"b", "", "2"}}));
  EXPECT_EQ(target("postgres:///x?host=/run/postgresql")->hosts,
            (Hosts{{"/run/postgresql", "", "5432"}}));
  EXPECT_EQ(target("postgres:///x?host=a,b&port=1,2")->hosts,
            (Hosts{{"a", "", "1"}, {"b", "", "2"}}));
  EXPECT_EQ(target("postgres:///x?host=a,b&port=7")->hosts,
            (Hosts{{"a", "", "7"}, {"b", "", "7"}}));
  EXPECT_EQ(target("postgres:///x?hostaddr=10.0.0.1")->hosts, (Hosts{{"", "10.0.0.1", "5432"}}));
  EXPECT_EQ(target("postgres:", {{"host", "c"}, {"port", "9"}})->hosts, (Hosts{{"c", "", "9"}}));
  EXPECT_EQ(target("postgres:///?host=a", {{"hostaddr", "10.0.0.1"}})->hosts,
            (Hosts{{"a", "", "5432"}}))
      << "PGHOSTADDR is of another host";
  EXPECT_EQ(target("postgres://%2Frun%2Fpostgresql/x")->hosts,
            (Hosts{{"/run/postgresql", "", "5432"}}));
  EXPECT_FALSE(target("postgres:///x?host=a,b&port=1,2,3"));
  EXPECT_FALSE(target("postgres:///x?host=a,b&hostaddr=1.2.3.4"));
}

TEST(PostgresTarget, WhatIsNotUnderstoodIsRefused) {
  for (const auto& [url, word] : std::vector<std::pair<std::string, std::string>>{
           {"postgres://h/d?sslmod=require", "sslmode"},
           {"postgres://h/d?service=x", "PGSERVICE"},
           {"postgres://h/d?client_encoding=LATIN1", "client_encoding"},
           {"postgres://h/d?replication=database", "replication"},
           {"postgres:file", "postgres://"},
           {"postgres://h/d?connect_timeout=soon", "connect_timeout"},
           {"postgres://h/d%00e", "zero byte"},
           {"postgres://h/d?options=a%00b", "zero byte"},
       }) {
    const auto made = target(url);
    ASSERT_FALSE(made) << url;
    EXPECT_EQ(made.error().code, ErrorCode::invalid_argument) << url;
    EXPECT_NE(made.error().message.find(word), std::string::npos) << made.error().message;
  }
  const auto made = target("postgres://u:hunter2@h/d?passwort=hunter3");
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().message.find("hunter"), std::string::npos) << made.error().message;
}

TEST(PostgresTarget, WhatNeedsToBeLookedUp) {
  EXPECT_TRUE(needs_lookup({"db.example", "", ""}));
  EXPECT_TRUE(needs_lookup({"localhost", "", ""}));
  EXPECT_FALSE(needs_lookup({"db.example", "10.0.0.1", ""}));
  EXPECT_FALSE(needs_lookup({"10.0.0.1", "", ""}));
  EXPECT_FALSE(needs_lookup({"::1", "", ""}));
  EXPECT_FALSE(needs_lookup({"/run/postgresql", "", ""}));
  EXPECT_FALSE(needs_lookup({"", "", ""}));
}

TEST(PostgresTarget, ConnectTimeout) {
  EXPECT_EQ(target("postgres://h/?connect_timeout=3")->connect_timeout, std::chrono::seconds(3));
  EXPECT_EQ(target("postgres://h/?connect_timeout=0")->connect_timeout, std::nullopt);
  EXPECT_EQ(target("postgres://h/", {{"connect_timeout", "4"}})->connect_timeout,
            std::chrono::seconds(4));
}

}  // namespace
}  // namespace sluice::postgres
