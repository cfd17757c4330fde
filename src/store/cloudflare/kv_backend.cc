#include "store/cloudflare/kv_backend.h"

#include <algorithm>
#include <unordered_set>

#include "base/percent.h"
#include "base/utf8.h"
#include "store/cloudflare/batch_text.h"
#include "store/cloudflare/kv_store.h"

namespace sluice::store::cloudflare {

namespace {

constexpr std::size_t per_page = 1000;
constexpr std::size_t longest_title = 512;

std::string shown(std::string_view text) {
  return truncated_to_width(printable(text), 80);
}

Result<> check_title(std::string_view title) {
  if (title.empty() || title.size() > longest_title || !is_utf8(title)) {
    return fail(ErrorCode::invalid_argument,
                "\"{}\" cannot be the title of a namespace: it must be 1 to {} bytes of UTF-8.",
                shown(title), longest_title);
  }
  return {};
}

}  // namespace

std::string KvBackend::path_of(const Namespace& which) const {
  std::string path = account_->namespaces_path + "/";
  append_percent_encoded(path, which.id);
  return path;
}

io::Task<Result<std::vector<Namespace>>> KvBackend::page_through(std::string_view wanted_title) {
  std::vector<Namespace> all;
  std::unordered_set<std::string> seen;
  for (std::size_t number = 1;; ++number) {
    const auto judge = [&](http::Response& response) -> Result<NamespacePage> {
      NamespacePage page;
      const Result<Envelope> envelope =
          account_->connection->parser().namespaces(response.body, page);
      if (auto error =
              account_->connection->refusal(response, envelope, "listing the namespaces")) {
        return std::unexpected(std::move(*error));
      }
      account_->connection->learn_from(response);
      return page;
    };
    http::Request request{.url = fmt::format("{}?page={}&per_page={}&order=title&direction=asc",
                                             account_->namespaces_path, number, per_page)};
    Result<NamespacePage> page =
        co_await account_->connection->session().call(std::move(request), judge);
    if (!page) co_return std::unexpected(std::move(page.error()));
    const std::size_t received = page->namespaces.size();
    bool any_new = false;
    for (Namespace& which : page->namespaces) {
      if (!seen.insert(which.id).second) continue;  // moved here from the page before
      any_new = true;
      all.push_back(std::move(which));
      if (!wanted_title.empty() && all.back().title == wanted_title) co_return all;
    }
    // An empty page is the end, as wrangler has it; and a page that brings nothing new, or a
    // service that ignores `page` would be asked for ever. A short page alone proves nothing: a
    // service may give fewer than were asked for. It saves the last request only when the answer
    // repeats our per_page and its total is what we have.
    if (!any_new) break;
    if (received < per_page && page->per_page == per_page && page->total_count == seen.size())
      break;
  }
  co_return all;
}

io::Task<Result<std::vector<Namespace>>> KvBackend::namespaces() {
  auto all = co_await page_through({});
  if (all) std::ranges::sort(*all, {}, &Namespace::title);
  co_return all;
}

io::Task<Result<Namespace>> KvBackend::find_namespace(std::string_view name) {
  auto all = co_await page_through(name);
  if (!all) co_return std::unexpected(std::move(all.error()));
  // A title wins over an id: all titles have been looked at before an id counts.
  if (!all->empty() && all->back().title == name) co_return std::move(all->back());
  const auto found = std::ranges::find(*all, name, &Namespace::id);
  if (found != all->end()) co_return std::move(*found);
  co_return fail(ErrorCode::not_found,
                 "{} has no namespace \"{}\" among its {}; `sluice kv namespace list` shows them.",
                 description_, shown(name), all->size());
}

io::Task<Result<Namespace>> KvBackend::create_namespace(std::string_view title) {
  if (auto checked = check_title(title); !checked) co_return std::unexpected(checked.error());
  const std::string doing = fmt::format("creating the namespace \"{}\"", shown(title));
  const auto judge = [&](http::Response& response) -> Result<Namespace> {
    Namespace which;
    const Result<Envelope> envelope =
        account_->connection->parser().one_namespace(response.body, which);
    if (auto error = account_->connection->refusal(response, envelope, doing)) {
      return std::unexpected(std::move(*error));
    }
    account_->connection->learn_from(response);
    return which;
  };
  http::Request request{.method = "POST",
                        .url = account_->namespaces_path,
                        .body = title_text(title),
                        .content_type = "application/json",
                        .idempotent = false};
  Result<Namespace> made = co_await account_->connection->session().call(std::move(request), judge);
  if (made && made->title.empty()) made->title = title;
  co_return made;
}

io::Task<Result<>> KvBackend::rename_namespace(const Namespace& which, std::string_view title) {
  if (auto checked = check_title(title); !checked) co_return std::unexpected(checked.error());
  const std::string doing =
      fmt::format("renaming the namespace \"{}\" to \"{}\"", shown(which.title), shown(title));
  const auto judge = [&](http::Response& response) -> Result<> {
    const Result<Envelope> envelope = account_->connection->parser().envelope(response.body);
    if (auto error = account_->connection->refusal(response, envelope, doing)) {
      return std::unexpected(std::move(*error));
    }
    return {};
  };
  http::Request request{.method = "PUT",
                        .url = path_of(which),
                        .body = title_text(title),
                        .content_type = "application/json"};
  co_return co_await account_->connection->session().call(std::move(request), judge);
}

io::Task<Result<>> KvBackend::delete_namespace(const Namespace& which) {
  const std::string doing = fmt::format("deleting the namespace \"{}\"", shown(which.title));
  const auto judge = [&](http::Response& response) -> Result<> {
    const Result<Envelope> envelope = account_->connection->parser().envelope(response.body);
    auto error = account_->connection->refusal(response, envelope, doing);
    // Gone at a second try: the first one, whose answer was lost, has deleted it.
    constexpr int namespace_not_found = 10013;
    const bool gone = envelope && envelope->code == namespace_not_found;
    if (error && gone && response.sending > 1) return {};
    if (error) return std::unexpected(std::move(*error));
    return {};
  };
  http::Request request{.method = "DELETE", .url = path_of(which)};
  co_return co_await account_->connection->session().call(std::move(request), judge);
}

std::unique_ptr<Store> KvBackend::open(const Namespace& which) {
  return std::make_unique<KvStore>(account_, which);
}

}  // namespace sluice::store::cloudflare
