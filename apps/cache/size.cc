// sluice cache size
#include "base/size.h"

#include "base/utf8.h"
#include "json_field.h"
#include "shared_commands.h"
#include "size_text.h"

namespace sluice::cache_cli {

std::string size_json(std::string_view name, const localcache::Size& size, bool dry_run) {
  std::string out = "{";
  append_json_field(out, "namespace", name);
  out += fmt::format(R"(,"entries":{},"bytes":{},"disk_bytes":{},"max_bytes":{},"max_entries":{})",
                     size.entries, size.bytes, size.disk_bytes, size.limits.max_bytes,
                     size.limits.max_entries);
  return out + (dry_run ? ",\"dry_run\":true}\n" : "}\n");
}

std::string size_table(std::string_view name, const localcache::Size& size) {
  const auto bytes = [](std::uint64_t count) {
    return count < 1000 ? format_bytes(count)
                        : fmt::format("{} ({} bytes)", format_bytes(count), format_count(count));
  };
  return fmt::format(
      "namespace    {}\nentries      {}\nbytes        {}\non disk      {}\nmax size     {}\n"
      "max entries  {}\n",
      printable(name), format_count(size.entries), bytes(size.bytes), bytes(size.disk_bytes),
      bytes(size.limits.max_bytes),
      size.limits.max_entries == 0 ? "any number" : format_count(size.limits.max_entries));
}

std::string entries_text(std::uint64_t entries) {
  return fmt::format("{} {}", format_count(entries), entries == 1 ? "entry" : "entries");
}

int run_size(Session& session) {
  end_at_deadline(session);
  const auto cache = session.open(localcache::Access::read);
  if (!cache) return session.report(cache.error());
  const auto size = session.counts_by_walking() ? (*cache)->count() : (*cache)->size();
  if (!size) return session.report(size.error());
  const auto written = write_output(session.json() ? size_json(session.location().name, *size)
                                                   : size_table(session.location().name, *size));
  if (!written) return session.report(written.error());
  return 0;
}

}  // namespace sluice::cache_cli
