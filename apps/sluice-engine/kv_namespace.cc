// sluice kv namespace list|create|rename|delete
#include <boost/json.hpp>
#include <utility>

#include "base/utf8.h"
#include "commands.h"
#include "consent.h"
#include "kv_store.h"
#include "table.h"
#include "waiting.h"

namespace sluice::cli {

namespace {

std::string json_line(const store::Namespace& one) {
  return boost::json::serialize(boost::json::object{{"id", one.id}, {"title", one.title}}) + "\n";
}

io::Task<ExitCode> list(Context& context, const Invocation& invocation) {
  const std::string url = store_url(context, invocation);
  const auto file = missing_file(context, url);
  auto opened = co_await open_backend(context, url, file.has_value());
  if (!opened) co_return report_error(context, opened.error());
  if (file)
    context.console.say("there is no file {} yet: the first write makes it", printable(*file));
  auto listing = opened->backend->namespaces();
  const auto namespaces =
      co_await telling_obstacles(context, opened->wire_stats, std::move(listing));
  if (!namespaces) co_return report_error(context, namespaces.error());
  if (invocation.on("json")) {
    std::string lines;
    for (const store::Namespace& one : *namespaces) lines += json_line(one);
    print(lines);
    co_return ExitCode::done;
  }
  Table table({{"ID"}, {"TITLE"}});
  for (const store::Namespace& one : *namespaces) table.add({one.id, one.title});
  print(table.text());
  if (table.empty()) context.console.say("{} has no namespace", opened->backend->description());
  co_return ExitCode::done;
}

io::Task<ExitCode> create(Context& context, const Invocation& invocation) {
  const std::string url = store_url(context, invocation);
  const bool dry_run = invocation.on("dry-run");
  const auto file = missing_file(context, url);
  auto opened = co_await open_backend(context, url, dry_run || file.has_value());
  if (!opened) co_return report_error(context, opened.error());
  const std::string& title = invocation.arguments().front();
  // No file is made for a title that it would have already.
  if (dry_run || file) {
    auto looking = opened->backend->find_namespace(title);
    const auto there = co_await telling_obstacles(context, opened->wire_stats, std::move(looking));
    if (there && there->title == title) {
      co_return report_error(context,
                             {ErrorCode::conflict, Retry::never, std::nullopt,
                              fmt::format("a namespace \"{}\" exists already", printable(title))});
    }
    if (!there && there.error().code != ErrorCode::not_found) {
      co_return report_error(context, there.error());
    }
  }
  if (dry_run) {
    if (file) context.console.say("would make the file {}", printable(*file));
    context.console.say("would create namespace \"{}\" in {}", printable(title),
                        opened->backend->description());
    co_return ExitCode::done;
  }
  if (file) {
    opened = co_await open_backend(context, url);
    if (!opened) co_return report_error(context, opened.error());
  }
  const auto backend = to_change(context, *opened);
  auto creating = backend->create_namespace(title);
  const auto made = co_await telling_obstacles(context, opened->wire_stats, std::move(creating));
  if (!made) co_return report_error(context, made.error());
  print(invocation.on("json") ? json_line(*made) : made->id + "\n");
  context.console.say("created namespace \"{}\" in {}", printable(title),
                      opened->backend->description());
  co_return ExitCode::done;
}

io::Task<ExitCode> rename(Context& context, const Invocation& invocation) {
  const std::string url = store_url(context, invocation);
  if (auto there = need_file(context, url); !there) co_return report_error(context, there.error());
  auto opened = co_await open_backend(context, url);
  if (!opened) co_return report_error(context, opened.error());
  auto looking = opened->backend->find_namespace(invocation.arguments()[0]);
  const auto found = co_await telling_obstacles(context, opened->wire_stats, std::move(looking));
  if (!found) co_return report_error(context, found.error());
  const std::string& title = invocation.arguments()[1];
  if (!invocation.on("dry-run")) {
    const auto backend = to_change(context, *opened);
    auto renaming = backend->rename_namespace(*found, title);
    const auto renamed =
        co_await telling_obstacles(context, opened->wire_stats, std::move(renaming));
    if (!renamed) co_return report_error(context, renamed.error());
    if (invocation.on("json")) print(json_line({.id = found->id, .title = title}));
  }
  context.console.say("{} namespace \"{}\" to \"{}\"",
                      invocation.on("dry-run") ? "would rename" : "renamed",
                      printable(found->title), printable(title));
  co_return ExitCode::done;
}

io::Task<ExitCode> remove(Context& context, const Invocation& invocation) {
  const bool dry_run = invocation.on("dry-run");
  const auto ask = must_ask(context, invocation, "kv namespace delete");
  if (!ask) co_return report_error(context, ask.error());
  const std::string url = store_url(context, invocation);
  if (auto there = need_file(context, url); !there) co_return report_error(context, there.error());
  auto opened = co_await open_backend(context, url);
  if (!opened) co_return report_error(context, opened.error());
  auto looking = opened->backend->find_namespace(invocation.arguments()[0]);
  const auto found = co_await telling_obstacles(context, opened->wire_stats, std::move(looking));
  if (!found) co_return report_error(context, found.error());
  if (*ask) {
    auto sure = co_await confirm(
        context,
        fmt::format("Delete namespace \"{}\" ({}) with all its entries from {}?",
                    printable(found->title), found->id, opened->backend->description()),
        "deleted");
    if (!sure) co_return report_error(context, sure.error());
  }
  if (!dry_run) {
    const auto backend = to_change(context, *opened);
    auto removing = backend->delete_namespace(*found);
    const auto removed =
        co_await telling_obstacles(context, opened->wire_stats, std::move(removing));
    if (!removed) co_return report_error(context, removed.error());
  }
  if (invocation.on("json")) print(json_line(*found));
  context.console.say("{} namespace \"{}\" with all its entries",
                      dry_run ? "would delete" : "deleted", printable(found->title));
  co_return ExitCode::done;
}

}  // namespace

ExitCode run_kv_namespace_list(Context& context, const Invocation& invocation) {
  const RunGuard guard = context.guard();
  return context.loop.run(list(context, invocation));
}
ExitCode run_kv_namespace_create(Context& context, const Invocation& invocation) {
  const RunGuard guard = context.guard();
  return context.loop.run(create(context, invocation));
}
ExitCode run_kv_namespace_rename(Context& context, const Invocation& invocation) {
  const RunGuard guard = context.guard();
  return context.loop.run(rename(context, invocation));
}
ExitCode run_kv_namespace_delete(Context& context, const Invocation& invocation) {
  const RunGuard guard = context.guard();
  return context.loop.run(remove(context, invocation));
}

}  // namespace sluice::cli
