#include "console.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <utility>

#include "terminal.h"

namespace sluice::cli {

namespace {

constexpr std::string_view kPlain = "\x1b[0m";

void write_to(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t wrote = ::write(descriptor, text.data(), text.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0 && errno == EPIPE && descriptor == STDOUT_FILENO) die_of_broken_pipe();
    if (wrote < 0 && descriptor == STDOUT_FILENO) {
      const Error error = system_error(errno, "write to stdout");
      write_to(STDERR_FILENO, fmt::format("sluice: {}\n", error.message));
      std::_Exit(static_cast<int>(ExitCode::failed));
    }
    if (wrote < 0) return;  // nobody reads what is only for people
    text.remove_prefix(static_cast<std::size_t>(wrote));
  }
}

}  // namespace

void die_of_broken_pipe() {
  cache_cli::die_of(SIGPIPE);
}

void print(std::string_view text) {
  write_to(STDOUT_FILENO, text);
}

Console::Console(const Options& options)
    : options_(options),
      stdout_is_terminal_(::isatty(STDOUT_FILENO) == 1),
      stderr_is_terminal_(::isatty(STDERR_FILENO) == 1),
      interactive_(stderr_is_terminal_ && ::isatty(STDIN_FILENO) == 1),
      colored_(options.color == Color::always ||
               (options.color == Color::automatic && stderr_is_terminal_ && !options.no_color)) {}

std::size_t Console::width() const {
  struct winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

void Console::line(std::string_view color, std::string_view text) {
  std::string out;
  if (!bar_.empty()) out += wipe();
  if (colored_ && !color.empty()) {
    out += fmt::format("{}{}{}\n", color, text, kPlain);
  } else {
    out += fmt::format("{}\n", text);
  }
  out += bar_;
  write_to(STDERR_FILENO, out);
}

void Console::error(const Error& error) {
  line("\x1b[31m", fmt::format("sluice: {}", error.message));
}

void Console::set_bar(std::string bar) {
  if (bar.empty() && bar_.empty()) return;
  const std::string gone = wipe();
  bar_ = std::move(bar);
  write_to(STDERR_FILENO, gone + bar_);
}

std::string Console::wipe() const {
  std::string text = "\r\x1b[K";
  for (auto lines = std::ranges::count(bar_, '\n'); lines > 0; --lines) text += "\x1b[A\x1b[K";
  return text;
}

bool Console::ready() const {
  struct pollfd stderr_state{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
  return ::poll(&stderr_state, 1, 0) == 1 && (stderr_state.revents & POLLOUT) != 0;
}

io::Task<Result<bool>> Console::confirm(io::Stop& stop, std::string question) {
  set_bar("");
  write_to(STDERR_FILENO, fmt::format("{} [y/N] ", question));
  using Descriptor = boost::asio::posix::basic_stream_descriptor<io::Executor>;
  const io::Executor executor = co_await boost::asio::this_coro::executor;
  Descriptor input(executor, ::dup(STDIN_FILENO));
  const io::Stop::Listener listener(stop, [&input] { input.cancel(); });
  std::string answer;
  char byte = 0;
  boost::system::error_code error;
  asking_ = true;
  while (!error && !stop.requested() && answer.size() < 100) {
    // Waits only, so that stdin itself does not become non-blocking for whoever shares it.
    co_await input.async_wait(Descriptor::wait_read,
                              boost::asio::redirect_error(io::use_task, error));
    if (error || ::read(input.native_handle(), &byte, 1) != 1 || byte == '\n') break;
    answer += byte;
  }
  asking_ = false;
  if (stop.requested()) {
    write_to(STDERR_FILENO, "\n");
    co_return std::unexpected(stop.reason());
  }
  co_return answer == "y" || answer == "Y" || answer == "yes" || answer == "Yes" || answer == "YES";
}

}  // namespace sluice::cli
