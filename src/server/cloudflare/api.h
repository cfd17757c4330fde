// Api: Cloudflare's REST API for Workers KV, over any store.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/memory_budget.h"
#include "io/slots.h"
#include "server/cloudflare/envelope.h"
#include "server/cloudflare/namespaces.h"
#include "server/cloudflare/rules.h"
#include "server/rate_limit.h"
#include "server/router.h"
#include "server/tokens.h"
#include "store/store.h"
#include "telemetry/log.h"

namespace sluice::server::cloudflare {

struct BulkGet;

// Answers every route of Workers KV as Cloudflare does, so that its clients (wrangler, ours) cannot
// tell the difference: limits, codes, envelope, paging. What its documentation leaves open is as
// the service was seen to do it.
//
// Where it is stricter or more exact: a text is never changed but for bytes that are not UTF-8; a
// listing shows a key that is not UTF-8 (another program's) with U+FFFD, under which it cannot be
// got.
//
// Memory: a request's body is what the connection holds, and is worked on in place. An answer of
// more than MemoryBudget::kSmall holds a lease; when there is no room it is dropped, and made again
// when there is, for Options::patience; then 503. One that takes several turns of the loop to make
// (a bulk get) holds it from the beginning.
//
// Beyond Cloudflare's API: over a store that can seek, a listing takes `after` and `until`, and
// `GET …/keys/split?parts=N` says where to cut one into pieces; the answers that tell of namespaces
// say so in a header (store/cloudflare/seeking.h), which only our client looks at.
//
// One Api for each loop, over a backend that may be used from it. It and the backend outlive the
// requests.
class Api {
 public:
  struct Options {
    std::string account{};                        // the only one that is served; empty: any
    std::shared_ptr<const Tokens> tokens{};       // null: nobody is asked for credentials
    std::shared_ptr<RateLimit> rate_limit{};      // shared by the loops; null: none
    http::MemoryBudget* memory = nullptr;         // shared by the loops; null: no bound
    std::shared_ptr<NamespaceChanges> changes{};  // shared by the loops; null: there is one loop
    Log* log = nullptr;                           // of failures that clients are told little about
    std::chrono::milliseconds patience{10'000};
    std::function<std::int64_t()> now{};  // seconds since 1970-01-01 UTC; empty: the clock
  };

  Api(store::Backend& backend, Options options);
  ~Api();
  Api(const Api&) = delete;
  Api& operator=(const Api&) = delete;

  // The routes below `base` ("/client/v4"), which have the envelope for their errors. The router
  // does not outlive this.
  void add_routes(Router& router, std::string_view base);
  [[nodiscard]] const ErrorFace& face() const { return face_; }

 private:
  using Answer = Result<Response>;

  // What a request does, and to how much: it decides which tokens may.
  enum class Access : std::uint8_t { read, write };
  Route route(std::string_view method, std::string path, std::uint64_t body_limit, Access access,
              io::Task<Answer> (Api::*handler)(Call&));

  // api.cc
  std::vector<Route> routes(std::string_view base);
  std::optional<Response> guard(Call& call, Access access);
  // Whether it names a host that only this machine can be, as it has to where nobody is asked for
  // credentials.
  bool is_meant_for_here(const http::ServerRequest& request);
  Response too_many_requests(const RateLimit::Standing& standing) const;
  // Adds what Cloudflare says of the rate limit to the answer of `handler`.
  io::Task<Answer> with_rate_headers(Call& call, io::Task<Answer> (Api::*handler)(Call&));
  void add_rate_headers(Response& response, const RateLimit::Standing& standing) const;
  // The token of the call; null: none is asked for.
  [[nodiscard]] const Token* token(const Call& call) const;
  [[nodiscard]] static bool may_use(const Token* token, const store::Namespace& which);

  // The namespace that the call names, if its sender may use it; else what to answer.
  using Found = std::expected<NamespaceTable::PlacePtr, Answer>;
  io::Task<Found> find_namespace(Call& call);
  // The same without a coroutine, for what is known; null: find_namespace has to be asked.
  NamespaceTable::PlacePtr known_namespace(const Call& call);
  // A failure of the store while it worked in `place`.
  Answer failed(const NamespaceTable::Place& place, Error error);

  [[nodiscard]] std::int64_t now() const;
  // Whether the budget has room for so many bytes now; then `lease` covers them.
  bool covers(http::MemoryBudget::Lease& lease, std::uint64_t bytes) const {
    return options_.memory == nullptr || options_.memory->try_cover(lease, bytes);
  }
  // The same for the whole answer, which holds it then.
  bool settle(Response& response) const { return covers(response.memory, response.body().size()); }
  // `answer`, or, when there is no room for it, what `make()` answers once there is.
  template <class Make>
  io::Task<Answer> bounded(Answer answer, Make make);
  [[nodiscard]] static Response no_room();

  // values.cc
  io::Task<Answer> get_value(Call& call);
  io::Task<Answer> value_answer(const NamespaceTable::Place& place, std::string_view key);
  io::Task<Answer> put_value(Call& call);
  io::Task<Answer> delete_value(Call& call);
  io::Task<Answer> get_metadata(Call& call);
  // listing.cc
  struct Listing;
  io::Task<Answer> list_keys(Call& call);
  io::Task<Answer> list_answer(const NamespaceTable::Place& place, const Listing& asked);
  io::Task<Answer> split_keys(Call& call);
  // bulk_write.cc
  io::Task<Answer> bulk_put(Call& call);
  io::Task<Answer> bulk_delete(Call& call);
  // bulk_get.cc
  io::Task<Answer> bulk_get(Call& call);
  struct Room;
  io::Task<Answer> bulk_get_answer(const NamespaceTable::Place& place, const BulkGet& asked,
                                   Room& room);
  // namespace_routes.cc
  struct NamespacePage;
  io::Task<Answer> list_namespaces(Call& call);
  io::Task<Answer> namespaces_answer(const Call& call, const NamespacePage& asked);
  void tell_seeking(Response& response, const store::Namespace& one);
  io::Task<Answer> get_namespace(Call& call);
  io::Task<Answer> create_namespace(Call& call);
  io::Task<Answer> rename_namespace(Call& call);
  io::Task<Answer> delete_namespace(Call& call);

  static constexpr std::size_t kReads = 2;

  store::Backend& backend_;
  Options options_;
  EnvelopeFace face_;
  NamespaceTable namespaces_;
  std::string last_host_;    // the last one that was found good: mostly the next request's, too
  io::Slots reads_{kReads};  // of bulk gets
  std::optional<bool> seekable_;  // unknown until there was a namespace to ask
};

template <class Make>
io::Task<Result<Response>> Api::bounded(Answer answer, Make make) {
  const io::Clock::time_point until = io::Clock::now() + options_.patience;
  while (answer && !settle(*answer)) {
    const std::uint64_t bytes = answer->body().size();
    answer = Response();  // what it holds is given back while it waits
    http::MemoryBudget::Lease lease;
    bool room = io::Clock::now() < until;
    if (room) room = co_await options_.memory->cover(lease, bytes, until);
    if (!room) co_return no_room();
    answer = co_await make();
    if (answer) answer->memory = std::move(lease);
  }
  co_return answer;
}

}  // namespace sluice::server::cloudflare
