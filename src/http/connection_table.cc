#include "http/connection_table.h"

#include <ctime>

#include "base/timestamp.h"

namespace sluice::http {

void ConnectionTable::look_at_clock() {
  now_ = io::Clock::now();
  if (const std::time_t second = std::time(nullptr); second != second_) {
    second_ = second;
    date_ = format_http_date(second);
  }
}

io::Task<> ConnectionTable::watch() {
  while (!stopping_ || !places_.empty()) {
    look_at_clock();
    for (Place& place : places_) {
      // Each tick anew: bytes that had come by then are read although it was cancelled, and then it
      // waits for the next ones.
      if (place.deadline > now_) continue;
      place.expired = true;
      place.cancel();
    }
    co_await io::sleep_for(kTick);
  }
}

void ConnectionTable::stop() {
  stopping_ = true;
  for (Place& place : places_) {
    if (place.idle) place.cancel();
  }
}

void ConnectionTable::abort() {
  for (Place& place : places_) place.close();
}

bool ConnectionTable::drop_idle() {
  Place* oldest = nullptr;
  for (Place& place : places_) {
    if (place.idle && !place.expired && (oldest == nullptr || place.deadline < oldest->deadline)) {
      oldest = &place;
    }
  }
  if (oldest == nullptr) return false;
  oldest->expired = true;
  oldest->cancel();
  return true;
}

}  // namespace sluice::http
