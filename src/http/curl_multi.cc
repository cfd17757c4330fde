#include "http/curl_multi.h"

#include <boost/asio/error.hpp>
#include <new>

namespace sluice::http {

namespace {

// More idle handles than requests in flight are never needed; this bounds what a burst leaves.
constexpr std::size_t most_spare_handles = 64;

}  // namespace

CurlMulti::Transfer::Transfer(std::shared_ptr<CurlMulti> multi, CurlHandle handle)
    : multi_(std::move(multi)), handle_(std::move(handle)), ended_(multi_->executor_) {}

CurlMulti::Transfer::~Transfer() {
  if (multi_->transfers_.erase(this) > 0) curl_multi_remove_handle(multi_->multi_, handle_.get());
  if (multi_->spare_handles_.size() < most_spare_handles) {
    multi_->spare_handles_.push_back(std::move(handle_));
  }
}

io::Task<CURLcode> CurlMulti::Transfer::run(curl_off_t upload) {
  upload_ = upload;
  moved_at_ = io::Clock::now();
  curl_easy_setopt(handle_.get(), CURLOPT_PRIVATE, this);
  // Adding only sets curl's timer; the first step is made from the loop.
  if (curl_multi_add_handle(multi_->multi_, handle_.get()) != CURLM_OK) throw std::bad_alloc();
  multi_->transfers_.insert(this);
  multi_->watch_stalls();
  while (!done_) co_await ended_.wait();
  co_return result_;
}

void CurlMulti::Transfer::end(CURLcode result) {
  result_ = result;
  done_ = true;
  ended_.notify_all();
}

void CurlMulti::Transfer::cut() {
  curl_multi_remove_handle(multi_->multi_, handle_.get());
  end(CURLE_OPERATION_TIMEDOUT);
}

void CurlMulti::Transfer::give_up() {
  if (done_) return;
  given_up_ = true;
  // Else curl would wait for the look-up of a name, which cannot be broken off.
  curl_easy_setopt(handle_.get(), CURLOPT_QUICK_EXIT, 1L);
  cut();
}

CurlMulti::CurlMulti(io::Executor executor, std::chrono::milliseconds stall, long idle_connections)
    : executor_(executor),
      stall_(stall),
      multi_(nullptr),
      timer_(executor),
      stall_timer_(executor) {
  // Both calls are counted by libcurl and safe from any thread (since 7.84).
  if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) throw std::bad_alloc();
  multi_ = curl_multi_init();
  if (multi_ == nullptr) {
    curl_global_cleanup();
    throw std::bad_alloc();
  }
  curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, &CurlMulti::on_socket);
  curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
  curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, &CurlMulti::on_timer);
  curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
  curl_multi_setopt(multi_, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
  curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, idle_connections);
}

CurlMulti::~CurlMulti() {
  // Transfers hold this object, so none is left; closing the pool calls on_socket once more.
  spare_handles_.clear();
  curl_multi_cleanup(multi_);
  for (auto& [fd, socket] : sockets_) {
    socket->dead = true;
    socket->descriptor.release();
  }
  curl_global_cleanup();
}

CurlHandle CurlMulti::take_handle() {
  CurlHandle handle;
  if (spare_handles_.empty()) {
    handle.reset(curl_easy_init());
    if (!handle) throw std::bad_alloc();
  } else {
    handle = std::move(spare_handles_.back());
    spare_handles_.pop_back();
    curl_easy_reset(handle.get());
  }
  return handle;
}

int CurlMulti::on_socket(CURL*, curl_socket_t fd, int what, void* self, void*) noexcept {
  static_cast<CurlMulti*>(self)->watch_socket(fd, what);
  return 0;
}

int CurlMulti::on_timer(CURLM*, long milliseconds, void* self) noexcept {
  auto& multi = *static_cast<CurlMulti*>(self);
  if (milliseconds < 0) {
    multi.timer_.cancel();
    return 0;
  }
  multi.timer_.expires_after(std::chrono::milliseconds(milliseconds));
  multi.timer_.async_wait([weak = multi.weak_from_this()](const boost::system::error_code& error) {
    if (error) return;
    if (const auto alive = weak.lock()) alive->act(CURL_SOCKET_TIMEOUT, 0);
  });
  return 0;
}

void CurlMulti::watch_socket(curl_socket_t fd, int what) {
  const auto known = sockets_.find(fd);
  if (what == CURL_POLL_REMOVE) {
    if (known == sockets_.end()) return;
    known->second->dead = true;
    known->second->descriptor.release();
    sockets_.erase(known);
    return;
  }
  const std::shared_ptr<Socket> socket =
      known != sockets_.end()
          ? known->second
          : sockets_.emplace(fd, std::make_shared<Socket>(executor_, fd)).first->second;
  socket->wanted = what;
  wait_for(socket, fd);
}

void CurlMulti::wait_for(const std::shared_ptr<Socket>& socket, curl_socket_t fd) {
  // A wait that curl no longer wants is left to end by itself: it is then simply not renewed.
  const auto wait = [&](bool& waiting, Descriptor::wait_type type, int event) {
    if (waiting) return;
    waiting = true;
    socket->descriptor.async_wait(type, [weak = weak_from_this(), socket, fd, event,
                                         &waiting](const boost::system::error_code& error) {
      waiting = false;  // lives in *socket, which this handler holds
      if (socket->dead || error == boost::asio::error::operation_aborted) return;
      const auto alive = weak.lock();
      if (!alive) return;
      if ((socket->wanted & event) != 0) {
        alive->act(fd, error ? CURL_CSELECT_ERR
                             : (event == CURL_POLL_IN ? CURL_CSELECT_IN : CURL_CSELECT_OUT));
      }
      if (!socket->dead) alive->wait_for(socket, fd);
    });
  };
  if ((socket->wanted & CURL_POLL_IN) != 0) {
    wait(socket->waits_to_read, Descriptor::wait_read, CURL_POLL_IN);
  }
  if ((socket->wanted & CURL_POLL_OUT) != 0) {
    wait(socket->waits_to_write, Descriptor::wait_write, CURL_POLL_OUT);
  }
}

void CurlMulti::act(curl_socket_t fd, int events) {
  int running = 0;
  curl_multi_socket_action(multi_, fd, events, &running);
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    void* transfer = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
    static_cast<Transfer*>(transfer)->end(message->data.result);
  }
}

void CurlMulti::watch_stalls() {
  if (watching_stalls_ || transfers_.empty() || stall_.count() <= 0) return;
  watching_stalls_ = true;
  stall_timer_.expires_after(stall_ / 4);
  stall_timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    const auto alive = weak.lock();
    if (!alive) return;
    alive->watching_stalls_ = false;
    if (error) return;
    alive->find_stalled();
    alive->watch_stalls();
  });
}

void CurlMulti::find_stalled() {
  const auto now = io::Clock::now();
  for (Transfer* transfer : transfers_) {
    if (transfer->done_) continue;
    CURL* const handle = transfer->handle_.get();
    curl_off_t uploaded = 0;
    curl_off_t downloaded = 0;
    long header_bytes = 0;
    curl_easy_getinfo(handle, CURLINFO_SIZE_UPLOAD_T, &uploaded);
    curl_easy_getinfo(handle, CURLINFO_SIZE_DOWNLOAD_T, &downloaded);
    curl_easy_getinfo(handle, CURLINFO_HEADER_SIZE, &header_bytes);
    const curl_off_t moved = uploaded + downloaded + header_bytes;
    // Between the request's last byte and the answer's first one the service is at work: that is
    // what the time-out of the whole request is for.
    const bool thinking = uploaded >= transfer->upload_ && header_bytes == 0;
    if (moved != transfer->moved_ || thinking) {
      transfer->moved_ = moved;
      transfer->moved_at_ = now;
    } else if (now - transfer->moved_at_ >= stall_) {
      transfer->stalled_ = true;
      transfer->cut();
    }
  }
}

}  // namespace sluice::http
