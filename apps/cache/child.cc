#include "child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstring>
#include <utility>
#include <vector>

#include "base/descriptor.h"
#include "base/shell.h"
#include "base/utf8.h"
#include "localcache/files.h"
#include "session.h"

namespace sluice::cache_cli {

namespace {
using Clock = std::chrono::steady_clock;

struct Pipe {
  Descriptor read;
  Descriptor write;
  bool make() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return false;
    read = Descriptor(ends[0]);
    write = Descriptor(ends[1]);
    return true;
  }
};

constexpr int kEnding[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
constexpr int kOther[] = {SIGUSR1, SIGUSR2, SIGCHLD};

// Signals are read from a descriptor while this lives.
class Signals {
 public:
  Signals() {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : kEnding) sigaddset(&set, signal);
    for (const int signal : kOther) sigaddset(&set, signal);
    sigprocmask(SIG_BLOCK, &set, &before_);
    // Somebody who ignores it would have our child's end thrown away.
    struct sigaction standard{};
    standard.sa_handler = SIG_DFL;
    sigaction(SIGCHLD, &standard, &child_before_);
    descriptor_ = Descriptor(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  }
  ~Signals() {
    sigaction(SIGCHLD, &child_before_, nullptr);
    sigprocmask(SIG_SETMASK, &before_, nullptr);
  }
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  [[nodiscard]] int descriptor() const { return descriptor_.get(); }
  // In the child.
  void restore() const {
    sigaction(SIGCHLD, &child_before_, nullptr);
    sigprocmask(SIG_SETMASK, &before_, nullptr);
  }

 private:
  sigset_t before_{};
  struct sigaction child_before_{};
  Descriptor descriptor_;
};

// One stream on its way from the command to our own.
struct Flow {
  Stream stream;
  int to;  // our own descriptor
  Descriptor from;
  std::string pending;      // read and not written yet
  bool pass_through;        // false: only given to on_output
  std::size_t at_once = 0;  // how much can be written without waiting
};

// Pipes and terminals that are ready take so much at once (POSIX's PIPE_BUF), files anything.
std::size_t at_once(int descriptor) {
  struct stat status{};
  if (::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode)) return std::size_t{1} << 16;
  return PIPE_BUF;
}

class Run {
 public:
  explicit Run(const ChildOptions& options) : options_(options) {}

  ChildEnd run() {
    const auto began = Clock::now();
    if (!start()) return end_;
    while (!exited_) step(-1);
    // What it wrote last is in the pipes.
    for (Flow& flow : flows_) drain(flow);
    if (!unwritten_.empty()) {
      end_.code = kOwnFailure;
      end_.failure = unwritten_;
    }
    end_.took = Clock::now() - began;
    return end_;
  }

 private:
  bool fail(int code, std::string_view what, int error) {
    end_.code = code;
    const char* reason = strerrordesc_np(error);
    end_.failure = fmt::format("{}: {}", what, reason != nullptr ? reason : "unknown error");
    return false;
  }

  bool start() {
    Pipe output;
    Pipe errors;
    Pipe failure;  // the errno of an exec that failed; closed by one that did not
    const bool piped = static_cast<bool>(options_.on_output);
    if (!failure.make() || (piped && (!output.make() || !errors.make()))) {
      return fail(kOwnFailure, "cannot make a pipe for the command", errno);
    }
    child_ = ::fork();
    if (child_ < 0) return fail(kOwnFailure, "cannot start a process for the command", errno);
    if (child_ == 0) become(output.write.get(), errors.write.get(), failure.write.get(), piped);
    output.write.reset();
    errors.write.reset();
    failure.write.reset();

    int error = 0;
    ssize_t got = 0;
    while ((got = ::read(failure.read.get(), &error, sizeof error)) < 0 && errno == EINTR) {
    }
    if (got == sizeof error) {
      ::waitpid(child_, nullptr, 0);
      const bool none = error == ENOENT || error == ENOTDIR;
      return fail(none ? kNoCommand : kCannotRun,
                  fmt::format("cannot run {}", options_.words.front()), error);
    }
    if (piped) {
      add_flow(Stream::output, STDOUT_FILENO, std::move(output.read));
      add_flow(Stream::errors, STDERR_FILENO, std::move(errors.read));
    }
    return true;
  }

  void add_flow(Stream stream, int to, Descriptor from) {
    ::fcntl(from.get(), F_SETFL, O_NONBLOCK);
    flows_.push_back({stream, to, std::move(from), {}, options_.pass_through, at_once(to)});
  }

  // In the child: becomes the command.
  [[noreturn]] void become(int output, int errors, int failure, bool piped) {
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != parent_) ::_exit(kOwnFailure);  // it died before that
    if (piped) {
      const int nothing = ::open("/dev/null", O_RDONLY);
      ::dup2(nothing, STDIN_FILENO);
      if (nothing > STDERR_FILENO) ::close(nothing);
      ::dup2(output, STDOUT_FILENO);
      ::dup2(errors, STDERR_FILENO);
    }
    ::umask(options_.umask);
    signals_.restore();
    std::signal(SIGPIPE, SIG_DFL);  // the engine ignores it
    std::vector<char*> words;
    for (const std::string& word : options_.words) words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    ::execvp(words[0], words.data());
    const int error = errno;
    static_cast<void>(!::write(failure, &error, sizeof error));
    ::_exit(kNoCommand);
  }

  // Waits for something to happen and does what there is to do.
  void step(int timeout) {
    std::vector<struct pollfd> waiting{
        {.fd = signals_.descriptor(), .events = POLLIN, .revents = 0}};
    for (const Flow& flow : flows_) {
      if (!flow.pending.empty()) {
        waiting.push_back({.fd = flow.to, .events = POLLOUT, .revents = 0});
      } else {
        // A negative descriptor is passed over.
        waiting.push_back({.fd = flow.from.get(), .events = POLLIN, .revents = 0});
      }
    }
    if (options_.deadline && !end_.past_deadline) {
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(*options_.deadline - Clock::now()).count();
      timeout = static_cast<int>(std::clamp<std::int64_t>(left, 0, 1'000'000));
    }
    const int ready = ::poll(waiting.data(), waiting.size(), timeout);
    if (options_.deadline && !end_.past_deadline && Clock::now() >= *options_.deadline) {
      end_.past_deadline = true;
      end_.disturbed = true;
      ::kill(child_, SIGTERM);
    }
    if (ready <= 0) return;
    for (std::size_t i = 0; i < flows_.size(); ++i) {
      if (waiting[i + 1].revents == 0) continue;
      if (!flows_[i].pending.empty()) {
        write_some(flows_[i]);
      } else {
        read_some(flows_[i]);
      }
    }
    if (waiting[0].revents != 0) read_signals();
  }

  void read_signals() {
    struct signalfd_siginfo info{};
    while (::read(signals_.descriptor(), &info, sizeof info) == sizeof info) {
      const int signal = static_cast<int>(info.ssi_signo);
      if (signal == SIGCHLD) {
        reap();
        continue;
      }
      if (std::ranges::find(kEnding, signal) != std::end(kEnding)) {
        end_.disturbed = true;
        asked_by_ = signal;
      }
      // The terminal has sent it to the command, too.
      if (info.ssi_code != SI_KERNEL && !exited_) ::kill(child_, signal);
    }
  }

  void reap() {
    int status = 0;
    pid_t got = 0;
    while ((got = ::waitpid(child_, &status, WNOHANG)) < 0 && errno == EINTR) {
    }
    if (got != child_) return;
    if (WIFEXITED(status)) {
      end_.code = WEXITSTATUS(status);
      exited_ = true;
    } else if (WIFSIGNALED(status)) {
      end_.signal = WTERMSIG(status);
      end_.code = 128 + end_.signal;
      exited_ = true;
    }
  }

  // False: there is nothing to read now, or ever.
  bool read_some(Flow& flow) {
    std::array<char, 65536> piece;
    const ssize_t got = ::read(flow.from.get(), piece.data(), piece.size());
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    if (got <= 0) {
      flow.from.reset();
      return false;
    }
    const std::string_view bytes(piece.data(), static_cast<std::size_t>(got));
    options_.on_output(flow.stream, bytes);
    if (flow.pass_through) flow.pending = bytes;
    return true;
  }

  void write_some(Flow& flow) {
    const std::size_t size = std::min(flow.pending.size(), flow.at_once);
    const ssize_t wrote = ::write(flow.to, flow.pending.data(), size);
    if (wrote >= 0) {
      flow.pending.erase(0, static_cast<std::size_t>(wrote));
    } else if (errno == EPIPE && flow.to == STDOUT_FILENO) {
      die_of(SIGPIPE);  // and so does the command
    } else if (errno != EINTR && errno != EAGAIN) {
      // A full disk, say. Nobody can be told what cannot be written to stderr.
      if (flow.to == STDOUT_FILENO) {
        unwritten_ = fmt::format("write to stdout: {}", strerrordesc_np(errno));
      }
      flow.pending.clear();
      flow.pass_through = false;
    }
  }

  // When the command has ended: whether somebody wants us not to wait for who reads from us.
  bool asked_to_end() {
    asked_by_ = 0;
    read_signals();
    if (asked_by_ == 0) return false;
    end_.signal = asked_by_;
    end_.code = 128 + asked_by_;
    return true;
  }

  void drain(Flow& flow) {
    do {
      while (!flow.pending.empty()) {
        std::array<struct pollfd, 2> ready{
            {{.fd = flow.to, .events = POLLOUT, .revents = 0},
             {.fd = signals_.descriptor(), .events = POLLIN, .revents = 0}}};
        ::poll(ready.data(), ready.size(), -1);
        if (ready[1].revents != 0 && asked_to_end()) return;
        if (ready[0].revents != 0) write_some(flow);
      }
    } while (flow.from && read_some(flow));
  }

  const ChildOptions& options_;
  const Signals signals_;
  const pid_t parent_ = ::getpid();
  pid_t child_ = -1;
  std::vector<Flow> flows_;
  bool exited_ = false;
  int asked_by_ = 0;  // the last signal that asks to end
  std::string unwritten_;
  ChildEnd end_;
};

}  // namespace

ChildEnd run_child(const ChildOptions& options) {
  return Run(options).run();
}

void die_if_interrupted(Session& session, const ChildEnd& end) {
  if (end.signal != SIGINT) return;
  session.close();
  die_of(SIGINT);
}

std::string shown(std::span<const std::string> words) {
  constexpr std::size_t kMost = 200;
  std::string line;
  for (const std::string& word : words) {
    line += fmt::format("{}{}", line.empty() ? "" : " ", shell_quoted(word));
    if (line.size() > kMost) break;
  }
  return truncated_to_width(printable(line), kMost);
}

}  // namespace sluice::cache_cli
