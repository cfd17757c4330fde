#include "server/router.h"

#include <algorithm>
#include <utility>

#include "base/percent.h"

namespace sluice::server {

namespace {

// The segment at the front of `path` ("/a/b" → "a"), which is left "/b".
std::string_view take_segment(std::string_view& path) {
  path.remove_prefix(1);
  const std::string_view segment = path.substr(0, path.find('/'));
  path.remove_prefix(segment.size());
  return segment;
}

bool is_place(std::string_view segment) {
  return segment.starts_with('{') && segment.ends_with('}');
}

}  // namespace

// The routes as a tree by segments. A literal segment goes before a place.
struct Router::Node {
  // Few, so that looking at each is the quickest search.
  std::vector<std::pair<std::string, std::unique_ptr<Node>>> children;
  std::unique_ptr<Node> place;
  std::vector<const Route*> routes;  // one for each method

  // Null: there is none.
  [[nodiscard]] Node* child(std::string_view segment) const {
    for (const auto& [name, node] : children) {
      if (name == segment) return node.get();
    }
    return nullptr;
  }
  // Makes it if there is none.
  Node& at(std::string_view segment) {
    if (is_place(segment)) {
      if (place == nullptr) place = std::make_unique<Node>();
      return *place;
    }
    if (Node* known = child(segment)) return *known;
    return *children.emplace_back(segment, std::make_unique<Node>()).second;
  }
};

Router::Router() : root_(std::make_unique<Node>()) {}
Router::~Router() = default;

void Router::add(Route route) {
  if (route.name.empty()) route.name = route.path;
  Node* node = root_.get();
  for (std::string_view rest = route.path; !rest.empty();) {
    node = &node->at(take_segment(rest));
  }
  node->routes.push_back(routes_.emplace_back(std::make_unique<Route>(std::move(route))).get());
}

void Router::use(std::string_view prefix, const ErrorFace& face) {
  faces_.push_back({std::string(prefix), &face});
  std::ranges::sort(faces_, std::greater(), [](const Face& each) { return each.prefix.size(); });
}

const ErrorFace& Router::face(std::string_view path) const {
  for (const Face& each : faces_) {
    if (path.starts_with(each.prefix)) return *each.face;
  }
  return problem_json();
}

Router::Match Router::match(std::string_view method, std::string_view path) const {
  Match found;
  match(method, path, found);
  return found;
}

void Router::match(std::string_view method, std::string_view path, Match& found) const {
  found.route = nullptr;
  found.allow.clear();
  std::size_t places = 0;
  const bool encoded = path.find('%') != std::string_view::npos;
  const Node* node = root_.get();
  for (std::string_view rest = path; !rest.empty() && node != nullptr;) {
    const std::string_view segment = take_segment(rest);
    if (const Node* child = node->child(segment)) {
      node = child;
      continue;
    }
    node = segment.empty() ? nullptr : node->place.get();
    if (node == nullptr) break;
    if (places == found.places.size()) found.places.emplace_back();
    std::string& place = found.places[places++];
    place = segment;
    if (!encoded) continue;
    if (auto decoded = percent_decode(segment)) {
      place = std::move(*decoded);
    } else {
      found.refusal = {400, "The path holds a malformed percent-encoding."};
      return;
    }
  }
  found.places.resize(places);
  if (node == nullptr || node->routes.empty()) {
    found.refusal = {404, "There is nothing at this path."};
    return;
  }
  const std::string_view wanted = method == "HEAD" ? std::string_view("GET") : method;
  for (const Route* route : node->routes) {
    if (route->method == wanted) {
      found.route = route;
      return;
    }
    found.allow += fmt::format("{}{}", found.allow.empty() ? "" : ", ", route->method);
    if (route->method == "GET") found.allow += ", HEAD";
  }
  found.refusal = {405, "This path does not take this method."};
}

}  // namespace sluice::server
