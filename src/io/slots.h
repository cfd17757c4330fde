// Slots: a few places that coroutines take in turns.
#pragma once

#include <cstddef>
#include <list>
#include <utility>

#include "io/task.h"

namespace sluice::io {

// At most `count` hold a slot at the same time; the others wait, and are served in the order in
// which they came. Belongs to one loop, and outlives those that wait and those that hold one.
class Slots {
 public:
  explicit Slots(std::size_t count) : free_(count) {}
  Slots(const Slots&) = delete;
  Slots& operator=(const Slots&) = delete;

  // A slot, until it ends; made by default it is none.
  class Slot {
   public:
    Slot() = default;
    Slot(Slot&& other) noexcept : slots_(std::exchange(other.slots_, nullptr)) {}
    Slot& operator=(Slot&& other) noexcept {
      std::swap(slots_, other.slots_);
      return *this;
    }
    ~Slot() { give_back(); }
    void give_back() {
      if (slots_ != nullptr) std::exchange(slots_, nullptr)->hand_on();
    }

   private:
    friend class Slots;
    explicit Slot(Slots* slots) : slots_(slots) {}
    Slots* slots_ = nullptr;
  };

  Task<Slot> take() {
    if (free_ > 0) {
      --free_;
      co_return Slot(this);
    }
    Waiter waiter(co_await boost::asio::this_coro::executor);
    waiting_.push_back(&waiter);
    while (!waiter.served) co_await waiter.changed.wait();
    co_return Slot(this);
  }

 private:
  struct Waiter {
    explicit Waiter(Executor executor) : changed(executor) {}
    Event changed;
    bool served = false;
  };

  void hand_on() {
    if (waiting_.empty()) {
      ++free_;
      return;
    }
    Waiter& next = *waiting_.front();
    waiting_.pop_front();
    next.served = true;
    next.changed.notify_all();
  }

  std::size_t free_;
  std::list<Waiter*> waiting_;
};

}  // namespace sluice::io
