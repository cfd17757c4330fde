// Readiness: waiting for a socket that somebody else owns.
#pragma once

#include <memory>

#include "io/task.h"

namespace sluice::postgres {

// Waits until libpq's socket can be read or written, without ever closing it. Belongs to one loop;
// one coroutine waits at a time.
class Readiness {
 public:
  explicit Readiness(io::Executor executor);
  ~Readiness();
  Readiness(const Readiness&) = delete;
  Readiness& operator=(const Readiness&) = delete;

  // From now on it is about this socket; `detach` (or another `attach`) comes before the socket is
  // closed.
  void attach(int socket);
  void detach();

  struct Wanted {
    bool read = false;
    bool write = false;
  };
  // Returns what is possible; neither, when it is `until`, or after an interrupt.
  io::Task<Wanted> wait(Wanted wanted, io::Clock::time_point until);

  // Ends the wait, and every later one. From a function that the loop calls.
  void interrupt();

 private:
  struct State;
  std::shared_ptr<State> state_;  // shared with waits of the reactor that have not ended
};

}  // namespace sluice::postgres
