// Copies every entry of one store into another: copy_stores sqlite:a.db cloudflare://ACCOUNT
#include <bulk/copy.h>
#include <store/registry.h>

#include <cstdlib>
#include <random>

using namespace sluice;

io::Task<Result<bulk::Report>> run(bulk::Job& job, const store::Environment& environment,
                                   char** urls) {
  std::unique_ptr<store::Store> stores[2];
  for (int i = 0; i < 2; ++i) {
    const auto opened = store::open_backend(urls[i], environment);
    if (!opened) co_return std::unexpected(opened.error());
    const auto found = co_await opened->backend->find_namespace("default");
    if (!found) co_return std::unexpected(found.error());
    stores[i] = opened->backend->open(*found);
  }
  co_return co_await bulk::copy(job, *stores[0], *stores[1], {});
}

int main(int argc, char** argv) {
  if (argc != 3) return fmt::print(stderr, "usage: copy_stores FROM-URL TO-URL\n"), 2;
  io::Loop loop;
  io::Stop stop(loop.executor());
  Log log(LogLevel::warn);
  flow::Progress progress;
  flow::Retrier retrier(stop, {}, std::random_device{}());
  bulk::Job job{loop.executor(), stop, log, progress, retrier, {}};
  const auto setting = [](auto name) { return std::getenv(std::string(name).c_str()) ?: ""; };
  const auto report =
      loop.run(run(job, {loop.executor(), stop, log, setting, ".", {}, {}}, ++argv));
  if (report) fmt::print("{} copied, {} failed\n", report->counts.done, report->counts.failed);
  if (!report) fmt::print(stderr, "{}\n", report.error().message);
  return static_cast<int>(report ? exit_code(*report) : exit_code(report.error().code));
}
