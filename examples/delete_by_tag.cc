// Deletes by a tag in the metadata; Ctrl-C ends it early: delete_by_tag sqlite:a.db tags draft
#include <bulk/erase.h>
#include <store/registry.h>

#include <boost/asio/signal_set.hpp>
#include <cstdlib>
#include <random>
using namespace sluice;
io::Task<> show(const flow::Progress& progress) {
  for (;; co_await io::sleep_for(std::chrono::seconds(1)))
    for (const auto& stage : progress.stages()) fmt::print("{} {}\n", stage.count, stage.name);
}

io::Task<Result<bulk::Report>> run(bulk::Job& job, store::Environment setup, char** words) {
  const auto opened = store::open_backend(words[1], setup);
  if (!opened) co_return std::unexpected(opened.error());
  const auto found = co_await opened->backend->find_namespace("default");
  if (!found) co_return std::unexpected(found.error());
  const auto store = opened->backend->open(*found);
  boost::asio::co_spawn(job.executor, show(job.progress), [](auto) {});
  co_return co_await bulk::erase(job, *store, {{.tag_field = words[2], .tag_value = words[3]}});
}

int main(int argc, char** argv) {
  if (argc != 4) return fmt::print(stderr, "usage: delete_by_tag URL FIELD VALUE\n"), 2;
  io::Loop loop;
  io::Stop stop(loop.executor());
  boost::asio::signal_set signals(loop.context(), SIGINT, SIGTERM);
  signals.async_wait([&](auto, int) { stop.request({ErrorCode::interrupted, {}, {}, "stopped"}); });
  Log log(LogLevel::warn);
  flow::Progress progress;
  flow::Retrier retrier(stop, {}, std::random_device{}());
  bulk::Job job{loop.executor(), stop, log, progress, retrier, {}};
  const auto setting = [](auto name) { return std::getenv(std::string(name).c_str()) ?: ""; };
  const auto report = loop.run(run(job, {loop.executor(), stop, log, setting, ".", {}, {}}, argv));
  if (report) fmt::print("{} deleted, {} failed\n", report->counts.done, report->counts.failed);
  if (!report) fmt::print(stderr, "{}\n", report.error().message);
  return static_cast<int>(report ? exit_code(*report) : exit_code(report.error().code));
}
