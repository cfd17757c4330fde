// Account: one Cloudflare account, as its backend and its stores share it.
#pragma once

#include <memory>
#include <string>

#include "store/cloudflare/connection.h"

namespace sluice::store::cloudflare {

struct Account {
  std::shared_ptr<Connection> connection;
  std::string id;
  std::string namespaces_path;  // "/accounts/ID/storage/kv/namespaces"
};

}  // namespace sluice::store::cloudflare
