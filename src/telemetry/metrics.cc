#include "telemetry/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

namespace sluice {

void Counter::add(double by) {
  static_cast<prometheus::Counter*>(counter_)->Increment(by);
}

void Gauge::add(double by) {
  static_cast<prometheus::Gauge*>(gauge_)->Increment(by);
}

void Histogram::observe(double value) {
  static_cast<prometheus::Histogram*>(histogram_)->Observe(value);
}

struct Metrics::Registry {
  // The same name again is the same family.
  prometheus::Registry registry{prometheus::Registry::InsertBehavior::Merge};
};

Metrics::Metrics() : registry_(std::make_unique<Registry>()) {}
Metrics::~Metrics() = default;

Counter Metrics::counter(const std::string& name, const std::string& help, const Labels& labels) {
  return Counter(
      &prometheus::BuildCounter().Name(name).Help(help).Register(registry_->registry).Add(labels));
}

Gauge Metrics::gauge(const std::string& name, const std::string& help, const Labels& labels) {
  return Gauge(
      &prometheus::BuildGauge().Name(name).Help(help).Register(registry_->registry).Add(labels));
}

Histogram Metrics::durations(const std::string& name, const std::string& help,
                             const Labels& labels) {
  static const prometheus::Histogram::BucketBoundaries bounds{
      0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
      0.05,    0.1,    0.25,    0.5,    1,     2.5,    5,     10};
  return Histogram(&prometheus::BuildHistogram()
                        .Name(name)
                        .Help(help)
                        .Register(registry_->registry)
                        .Add(labels, bounds));
}

std::string Metrics::text() const {
  return prometheus::TextSerializer().Serialize(registry_->registry.Collect());
}

}  // namespace sluice
