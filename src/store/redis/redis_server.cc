#include "store/redis/redis_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): kill
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <thread>

namespace sluice::store::redis {

namespace {

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

// Whether the server has said since `from` in its log that it listens. Asking the port itself could
// reach somebody else's server.
bool is_ready(const std::filesystem::path& log, std::uintmax_t from) {
  std::ifstream file(log);
  file.seekg(static_cast<std::streamoff>(from));
  const std::string text(std::istreambuf_iterator<char>(file), {});
  return text.find("Ready to accept connections") != std::string::npos;
}

// Runs in the child: only what may be called after fork.
[[noreturn]] void become(const std::vector<char*>& words, int output, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);
  ::dup2(output, 1);
  ::dup2(output, 2);
  ::execvp(words[0], words.data());
  ::_exit(127);
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> all;
  for (std::string& word : words) all.push_back(word.data());
  all.push_back(nullptr);
  return all;
}

}  // namespace

std::uint16_t free_port() {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  if (::bind(socket, reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
      ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    ::close(socket);
    throw std::runtime_error("no free port");
  }
  ::close(socket);
  return ntohs(address.sin_port);
}

RedisServer::RedisServer(std::vector<std::string> arguments) : arguments_(std::move(arguments)) {
  std::string name = (std::filesystem::temp_directory_path() / "sluice-redis-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
  folder_ = name;
  // Somebody else may take the port between our look and the server's.
  for (int attempt = 0; attempt < 5; ++attempt) {
    port_ = free_port();
    if (begin()) return;
  }
  std::filesystem::remove_all(folder_);
  throw std::runtime_error("redis-server does not start; is it installed?");
}

RedisServer::~RedisServer() {
  kill();
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

std::string RedisServer::url() const {
  return fmt::format("redis://127.0.0.1:{}", port_);
}

void RedisServer::start() {
  for (int attempt = 0; attempt < 20; ++attempt) {
    if (begin()) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  throw std::runtime_error("redis-server does not start again");
}

bool RedisServer::begin() {
  std::vector<std::string> words = {"redis-server",   "--port",    std::to_string(port_),
                                    "--bind",         "127.0.0.1", "--dir",
                                    folder_.string(), "--save",    "",
                                    "--databases",    "128"};
  words.insert(words.end(), arguments_.begin(), arguments_.end());
  const std::vector<char*> all = pointers(words);
  const std::filesystem::path log_file = folder_ / "log";
  std::error_code none;
  const std::uintmax_t size = std::filesystem::file_size(log_file, none);
  const std::uintmax_t from = none ? 0 : size;
  const int log = ::open(log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ == 0) become(all, log, parent);
  ::close(log);
  for (int i = 0; i < 2000; ++i) {
    if (::waitpid(pid_, nullptr, WNOHANG) != 0) {
      pid_ = -1;
      return false;
    }
    if (is_ready(log_file, from)) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  kill();
  return false;
}

void RedisServer::kill() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

void RedisServer::pause() {
  ::kill(pid_, SIGSTOP);
}

void RedisServer::resume() {
  ::kill(pid_, SIGCONT);
}

std::string RedisServer::cli(const std::vector<std::string>& arguments) const {
  std::vector<std::string> words = {"redis-cli", "-p", std::to_string(port_)};
  words.insert(words.end(), arguments.begin(), arguments.end());
  const std::vector<char*> all = pointers(words);
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child == 0) become(all, ends[1], parent);
  ::close(ends[1]);
  std::string output;
  std::array<char, 4096> buffer;
  for (ssize_t size = 0; (size = ::read(ends[0], buffer.data(), buffer.size())) > 0;) {
    output.append(buffer.data(), static_cast<std::size_t>(size));
  }
  ::close(ends[0]);
  ::waitpid(child, nullptr, 0);
  while (output.ends_with('\n')) output.pop_back();
  return output;
}

}  // namespace sluice::store::redis
