// The Cloudflare backend against the service's rules: the suite that every store has to pass, on a
// server that behaves and on one that keeps failing.
#include "store/conformance.h"

#include <gtest/gtest.h>

#include "store/cloudflare/cloudflare.h"
#include "tests/cloudflare/fake.h"

namespace sluice::store {
namespace {

using cloudflare_fake::FakeCloudflare;
using conformance::Conformance;

// A server, and the backend that speaks to it.
class CloudflareFixture : public conformance::Fixture {
 public:
  CloudflareFixture(io::Loop& loop, cloudflare_fake::FaultPlan faults)
      : stop_(loop.executor()), log_(LogLevel::off) {
    fake_.set_faults(std::move(faults));
    Environment environment{.executor = loop.executor(),
                            .stop = stop_,
                            .log = log_,
                            .setting = [this](std::string_view name) -> std::string {
                              if (name == "CLOUDFLARE_API_BASE_URL") return fake_.base_url();
                              if (name == "CLOUDFLARE_API_TOKEN") return "test-token";
                              return {};
                            },
                            .data_folder = {},
                            .gate = {},
                            // Quick, since the server is: what counts is that it is tried again.
                            .retry = {.attempts = 12,
                                      .base = std::chrono::milliseconds(1),
                                      .longest = std::chrono::milliseconds(4)}};
    auto opened = open_cloudflare("0123456789abcdef0123456789abcdef", environment);
    if (!opened) throw std::runtime_error(opened.error().message);
    opened_ = std::move(*opened);
  }

  Backend& backend() override { return *opened_.backend; }

 private:
  FakeCloudflare fake_;
  io::Stop stop_;
  Log log_;
  Opened opened_;
};

conformance::Subject subject(std::string name, cloudflare_fake::FaultPlan faults) {
  return {.name = std::move(name),
          .open = [faults = std::move(faults)](
                      io::Loop& loop) { return std::make_unique<CloudflareFixture>(loop, faults); },
          .many = 5'000,
          .property_runs = 20};
}

// No 524: of several entries it asks for a smaller batch, which is the caller's affair. No
// malformed answers: a value that is cut short, with the length that goes with it, is what no
// client can notice. Everything here heals when it is tried again, and the routes are those that
// may be: to create a namespace twice is another thing.
cloudflare_fake::FaultPlan healing_faults() {
  using cloudflare_fake::Fault;
  cloudflare_fake::FaultPlan plan;
  plan.rates = {{Fault::internal_error, 3}, {Fault::unavailable, 3}, {Fault::throttled_html, 3},
                {Fault::cut_before, 3},     {Fault::cut_after, 3},   {Fault::cut_middle, 3},
                {Fault::close_idle, 5},     {Fault::empty_page, 5}};
  plan.rate_routes = {"GET keys",      "PUT bulk",   "POST bulk/delete",
                      "POST bulk/get", "GET values", "GET namespaces"};
  plan.retry_after = 0;
  return plan;
}

INSTANTIATE_TEST_SUITE_P(Cloudflare, Conformance, testing::Values(subject("Calm", {})),
                         [](const auto& info) { return info.param.name; });
INSTANTIATE_TEST_SUITE_P(CloudflareUnderFaults, Conformance,
                         testing::Values(subject("Stormy", healing_faults())),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace sluice::store
