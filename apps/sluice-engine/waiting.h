// waiting: what is said while a command that shows no progress waits for an answer.
#pragma once

#include <functional>
#include <utility>

#include "context.h"
#include "progress_display.h"
#include "wire_text.h"

namespace sluice::cli {

// Does `work`, and says meanwhile on a terminal what stands in its way: that nobody is reached, or
// that the rate budget is used up. `wire` is the traffic of whatever `work` asks.
template <class T>
io::Task<T> telling_obstacles(Context& context, std::function<store::WireStats()> wire,
                              io::Task<T> work) {
  const std::string flag = context.invocation->value("progress").value_or("auto");
  ProgressDisplay display(context.loop.executor(), context.progress, context.console,
                          trouble_style(flag, context.console));
  display.start([&wire] { return traffic_of(wire()); });
  T answer = co_await std::move(work);
  co_await display.stop();
  co_return answer;
}

}  // namespace sluice::cli
