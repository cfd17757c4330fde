#include "postgres/readiness.h"

#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/system/error_code.hpp>
#include <cstdint>

namespace sluice::postgres {

struct Readiness::State {
  using Descriptor = boost::asio::posix::basic_stream_descriptor<io::Executor>;

  explicit State(io::Executor executor) : timer(executor), descriptor(executor) {}
  ~State() { release(); }

  void release() {
    if (descriptor.is_open()) descriptor.release();
    // What is still to come is about the old socket.
    ++generation;
    reading = writing = readable = writable = false;
  }
  void wake() {
    // The waiter is told by an expired timer, since only one may be set at a time.
    if (waiting) timer.cancel();
  }

  io::Timer timer;
  Descriptor descriptor;
  std::uint64_t generation = 0;
  bool reading = false;  // the reactor has been asked
  bool writing = false;
  bool readable = false;  // it has answered
  bool writable = false;
  bool waiting = false;
  bool interrupted = false;
};

Readiness::Readiness(io::Executor executor) : state_(std::make_shared<State>(executor)) {}

Readiness::~Readiness() {
  state_->release();
}

void Readiness::attach(int socket) {
  state_->release();
  state_->descriptor.assign(socket);
}

void Readiness::detach() {
  state_->release();
}

void Readiness::interrupt() {
  state_->interrupted = true;
  state_->wake();
}

io::Task<Readiness::Wanted> Readiness::wait(Wanted wanted, io::Clock::time_point until) {
  const std::shared_ptr<State> state = state_;
  const std::uint64_t generation = state->generation;
  // A wait that was begun earlier and has not been answered is still good.
  if (wanted.read && !state->reading) {
    state->reading = true;
    state->readable = false;
    state->descriptor.async_wait(State::Descriptor::wait_read,
                                 [state, generation](boost::system::error_code) {
                                   if (state->generation != generation) return;
                                   state->reading = false;
                                   state->readable = true;
                                   state->wake();
                                 });
  }
  if (wanted.write && !state->writing) {
    state->writing = true;
    state->writable = false;
    state->descriptor.async_wait(State::Descriptor::wait_write,
                                 [state, generation](boost::system::error_code) {
                                   if (state->generation != generation) return;
                                   state->writing = false;
                                   state->writable = true;
                                   state->wake();
                                 });
  }
  const auto ready = [&] {
    return (wanted.read && state->readable) || (wanted.write && state->writable);
  };
  while (!ready() && !state->interrupted && io::Clock::now() < until) {
    state->timer.expires_at(until);
    state->waiting = true;
    boost::system::error_code ignored;
    co_await state->timer.async_wait(boost::asio::redirect_error(io::use_task, ignored));
    state->waiting = false;
  }
  co_return Wanted{wanted.read && state->readable, wanted.write && state->writable};
}

}  // namespace sluice::postgres
