#include "purge_report.h"

#include <boost/json.hpp>
#include <set>

#include "base/shell.h"
#include "base/size.h"
#include "base/utf8.h"
#include "commands.h"
#include "purge_zones.h"
#include "wire_text.h"

namespace sluice::cli {

namespace {

using cdn::PurgeKind;

// How many reasons are told.
constexpr std::size_t kMostTold = 5;

class Teller {
 public:
  Teller(Context& context, const Invocation& invocation, const PurgeOutcome& outcome)
      : context_(context), invocation_(invocation), outcome_(outcome) {}

  void tell() {
    const cdn::PurgeReport& report = outcome_.report;
    Console& console = context_.console;
    if (outcome_.dry_run) {
      for (const cdn::ZoneResult& zone : report.zones) {
        console.say("would purge {} of zone {} in {}", amount(zone.items),
                    printable(zone.zone.label()), format_count(zone.requests, "call"));
      }
    } else if (report.items() > 0) {
      std::string line = fmt::format("purged {} of {} of {}", format_count(report.purged()),
                                     amount(report.items()), zone_names(outcome_.zones));
      if (outcome_.kind == PurgeKind::everything) {
        line = fmt::format("purged everything of {} of {}", format_count(report.purged()),
                           format_count(report.items(), "zone"));
      }
      if (report.left() > 0) line += fmt::format(", {} not", format_count(report.left()));
      if (outcome_.given > outcome_.distinct) {
        line += fmt::format(", {} named twice", format_count(outcome_.given - outcome_.distinct));
      }
      console.say("{}, in {:.1f} s{}", line, outcome_.seconds, wire_text(outcome_.wire));
    }
    if (report.items() == 0) console.say("{}: there is nothing to purge", nothing_named());
    tell_failures();
    if (invocation_.on("json")) {
      print(boost::json::serialize(report_object()) + "\n");
    }
  }

 private:
  // The command that purges what this one left.
  [[nodiscard]] std::string rest_command() const {
    const cdn::PurgeReport& report = outcome_.report;
    std::string line = fmt::format("sluice purge {}", name(outcome_.kind));
    std::string zones;
    for (const cdn::ZoneResult& zone : report.zones) {
      if (zone.items == zone.purged) continue;
      zones += fmt::format("{}{}", zones.empty() ? "" : ",", zone.zone.label());
    }
    return line + fmt::format(" --zone {} --from {}", shell_quoted(zones),
                              shell_quoted(report.failure_file));
  }

  void tell_failures() {
    const cdn::PurgeReport& report = outcome_.report;
    Console& console = context_.console;
    // Why each zone ended is told by the zone; the reasons have the items that were refused.
    std::set<std::string> told;
    for (const cdn::ZoneResult& zone : report.zones) {
      if (zone.ended && told.insert(zone.ended->message).second) console.error(*zone.ended);
    }
    std::size_t reasons = 0;
    for (const bulk::FailureReason& reason : report.reasons) {
      if (told.contains(reason.message) || ++reasons > kMostTold) continue;
      console.warn("  {} failed: {}", format_count(reason.keys), printable(reason.message));
    }
    if (reasons > kMostTold) console.warn("  and {} other reasons", reasons - kMostTold);
    if (!report.failure_file.empty()) {
      console.warn("What was not purged is in {}. Purge just that with: {}", report.failure_file,
                   rest_command());
    }
  }

  // An empty list may be the right one, of a run in which nothing has changed; it may also be the
  // wrong file.
  [[nodiscard]] std::string nothing_named() const {
    const std::vector<std::string> from = invocation_.values("from");
    std::string files;
    for (const std::string& path : from) {
      files += fmt::format("{}{}", files.empty() ? "" : ", ", path == "-" ? "stdin" : path);
    }
    if (files.empty()) return fmt::format("no {} are named", name(outcome_.kind));
    return fmt::format("{} {} no {}", printable(files), from.size() == 1 ? "holds" : "hold",
                       name(outcome_.kind));
  }

  [[nodiscard]] std::string amount(std::uint64_t items) const {
    return purge_amount(outcome_.kind, items);
  }

  [[nodiscard]] boost::json::object report_object() const {
    const cdn::PurgeReport& report = outcome_.report;
    boost::json::object object{
        {"command", invocation_.path()},
        {"complete", report.left() == 0},
        {"dry_run", outcome_.dry_run},
        {"items", report.items()},
        {"duplicates", outcome_.given - outcome_.distinct},
        {"purged", outcome_.dry_run ? 0 : report.purged()},
        {"failed", outcome_.dry_run ? 0 : report.left()},
        {"milliseconds", static_cast<std::int64_t>(outcome_.seconds * 1000)}};
    add_wire(object, outcome_.wire);
    boost::json::array zones;
    for (std::size_t i = 0; i < report.zones.size(); ++i) {
      const cdn::ZoneResult& zone = report.zones[i];
      boost::json::object one{{"id", zone.zone.id},
                              {"name", zone.zone.name},
                              {"items", zone.items},
                              {"purged", outcome_.dry_run ? 0 : zone.purged},
                              {"failed", outcome_.dry_run ? 0 : zone.items - zone.purged},
                              {"requests", zone.requests}};
      if (outcome_.plans[i]) one["plan"] = cdn::name(*outcome_.plans[i]);
      if (zone.ended) {
        one["error"] =
            boost::json::object{{"code", name(zone.ended->code)}, {"message", zone.ended->message}};
      }
      zones.push_back(std::move(one));
    }
    object["zones"] = std::move(zones);
    boost::json::array reasons;
    for (const bulk::FailureReason& reason : report.reasons) {
      reasons.push_back(boost::json::object{{"error", reason.message}, {"items", reason.keys}});
    }
    if (!reasons.empty()) object["reasons"] = std::move(reasons);
    if (!report.failure_file.empty()) object["failed_items_file"] = report.failure_file;
    return object;
  }

  Context& context_;
  const Invocation& invocation_;
  const PurgeOutcome& outcome_;
};

}  // namespace

std::string purge_amount(cdn::PurgeKind kind, std::uint64_t items) {
  if (kind == PurgeKind::everything) return "everything";
  return format_count(items, cdn::singular(kind), cdn::name(kind));
}

void tell_purge(Context& context, const Invocation& invocation, const PurgeOutcome& outcome) {
  Teller(context, invocation, outcome).tell();
}

}  // namespace sluice::cli
