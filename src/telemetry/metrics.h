// Metrics: what a server counts, in the form that Prometheus reads.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>

namespace sluice {

// A number that only grows. Thread-safe.
class Counter {
 public:
  explicit Counter(void* counter) : counter_(counter) {}
  void add(double by = 1);

 private:
  void* counter_;
};

// A number that goes up and down. Thread-safe.
class Gauge {
 public:
  explicit Gauge(void* gauge) : gauge_(gauge) {}
  void add(double by);

 private:
  void* gauge_;
};

// How values are spread over buckets. Thread-safe.
class Histogram {
 public:
  explicit Histogram(void* histogram) : histogram_(histogram) {}
  void observe(double value);

 private:
  void* histogram_;
};

// All metrics of a program. Asking twice for the same name and labels gives the same metric, at the
// cost of a lock and a search: who counts often keeps what it was given, which lives as long as the
// Metrics. Names and units are Prometheus's ("…_seconds", "…_bytes", "…_total"); labels have few
// values, and none comes from a client. Thread-safe.
class Metrics {
 public:
  using Labels = std::map<std::string, std::string>;

  Metrics();
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  Counter counter(const std::string& name, const std::string& help, const Labels& labels = {});
  Gauge gauge(const std::string& name, const std::string& help, const Labels& labels = {});
  // Buckets for durations in seconds, from 50 µs to 10 s.
  Histogram durations(const std::string& name, const std::string& help, const Labels& labels = {});

  // The text format, version 0.0.4.
  [[nodiscard]] std::string text() const;
  static constexpr const char* kContentType = "text/plain; version=0.0.4; charset=utf-8";

 private:
  struct Registry;
  std::unique_ptr<Registry> registry_;
};

}  // namespace sluice
