#include "io/task_group.h"

#include <cassert>

namespace sluice::io {

TaskGroup::~TaskGroup() {
  assert(running_ == 0);
}

Task<> TaskGroup::spawn(Task<> task) {
  while (running_ >= limit_) co_await changed_.wait();
  ++running_;
  boost::asio::co_spawn(executor_, std::move(task), [this](std::exception_ptr error) {
    if (error && !thrown_) thrown_ = error;
    --running_;
    changed_.notify_all();
  });
}

Task<> TaskGroup::join() {
  while (running_ > 0) co_await changed_.wait();
  if (thrown_) std::rethrow_exception(std::exchange(thrown_, nullptr));
}

}  // namespace sluice::io
