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
constexpr int kOther[] = {SIGUSR1, SIGUSR2};

// What a command has to end in after the SIGTERM of the --deadline.
constexpr Clock::duration kGrace = std::chrono::seconds(5);

// Signals are read from a descriptor while this lives. Those that are ignored stay so, for us and
// for the command, which inherits that: a caller such as nohup(1) wants them to pass by.
class Signals {
 public:
  Signals() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    for (const int signal : kEnding) add_unless_ignored(set, signal);
    for (const int signal : kOther) add_unless_ignored(set, signal);
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
  static void add_unless_ignored(sigset_t& set, int signal) {
    struct sigaction now{};
    if (sigaction(signal, nullptr, &now) == 0 && now.sa_handler == SIG_IGN) return;
    sigaddset(&set, signal);
  }

  sigset_t before_{};
  struct sigaction child_before_{};
  Descriptor descriptor_;
};

}  // namespace

class Child::Run {
 public:
  explicit Run(const ChildOptions& options)
      : options_(options), output_(options.keep.value_or(0), options.pass_through) {}

  void run() {
    signals_.emplace();
    began_ = Clock::now();
    running_ = start();
    while (running_ && !output_.lost()) step();
    // Who asks us to end need not wait for what comes between this and `finish`.
    if (!running_) signals_.reset();
  }

  void finish() {
    while (running_) step();
    if (output_.has_unwritten()) flush();
    signals_.reset();
    if (!output_.failure().empty()) {
      end_.code = kOwnFailure;
      end_.failure = output_.failure();
    }
  }

  [[nodiscard]] ChildOutput& output() { return output_; }
  [[nodiscard]] const ChildEnd& end() const { return end_; }

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
    const bool piped = options_.keep.has_value();
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
      output_.add(Stream::output, std::move(output.read));
      output_.add(Stream::errors, std::move(errors.read));
    }
    return true;
  }

  // In the child: becomes the command.
  [[noreturn]] void become(int output, int errors, int failure, bool piped) {
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != parent_) ::_exit(kOwnFailure);  // it died before that
    if (piped) {
      // The lowest that is free. Where there is no /dev/null, stdin is closed.
      ::close(STDIN_FILENO);
      static_cast<void>(::open("/dev/null", O_RDONLY));
      ::dup2(output, STDOUT_FILENO);
      ::dup2(errors, STDERR_FILENO);
    }
    ::umask(options_.umask);
    signals_->restore();
    std::vector<char*> words;
    for (const std::string& word : options_.words) words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    ::execvp(words[0], words.data());
    const int error = errno;
    static_cast<void>(!::write(failure, &error, sizeof error));
    ::_exit(kNoCommand);
  }

  // Waits for something to happen and does what there is to do.
  void step() {
    std::optional<Clock::time_point> next;
    if (options_.deadline && !killed_) {
      next = *options_.deadline + (end_.past_deadline ? kGrace : Clock::duration::zero());
    }
    serve(next);
    if (!running_ || !next || Clock::now() < *next) return;
    ::kill(child_, end_.past_deadline ? SIGKILL : SIGTERM);
    killed_ = end_.past_deadline;
    end_.past_deadline = true;
    end_.disturbed = true;
  }

  // False: nothing has happened until then.
  bool serve(std::optional<Clock::time_point> until) {
    waiting_.clear();
    waiting_.push_back({.fd = signals_->descriptor(), .events = POLLIN, .revents = 0});
    output_.wanted(waiting_);
    if (::poll(waiting_.data(), waiting_.size(), poll_timeout(until)) <= 0) return false;
    output_.serve(waiting_.data() + 1);
    if (waiting_[0].revents != 0) read_signals();
    return true;
  }

  // The command has ended; somebody may want us not to wait for who reads from us.
  void flush() {
    if (!signals_) signals_.emplace();
    asked_by_ = 0;
    while (output_.has_unwritten()) {
      const bool happened = serve(options_.deadline);
      if (asked_by_ != 0) {
        end_.signal = asked_by_;
        end_.code = 128 + asked_by_;
        return;
      }
      if (!happened && options_.deadline && Clock::now() >= *options_.deadline) {
        end_.code = kOwnFailure;
        end_.failure = unread_at_deadline().message;
        return;
      }
    }
  }

  void read_signals() {
    struct signalfd_siginfo info{};
    while (::read(signals_->descriptor(), &info, sizeof info) == sizeof info) {
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
      if (info.ssi_code != SI_KERNEL && running_) ::kill(child_, signal);
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
    } else if (WIFSIGNALED(status)) {
      end_.signal = WTERMSIG(status);
      end_.code = 128 + end_.signal;
    } else {
      return;
    }
    running_ = false;
    end_.took = Clock::now() - began_;
    output_.collect();
  }

  const ChildOptions options_;
  ChildOutput output_;
  std::optional<Signals> signals_;
  const pid_t parent_ = ::getpid();
  pid_t child_ = -1;
  bool running_ = false;
  bool killed_ = false;  // by us
  Clock::time_point began_;
  std::vector<struct pollfd> waiting_;
  int asked_by_ = 0;  // the last signal that asks to end
  ChildEnd end_;
};

Child::Child(const ChildOptions& options) : run_(std::make_unique<Run>(options)) {}
Child::~Child() = default;

void Child::run() {
  run_->run();
}

const std::optional<Error>& Child::lost() const {
  return run_->output().lost();
}

std::string Child::take(Stream stream) {
  return run_->output().take(stream);
}

void Child::finish() {
  run_->finish();
}

const ChildEnd& Child::end() const {
  return run_->end();
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
