// TaskGroup: a bounded number of tasks at the same time.
#pragma once

#include <cstddef>
#include <exception>

#include "io/task.h"

namespace sluice::io {

// Runs tasks side by side, at most `limit` at once; `spawn` waits for a place, which is the
// back-pressure of a pipeline. Tasks report through what they refer to; one that throws makes
// `join` throw. Always `co_await join()` before what the tasks refer to goes away: the destructor
// requires that none is left.
class TaskGroup {
 public:
  TaskGroup(Executor executor, std::size_t limit)
      : executor_(executor), limit_(limit), changed_(executor) {}
  ~TaskGroup();
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;

  // Starts `task` as soon as fewer than `limit` run.
  Task<> spawn(Task<> task);
  // Waits until all have ended.
  Task<> join();
  [[nodiscard]] std::size_t running() const { return running_; }

 private:
  Executor executor_;
  std::size_t limit_;
  std::size_t running_ = 0;
  std::exception_ptr thrown_;
  Event changed_;
};

}  // namespace sluice::io
