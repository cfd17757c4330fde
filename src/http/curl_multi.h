// CurlMulti: libcurl's multi interface on the event loop. Private to this room: the only header
// that names libcurl.
#pragma once

#include <curl/curl.h>

#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <chrono>
#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "io/task.h"

namespace sluice::http {

struct CurlHandleDeleter {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};
using CurlHandle = std::unique_ptr<CURL, CurlHandleDeleter>;

// Drives transfers by libcurl's "multi_socket" calls: curl tells which descriptors it waits for and
// when it wants to be called; Asio does the waiting.
//
// Rules that keep it sound: curl is never called from inside one of its callbacks (a transfer's end
// wakes its coroutine through the loop); a descriptor that curl is done with is released, not
// closed, since it is curl's; what waits on it holds it by shared_ptr and looks at `dead` first.
class CurlMulti : public std::enable_shared_from_this<CurlMulti> {
 public:
  // One request under way. Lives in the coroutine that waits for it; leaving the coroutine early
  // takes the transfer out.
  class Transfer {
   public:
    Transfer(std::shared_ptr<CurlMulti> multi, CurlHandle handle);
    ~Transfer();
    Transfer(const Transfer&) = delete;
    Transfer& operator=(const Transfer&) = delete;

    [[nodiscard]] CURL* handle() const { return handle_.get(); }
    // Begins, and waits for the end. `upload` is the size of the request's body.
    io::Task<CURLcode> run(curl_off_t upload);
    // Whether run ended because no byte moved (with CURLE_OPERATION_TIMEDOUT).
    [[nodiscard]] bool stalled() const { return stalled_; }
    // Ends run, with CURLE_OPERATION_TIMEDOUT, unless it has ended. Not from a callback of curl's.
    void give_up();
    [[nodiscard]] bool given_up() const { return given_up_; }

   private:
    friend class CurlMulti;
    void end(CURLcode result);
    // Takes it out of curl's hands in the middle; curl closes its connection, or resets its stream.
    void cut();

    std::shared_ptr<CurlMulti> multi_;
    CurlHandle handle_;
    io::Event ended_;
    bool done_ = false;
    bool stalled_ = false;
    bool given_up_ = false;
    CURLcode result_ = CURLE_OK;
    curl_off_t upload_ = 0;
    // What the stall watch saw last, and since when.
    curl_off_t moved_ = 0;
    io::Clock::time_point moved_at_{};
  };

  // `stall` as in Client::Options; 0 turns the watch off.
  CurlMulti(io::Executor executor, std::chrono::milliseconds stall, long idle_connections);
  ~CurlMulti();
  CurlMulti(const CurlMulti&) = delete;
  CurlMulti& operator=(const CurlMulti&) = delete;

  // A handle without options: a used one, or a new one.
  CurlHandle take_handle();

 private:
  using Descriptor = boost::asio::posix::basic_stream_descriptor<io::Executor>;
  struct Socket {
    Socket(io::Executor executor, int fd) : descriptor(executor, fd) {}
    Descriptor descriptor;
    int wanted = 0;  // CURL_POLL_*
    bool waits_to_read = false;
    bool waits_to_write = false;
    bool dead = false;
  };

  static int on_socket(CURL*, curl_socket_t fd, int what, void* self, void*) noexcept;
  static int on_timer(CURLM*, long milliseconds, void* self) noexcept;
  void watch_socket(curl_socket_t fd, int what);
  void wait_for(const std::shared_ptr<Socket>& socket, curl_socket_t fd);
  void act(curl_socket_t fd, int events);
  void watch_stalls();
  void find_stalled();

  io::Executor executor_;
  std::chrono::milliseconds stall_;
  CURLM* multi_;
  io::Timer timer_;
  io::Timer stall_timer_;
  bool watching_stalls_ = false;
  std::unordered_map<curl_socket_t, std::shared_ptr<Socket>> sockets_;
  std::unordered_set<Transfer*> transfers_;
  std::vector<CurlHandle> spare_handles_;
};

}  // namespace sluice::http
