// Conformance: any sequence of calls does what it would do to a map.
#include <fmt/format.h>
#include <rapidcheck.h>

#include <algorithm>
#include <map>
#include <sstream>

#include "store/conformance.h"
#include "store/limits.h"

namespace sluice::store::conformance {

TEST_P(Conformance, BehavesAsAMapWhateverTheCalls) {
  const bool past_expiry = fresh()->capabilities().least_ttl == 0;
  const bool any_bytes = !fresh()->capabilities().keys_are_utf8;
  const auto property = [&] {
    auto store = fresh();
    const bool ordered = store->capabilities().ordered;
    // Few different keys, so that calls meet; prefixes of each other, so that order and paging
    // matter.
    const auto any_key = rc::gen::map(rc::gen::container<std::string>(rc::gen::elementOf(
                                          std::string(any_bytes ? "ab\x01\xff" : "ab/%"))),
                                      [](std::string text) { return "k" + text.substr(0, 4); });
    const auto any_metadata = rc::gen::elementOf(
        std::vector<std::string>{"", "{}", R"({"a":1})", R"({ "b" : "\u0041" })", "[1,2,3]"});
    std::map<std::string, Entry> model;
    const int steps = *rc::gen::inRange(1, 12);
    for (int step = 0; step < steps; ++step) {
      switch (*rc::gen::inRange(0, 4)) {
        case 0:
        case 1: {
          std::vector<Entry> entries;
          const int count = *rc::gen::inRange(1, 12);
          for (int i = 0; i < count; ++i) {
            Entry entry{*any_key, *rc::gen::string<std::string>(), *any_metadata, 0};
            switch (*rc::gen::inRange(0, 6)) {
              case 0:
                entry.expiration = unix_now() + 5000;
                break;
              case 1:
                entry.expiration = past_expiry ? unix_now() - 5000 : 0;
                break;
              default:
                break;
            }
            entries.push_back(entry);
          }
          put(*store, entries);
          for (const Entry& entry : entries) model[entry.key] = entry;
          std::erase_if(model, [](const auto& each) {
            return each.second.expiration != 0 && each.second.expiration < unix_now();
          });
          break;
        }
        case 2: {
          std::vector<std::string> keys;
          const int count = *rc::gen::inRange(1, 6);
          for (int i = 0; i < count; ++i) keys.push_back(*any_key);
          erase(*store, keys);
          for (const std::string& key : keys) model.erase(key);
          break;
        }
        default: {
          const std::string key = *any_key;
          const auto found = get(*store, key, true);
          const auto expected = model.find(key);
          RC_ASSERT(found.has_value() == (expected != model.end()));
          if (found) RC_ASSERT(found->value == expected->second.value);
        }
      }
      const std::string prefix =
          *rc::gen::elementOf(std::vector<std::string>{"", "k", "ka", "kab", "kb"});
      const auto limit = static_cast<std::size_t>(*rc::gen::inRange(10, 15));
      std::vector<Entry> expected;
      for (const auto& [key, entry] : model) {
        if (!key.starts_with(prefix)) continue;
        expected.push_back({key, {}, entry.metadata, entry.expiration});
      }
      auto listed = list(*store, prefix, limit);
      if (!ordered) std::ranges::sort(listed);
      RC_ASSERT(listed == expected);
    }
    RC_ASSERT(!testing::Test::HasFailure());
  };
  rc::detail::TestMetadata metadata;
  metadata.id = fmt::format("{}: behaves as a map", GetParam().name);
  rc::detail::TestParams parameters = rc::detail::configuration().testParams;
  parameters.maxSuccess = GetParam().property_runs;
  const auto result = rc::detail::checkTestable(property, metadata, parameters);
  std::ostringstream report;
  rc::detail::printResultMessage(result, report);
  EXPECT_TRUE(result.is<rc::detail::SuccessResult>()) << report.str();
}

}  // namespace sluice::store::conformance
