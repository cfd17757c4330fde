#include "child_output.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <new>
#include <utility>

#include "base/size.h"
#include "terminal.h"

namespace sluice::cache_cli {

namespace {
constexpr std::size_t kPiece = std::size_t{1} << 16;  // the capacity of a pipe: pipe(7)

// An assignment would keep the memory.
void drop(std::string& bytes) {
  std::string().swap(bytes);
}
}  // namespace

void ChildOutput::add(Stream stream, Descriptor from) {
  ::fcntl(from.get(), F_SETFL, O_NONBLOCK);
  const int to = stream == Stream::output ? STDOUT_FILENO : STDERR_FILENO;
  flows_.push_back({.stream = stream,
                    .from = std::move(from),
                    .to = to,
                    .pass_through = pass_through_,
                    .at_once = writable_at_once(to),
                    .kept = {}});
}

bool ChildOutput::wants_more(const Flow& flow) const {
  return flow.from && (!lost_ || !flow.has_unwritten());
}

void ChildOutput::wanted(std::vector<struct pollfd>& waiting) const {
  // A negative descriptor is passed over.
  for (const Flow& flow : flows_) {
    waiting.push_back(
        {.fd = wants_more(flow) ? flow.from.get() : -1, .events = POLLIN, .revents = 0});
    waiting.push_back({.fd = flow.has_unwritten() ? flow.to : -1, .events = POLLOUT, .revents = 0});
  }
}

void ChildOutput::serve(const struct pollfd* answers) {
  for (Flow& flow : flows_) {
    if ((answers++)->revents != 0) read_some(flow);
    if ((answers++)->revents != 0) write_some(flow);
  }
}

void ChildOutput::collect() {
  for (Flow& flow : flows_) {
    if (!flow.from) continue;
    int left = 0;
    flow.left = ::ioctl(flow.from.get(), FIONREAD, &left) == 0 ? static_cast<std::size_t>(left) : 0;
    if (left == 0) flow.from.reset();
    while (!lost_ && read_some(flow)) {
    }
  }
}

std::string ChildOutput::take(Stream stream) {
  const auto flow = std::ranges::find(flows_, stream, &Flow::stream);
  if (flow == flows_.end()) return {};
  std::string rest;
  if (flow->has_unwritten()) rest = flow->kept.substr(flow->written);
  flow->written = 0;
  return std::exchange(flow->kept, std::move(rest));
}

bool ChildOutput::has_unwritten() const {
  return std::ranges::any_of(
      flows_, [](const Flow& flow) { return flow.has_unwritten() || (flow.from && flow.left); });
}

bool ChildOutput::make_room(Flow& flow, std::size_t size) {
  if (lost_ && !flow.pass_through) return true;
  if (flow.kept.capacity() - flow.kept.size() >= size) return true;
  try {
    flow.kept.reserve(std::max(flow.kept.size() + size, 2 * flow.kept.capacity()));
    return true;
  } catch (const std::bad_alloc&) {
    if (lost_) throw;
    lose({ErrorCode::io, Retry::never, std::nullopt,
          "there is not enough memory for what the command wrote"});
    return false;
  }
}

bool ChildOutput::read_some(Flow& flow) {
  if (!flow.from) return false;
  std::array<char, kPiece> piece;
  const std::size_t most = std::min(flow.left.value_or(piece.size()), piece.size());
  if (!make_room(flow, most)) return false;
  ssize_t got = 0;
  while ((got = ::read(flow.from.get(), piece.data(), most)) < 0 && errno == EINTR) {
  }
  if (got < 0 && errno == EAGAIN) return false;
  if (got <= 0) {
    flow.from.reset();
    return false;
  }
  keep(flow, {piece.data(), static_cast<std::size_t>(got)});
  if (flow.left) {
    *flow.left -= static_cast<std::size_t>(got);
    if (*flow.left == 0) flow.from.reset();
  }
  return true;
}

// There is room for it.
void ChildOutput::keep(Flow& flow, std::string_view bytes) {
  if (!lost_ || flow.pass_through) flow.kept += bytes;
  if (lost_) return;
  std::uint64_t size = 0;
  for (const Flow& each : flows_) size += each.kept.size();
  if (size <= most_) return;
  lose({ErrorCode::too_large, Retry::never, std::nullopt,
        fmt::format("the command wrote more than {} (--max-output)", format_bytes(most_))});
}

// What has been written need not be kept, and the rest only until it is.
void ChildOutput::lose(Error why) {
  lost_ = std::move(why);
  for (Flow& flow : flows_) {
    if (flow.has_unwritten()) {
      flow.kept.erase(0, flow.written);
    } else {
      drop(flow.kept);
    }
    flow.written = 0;
  }
}

void ChildOutput::write_some(Flow& flow) {
  const std::size_t size = std::min(flow.kept.size() - flow.written, flow.at_once);
  const ssize_t wrote = ::write(flow.to, flow.kept.data() + flow.written, size);
  if (wrote >= 0) {
    flow.written += static_cast<std::size_t>(wrote);
    if (lost_ && !flow.has_unwritten()) {
      drop(flow.kept);
      flow.written = 0;
    }
  } else if (errno == EPIPE && flow.to == STDOUT_FILENO) {
    die_of(SIGPIPE);  // and so does the command
  } else if (errno != EINTR && errno != EAGAIN) {
    // A full disk, say. Nobody can be told what cannot be written to stderr.
    if (flow.to == STDOUT_FILENO) {
      failure_ = fmt::format("write to stdout: {}", strerrordesc_np(errno));
    }
    flow.pass_through = false;
    if (lost_) drop(flow.kept);
  }
}

}  // namespace sluice::cache_cli
