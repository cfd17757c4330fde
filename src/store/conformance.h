// The conformance suite: what every backend has to do, whatever lies behind it. For tests only.
//
// A backend's test lists what the suite needs and instantiates it:
//
//   INSTANTIATE_TEST_SUITE_P(Memory, Conformance, testing::Values(conformance::Subject{
//       .open = [](io::Loop&) { return std::make_unique<MyFixture>(…); }}));
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <functional>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "io/task.h"
#include "store/store.h"

namespace sluice::store::conformance {

// A backend to be tested, with whatever it needs to live (a folder, a server). It has no entries
// yet.
class Fixture {
 public:
  virtual ~Fixture() = default;
  virtual Backend& backend() = 0;
};

struct Subject {
  std::string name;  // of the backend, in letters and digits
  std::function<std::unique_ptr<Fixture>(io::Loop&)> open;
  // Entries of the tests that need many; fewer for a backend that is slow to test.
  std::size_t many = 5'000;
  // How often the property test runs.
  int property_runs = 40;
  // Whether several loops may use it at the same time (Opened::any_loop), and how many calls each
  // of them makes then.
  bool any_loop = false;
  std::size_t loop_steps = 60;
};
std::ostream& operator<<(std::ostream& out, const Subject& subject);

// What a store lists or answers, for comparisons.
struct Entry {
  std::string key;
  std::string value;
  std::string metadata;
  std::int64_t expiration = 0;
  friend bool operator==(const Entry&, const Entry&) = default;
  friend auto operator<=>(const Entry&, const Entry&) = default;
};
std::ostream& operator<<(std::ostream& out, const Entry& entry);

EntryView view(const Entry& entry);
std::vector<Entry> sorted(std::vector<Entry> entries);
std::vector<std::string> keys_of(const std::vector<Entry>& entries);
// Entries "key:000000", "key:000001" … with values and metadata that differ.
std::vector<Entry> numbered(std::size_t count, std::string_view prefix = "key:");

class Conformance : public testing::TestWithParam<Subject> {
 protected:
  void SetUp() override;
  void TearDown() override;

  // A new namespace, opened.
  std::unique_ptr<Store> fresh();
  Backend& backend() { return fixture_->backend(); }
  template <class T>
  T run(io::Task<T> task) {
    return loop_.run(std::move(task));
  }

  // Puts entries in as many calls as the capabilities ask for. Every key has to succeed.
  void put(Store& store, const std::vector<Entry>& entries);
  void erase(Store& store, const std::vector<std::string>& keys);
  // Everything that a listing gives, page by page. With values, they are fetched by get.
  std::vector<Entry> list(Store& store, std::string_view prefix = {}, std::size_t limit = 0,
                          bool with_values = false);
  // One key, by get. Fails the test when the call fails.
  std::optional<Entry> get(Store& store, std::string_view key, bool exact = false);

  io::Loop loop_;
  std::unique_ptr<Fixture> fixture_;
  int namespaces_made_ = 0;
};

}  // namespace sluice::store::conformance
