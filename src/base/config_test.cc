// Tests of config, settings and text_distance.
#include "base/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/command.h"
#include "base/settings.h"
#include "base/text_distance.h"

namespace sluice {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string refusal(std::string_view toml) {
  const Result<Config> config = Config::parse(toml, "config.toml");
  if (config) return "accepted";
  EXPECT_EQ(config.error().code, ErrorCode::invalid_argument);
  return config.error().message;
}

TEST(Config, Reads) {
  const Config config = Config::parse(
                            "store = \"redis://h\"\nconcurrency = 20\nin_flight = \"64MB\"\n"
                            "[cloudflare]\napi_token = 'tok'\n",
                            "c")
                            .value();
  EXPECT_EQ(config.get("store"), "redis://h");
  EXPECT_EQ(config.get("concurrency"), "20");
  EXPECT_EQ(config.get("in_flight"), "64MB");
  EXPECT_EQ(config.get("cloudflare.api_token"), "tok");
  EXPECT_EQ(config.get("namespace"), std::nullopt);
  EXPECT_TRUE(config.has_secrets());
  EXPECT_FALSE(Config::parse("", "c")->has_secrets());
  EXPECT_FALSE(Config::parse("store = 'redis://h'", "c")->has_secrets());
  EXPECT_TRUE(Config::parse("store = 'redis://:pw@h'", "c")->has_secrets());
}

TEST(Config, RefusesUnknownKeysWithTheNearest) {
  EXPECT_THAT(
      refusal("\nconcurency = 1\n"),
      testing::AllOf(HasSubstr("config.toml:2"), HasSubstr("Did you mean \"concurrency\"?")));
  EXPECT_THAT(refusal("api_token = 'x'"), HasSubstr("Did you mean \"cloudflare.api_token\"?"));
  EXPECT_THAT(refusal("[cloudflare]\napi_tokn = 'x'"),
              HasSubstr("Did you mean \"cloudflare.api_token\"?"));
  EXPECT_THAT(refusal("[cloudfare]\napi_token = 'x'"), HasSubstr("no section [cloudfare]"));
  EXPECT_THAT(refusal("zzzzzzz = 1"), Not(HasSubstr("Did you mean")));
}

TEST(Config, RefusesWrongValues) {
  EXPECT_THAT(refusal("concurrency = 'many'"), HasSubstr("config.toml:1: concurrency"));
  EXPECT_THAT(refusal("concurrency = -1"), HasSubstr("whole number"));
  EXPECT_THAT(refusal("color = 'allways'"), HasSubstr("Did you mean \"always\"?"));
  EXPECT_THAT(refusal("timeout = 5"), HasSubstr("has no unit"));
  EXPECT_THAT(refusal("concurrency = 1.5"), HasSubstr("must be a text"));
  EXPECT_THAT(refusal("store = ['a']"), HasSubstr("must be a text"));
  EXPECT_THAT(refusal("store = 'a'\nstore = 'b'"), HasSubstr("config.toml:2"));
}

TEST(Config, NeverRepeatsASecret) {
  for (const std::string_view toml :
       {"[cloudflare]\napi_token = hunter2", "[cloudflare]\napi_token = 'hunter2",
        "[cloudflare]\napi_token = ['hunter2']", "[cloudflare]\napi_token hunter2",
        "[cloudflare]\napi_token = 'x'hunter2"}) {
    EXPECT_THAT(refusal(toml),
                testing::AllOf(HasSubstr("config.toml:2"), Not(HasSubstr("hunter2"))));
  }
}

TEST(Config, TheSampleIsValidWithAndWithoutItsComments) {
  const std::string sample = sample_config();
  const Result<Config> as_written = Config::parse(sample, "sample");
  ASSERT_TRUE(as_written) << as_written.error().message;
  for (const ConfigKey& key : config_keys()) EXPECT_EQ(as_written->get(key.key), std::nullopt);

  // Every line that assigns, taken out of its comment.
  std::string active = sample;
  for (const ConfigKey& key : config_keys()) {
    const std::string_view name = key.key.substr(key.key.rfind('.') + 1);
    const std::string commented = fmt::format("\n# {} = ", name);
    const std::size_t at = active.find(commented);
    ASSERT_NE(at, std::string::npos) << key.key;
    active.erase(at + 1, 2);
  }
  const Result<Config> all = Config::parse(active, "sample");
  ASSERT_TRUE(all) << all.error().message;
  for (const ConfigKey& key : config_keys()) EXPECT_NE(all->get(key.key), std::nullopt) << key.key;
}

TEST(Config, EveryKeyWithAFlagHasOneInTheTable) {
  for (const ConfigKey& key : config_keys()) {
    if (key.flag.empty()) continue;
    bool found = false;
    for (const Command& command : commands()) found |= find_flag(command, key.flag) != nullptr;
    EXPECT_TRUE(found) << key.key;
  }
}

TEST(Settings, FlagThenEnvironmentThenConfig) {
  const Config config =
      Config::parse("[cloudflare]\naccount_id = 'from-config'\napi_token = 'tok'", "c").value();
  std::map<std::string, std::string, std::less<>> variables;
  const Getenv environment = [&](std::string_view name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  };
  const auto account = [&](const std::vector<Invocation::Given>& flags) {
    Invocation invocation =
        Invocation::make(*find_command("kv list"), flags, {}, environment).value();
    invocation.use(config);
    return find_setting("CLOUDFLARE_ACCOUNT_ID", invocation, config, environment).value();
  };
  EXPECT_EQ(account({}).value, "from-config");
  EXPECT_EQ(account({}).origin, Origin::config);
  variables["CLOUDFLARE_ACCOUNT_ID"] = "from-environment";
  EXPECT_EQ(account({}).value, "from-environment");
  EXPECT_EQ(account({}).origin, Origin::environment);
  EXPECT_EQ(account({{"account", "from-flag"}}).value, "from-flag");
  variables["SLUICE_ACCOUNT"] = "from-sluice";
  EXPECT_EQ(account({}).value, "from-sluice");
  EXPECT_EQ(account({{"account", "from-flag"}}).origin, Origin::flag);

  const Invocation invocation =
      Invocation::make(*find_command("version"), {}, {}, environment).value();
  const auto token = find_setting("CLOUDFLARE_API_TOKEN", invocation, config, environment);
  EXPECT_EQ(token->value, "tok");
  EXPECT_TRUE(token->secret);
  EXPECT_EQ(find_setting("NO_COLOR", invocation, config, environment), std::nullopt);
  variables["NO_COLOR"] = "1";
  EXPECT_EQ(find_setting("NO_COLOR", invocation, config, environment)->value, "1");
}

TEST(Settings, EffectiveOnes) {
  const Config config = Config::parse("batch_size = 7\nconcurrency = 3", "c").value();
  const Getenv environment = [](std::string_view name) -> std::optional<std::string> {
    if (name == "SLUICE_CONCURRENCY") return "4";
    return std::nullopt;
  };
  // `config show` has no --concurrency of its own.
  Invocation invocation =
      Invocation::make(*find_command("config show"), {{"timeout", "5s"}}, {}, environment).value();
  invocation.use(config);
  std::map<std::string_view, std::pair<std::string, Origin>> found;
  for (const ConfigKey& key : config_keys()) {
    if (const auto setting = effective_setting(key, invocation, config, environment)) {
      found[key.key] = {setting->value, setting->origin};
    }
  }
  EXPECT_EQ(found["timeout"], std::pair(std::string("5s"), Origin::flag));
  EXPECT_EQ(found["concurrency"], std::pair(std::string("4"), Origin::environment));
  EXPECT_EQ(found["batch_size"], std::pair(std::string("7"), Origin::config));
  EXPECT_EQ(found["in_flight"], std::pair(std::string("32MB"), Origin::standard));
  EXPECT_FALSE(found.contains("rate"));
  EXPECT_FALSE(found.contains("cloudflare.api_token"));
}

TEST(TextDistance, CountsEdits) {
  EXPECT_EQ(text_distance("", ""), 0u);
  EXPECT_EQ(text_distance("list", "LIST"), 0u);
  EXPECT_EQ(text_distance("lst", "list"), 1u);
  EXPECT_EQ(text_distance("lsit", "list"), 1u);
  EXPECT_EQ(text_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(text_distance("", "abc"), 3u);
}

TEST(TextDistance, Nearest) {
  constexpr std::string_view names[] = {"list", "get", "delete", "namespace", "max-delete"};
  EXPECT_EQ(nearest("lits", names), "list");
  EXPECT_EQ(nearest("namespce", names), "namespace");
  EXPECT_EQ(nearest("nam", names), "namespace");
  EXPECT_EQ(nearest("xyz", names), std::nullopt);
  EXPECT_EQ(nearest("", names), std::nullopt);
  EXPECT_EQ(nearest(std::string(100, 'x'), names), std::nullopt);
  EXPECT_EQ(did_you_mean("gte", names), " Did you mean \"get\"?");
}

}  // namespace
}  // namespace sluice
