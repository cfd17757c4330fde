// Server: a real PostgreSQL for tests, in a folder of its own, that ends with the test.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <netinet/in.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace sluice::postgres {

// A new database cluster with the superuser `owner`, whose password is asked for over TCP and not
// on the Unix socket. Listens on a free loopback port. The server is told to end when the test's
// thread does, a crash included.
class Server {
 public:
  static constexpr const char* kUser = "owner";
  static constexpr const char* kPassword = "correct horse";
  static constexpr const char* kPasswordInUrl = "correct%20horse";

  Server() : folder_(make_folder()) {
    std::ofstream(folder_ / "password") << kPassword;
    own(folder_);
    own(folder_ / "password");
    const int initialized = wait_for(
        start({"initdb", "--pgdata=" + data(), std::string("--username=") + kUser,
               "--encoding=UTF8", "--locale=C", "--auth-local=trust", "--auth-host=scram-sha-256",
               "--pwfile=" + (folder_ / "password").string(), "--no-sync", "--no-instructions"}));
    if (initialized != 0) throw std::runtime_error("initdb failed:\n" + log());
    launch();
  }
  ~Server() {
    stop(SIGQUIT);
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // The server of this test program.
  static Server& shared() {
    static Server server;
    return server;
  }

  [[nodiscard]] int port() const { return port_; }
  [[nodiscard]] std::string url(std::string_view rest = "postgres") const {
    return fmt::format("postgres://{}:{}@127.0.0.1:{}/{}", kUser, kPasswordInUrl, port_, rest);
  }
  [[nodiscard]] std::string socket_url(std::string_view database = "postgres") const {
    return fmt::format("postgres://{}@/{}?host={}&port={}", kUser, database, folder_.string(),
                       port_);
  }

  // SIGQUIT: at once, as in a crash. SIGINT: tells its clients first.
  void stop(int signal) {
    if (process_ <= 0) return;
    kill(process_, signal);
    wait_for(std::exchange(process_, 0));
  }
  // Starts it again, on the same port.
  void launch() {
    for (int tries = 0; tries < 5; ++tries) {
      if (port_ == 0 || tries > 0) port_ = free_port();
      process_ =
          start({"postgres", "-D", data(), "-k", folder_.string(), "-p", std::to_string(port_),
                 "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c",
                 "full_page_writes=off", "-c", "shared_buffers=64MB", "-c", "max_connections=60"});
      if (is_ready()) return;
      stop(SIGQUIT);
    }
    throw std::runtime_error("postgres does not start:\n" + log());
  }

 private:
  [[nodiscard]] std::string data() const { return (folder_ / "data").string(); }
  [[nodiscard]] std::string log() const {
    std::ostringstream text;
    text << std::ifstream(folder_ / "log").rdbuf();
    return text.str();
  }

  static std::filesystem::path make_folder() {
    // Short, since the path of a socket has at most 107 bytes, and where another user may enter.
    std::string name = "/tmp/sluice-postgres-XXXXXX";
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    return name;
  }
  // PostgreSQL refuses to run as root, as tests in containers do.
  static const passwd* other_user() {
    if (geteuid() != 0) return nullptr;
    const passwd* user = getpwnam("postgres");
    return user != nullptr ? user : getpwnam("nobody");
  }
  static void own(const std::filesystem::path& path) {
    const passwd* user = other_user();
    if (user != nullptr && chown(path.c_str(), user->pw_uid, user->pw_gid) != 0) {
      throw std::runtime_error("chown");
    }
  }
  // The newest one that is installed.
  static std::string program(const std::string& name) {
    std::vector<std::pair<int, std::string>> found;
    std::error_code none;
    for (const auto& version : std::filesystem::directory_iterator("/usr/lib/postgresql", none)) {
      const auto path = version.path() / "bin" / name;
      if (std::filesystem::exists(path)) {
        found.emplace_back(std::atoi(version.path().filename().c_str()), path.string());
      }
    }
    return found.empty() ? name : std::ranges::max(found).second;
  }

  pid_t start(std::vector<std::string> arguments) const {
    arguments[0] = program(arguments[0]);
    std::vector<char*> pointers;
    for (std::string& argument : arguments) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    const passwd* user = other_user();
    const std::string output = (folder_ / "log").string();
    const pid_t child = fork();
    if (child != 0) return child;
    const int file = open(output.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (file >= 0) {
      dup2(file, STDOUT_FILENO);
      dup2(file, STDERR_FILENO);
    }
    if (user != nullptr &&
        (setgroups(0, nullptr) != 0 || setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0)) {
      _exit(126);
    }
    // Behind the change of user, which would undo it.
    prctl(PR_SET_PDEATHSIG, SIGQUIT);
    unsetenv("PGDATA");
    if (chdir("/") == 0) execvp(pointers[0], pointers.data());
    _exit(127);
  }
  static int wait_for(pid_t process) {
    int status = 0;
    while (waitpid(process, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  // The last line of its pid file says so.
  [[nodiscard]] bool is_ready() {
    for (int tries = 0; tries < 3000; ++tries) {
      std::ifstream file(data() + "/postmaster.pid");
      std::string line;
      bool ready = false;
      bool ours = false;
      for (int number = 1; std::getline(file, line); ++number) {
        if (number == 1) ours = line == std::to_string(process_);
        if (number == 8) ready = line.starts_with("ready");
      }
      if (ready && ours) return true;
      if (waitpid(process_, nullptr, WNOHANG) != 0) {
        process_ = 0;
        return false;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  }
  static int free_port() {
    const int descriptor = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    const bool bound =
        bind(descriptor, generic, size) == 0 && getsockname(descriptor, generic, &size) == 0;
    close(descriptor);
    if (!bound) throw std::runtime_error("no free port");
    return ntohs(address.sin_port);
  }

  std::filesystem::path folder_;
  int port_ = 0;
  pid_t process_ = 0;
};

}  // namespace sluice::postgres
