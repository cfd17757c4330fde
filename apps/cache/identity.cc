#include "identity.h"

#include <unistd.h>

#include <climits>

#include "git_config.h"
#include "localcache/location.h"

namespace sluice::cache_cli {

namespace {

Result<std::string> checked(std::string name, std::string_view source) {
  if (const auto ok = localcache::check_namespace(name); !ok) {
    return fail(ErrorCode::invalid_argument, "{}: {}", source, ok.error().message);
  }
  return name;
}

}  // namespace

Result<std::string> cache_namespace(const Invocation& invocation, const Getenv& environment,
                                    bool for_group) {
  if (auto name = invocation.value("ns")) {
    const bool flag = invocation.origin("ns") == Origin::flag;
    return checked(std::move(*name), flag ? "--ns" : "SLUICE_NS");
  }
  if (for_group) return std::string(localcache::kSharedNamespace);
  if (auto name = environment("FLOWFORGE_DEVELOPER"); name && !name->empty()) {
    return checked(std::move(*name), "FLOWFORGE_DEVELOPER");
  }
  char here[PATH_MAX];
  if (::getcwd(here, sizeof here) == nullptr) here[0] = '\0';
  if (auto name = git_user_email(here, environment); name && !name->empty()) {
    return checked(std::move(*name),
                   "git's user.email, which names the cache where --ns and SLUICE_NS do not");
  }
  return std::string(localcache::kDefaultNamespace);
}

}  // namespace sluice::cache_cli
