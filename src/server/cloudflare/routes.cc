#include "server/cloudflare/api.h"

namespace sluice::server::cloudflare {

void Api::add_routes(Router& router, std::string_view base) {
  for (Route& route : routes(base)) router.add(std::move(route));
  router.use(base, face_);
}

}  // namespace sluice::server::cloudflare
