// FaultyStore: a store that fails on command, for tests.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "store/decorator.h"

namespace sluice::store {

enum class Operation : std::uint8_t { list, get, get_exact, put, erase };

// One call as a FaultyStore's hook sees it.
struct FaultyCall {
  Operation operation = Operation::list;
  std::uint64_t number = 0;            // the how many-th call of this operation, from 1
  std::vector<std::string_view> keys;  // empty for a list
  std::string_view cursor;             // of a list
};

// What the hook wants to happen to a call.
struct Fault {
  // The call fails as a whole with this error.
  std::optional<Error> fails;
  // With `fails`: the store below has done the call nevertheless, as when a connection breaks
  // before the answer has come.
  bool applied = false;
  // The keys at these places fail with these errors; the others are done.
  std::vector<KeyFailure> failing_keys;
  // A list answers an empty page with the cursor it was asked with, or, for a first page, one that
  // the store below is not shown.
  bool empty_page = false;
};

// Wraps a store and asks `hook` before each call what is to go wrong with it. Records how many
// calls there were and how many were under way at the same time. For tests only.
class FaultyStore : public StoreDecorator {
 public:
  using Hook = std::function<Fault(const FaultyCall&)>;

  FaultyStore(std::unique_ptr<Store> below, Hook hook)
      : StoreDecorator(std::move(below)),
        hook_(std::move(hook)),
        capabilities_(this->below().capabilities()) {}

  [[nodiscard]] const Capabilities& capabilities() const override { return capabilities_; }
  // To be narrower than the store below.
  void set_capabilities(const Capabilities& capabilities) { capabilities_ = capabilities; }

  io::Task<Result<Page>> list(ListRequest request) override;
  io::Task<Result<GetAnswer>> get(std::span<const std::string_view> keys) override;
  io::Task<Result<GetAnswer>> get_exact(std::span<const std::string_view> keys) override;
  // Seen by the hook, and done, as a get.
  io::Task<Result<GetAnswer>> get_metadata(std::span<const std::string_view> keys) override;
  io::Task<Result<WriteAnswer>> put(std::span<const EntryView> entries) override;
  io::Task<Result<WriteAnswer>> erase(std::span<const std::string_view> keys) override;

  [[nodiscard]] std::uint64_t calls(Operation operation) const {
    return calls_[static_cast<std::size_t>(operation)];
  }
  [[nodiscard]] std::size_t most_at_once() const { return most_at_once_; }

 private:
  class Under;
  Fault ask(Operation operation, std::vector<std::string_view> keys, std::string_view cursor);
  io::Task<Result<GetAnswer>> get_either(Operation operation,
                                         std::span<const std::string_view> keys);

  Hook hook_;
  Capabilities capabilities_;
  std::uint64_t calls_[5] = {};
  std::size_t at_once_ = 0;
  std::size_t most_at_once_ = 0;
};

// Lists as Redis's SCAN does: without order, and with some keys again on every later page.
class UnorderedStore : public FaultyStore {
 public:
  explicit UnorderedStore(std::unique_ptr<Store> below, Hook hook = {});
  io::Task<Result<Page>> list(ListRequest request) override;

 private:
  Block again_;
};

}  // namespace sluice::store
