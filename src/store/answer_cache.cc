#include "store/answer_cache.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace sluice::store {

namespace {

using localcache::Operation;

constexpr std::array<std::string_view, 2> kNames{"sluice-lookups", "sluice-values"};
// A command does not wait longer for other processes that write to the cache.
constexpr localcache::Milliseconds kPatience{2000};

std::size_t index(AnswerCache::Kind kind) {
  return static_cast<std::size_t>(kind);
}

}  // namespace

AnswerCache::AnswerCache(Options options, Log& log) : options_(std::move(options)), log_(log) {}

localcache::TimePoint AnswerCache::now() const {
  return options_.now ? options_.now() : std::chrono::system_clock::now();
}

localcache::Location AnswerCache::location(Kind kind) const {
  return {.root = options_.root, .name = std::string(kNames[index(kind)])};
}

bool AnswerCache::exists(Kind kind) const {
  std::error_code error;
  return std::filesystem::exists(location(kind).database(), error);
}

io::Worker& AnswerCache::worker() {
  if (!worker_) worker_.emplace();
  return *worker_;
}

void AnswerCache::note(Kind kind, std::string_view doing, const Error& error) {
  log_.debug("the local cache {} is passed over: {}: {}", kNames[index(kind)], doing,
             error.message);
}

localcache::Cache* AnswerCache::open(Kind kind, bool make) {
  Place& place = places_[index(kind)];
  if (place.broken || (!place.cache && !make && !exists(kind))) return nullptr;
  if (!place.cache) {
    auto opened = localcache::Cache::open(location(kind), {.limits = options_.limits,
                                                           .busy_timeout = kPatience,
                                                           .timing = false,
                                                           .now = options_.now});
    if (!opened) {
      place.broken = true;
      note(kind, "opening it", opened.error());
      return nullptr;
    }
    place.cache.emplace(std::move(*opened));
  }
  if (make && !std::exchange(place.limited, true)) {
    const auto size = place.cache->size();
    if (size && size->limits != options_.limits) {
      if (auto set = place.cache->set_limits(options_.limits); !set) {
        note(kind, "setting its limits", set.error());
      }
    }
  }
  return &*place.cache;
}

io::Task<std::vector<std::optional<AnswerCache::Fields>>> AnswerCache::get(
    Kind kind, std::vector<std::string> keys) {
  std::vector<std::optional<Fields>> found(keys.size());
  if (!on() || !exists(kind)) co_return found;
  const auto read = [&]() -> bool {
    localcache::Cache* const cache = open(kind, false);
    if (cache == nullptr) return false;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      auto entry = cache->get(keys[i], {.max_age = options_.ttl});
      if (!entry) {
        note(kind, "reading it", entry.error());
        return false;
      }
      if (!*entry) continue;
      auto text = (*entry)->value.rest();
      if (!text) {
        note(kind, "reading it", text.error());
        return false;
      }
      found[i] = unpack(*text);
    }
    return true;
  };
  co_await worker().run(read);
  co_return found;
}

io::Task<> AnswerCache::set(Kind kind, std::vector<Answer> answers) {
  if (!on() || answers.empty()) co_return;
  std::vector<std::string> texts;
  std::vector<Operation> operations;
  texts.reserve(answers.size());
  for (const Answer& answer : answers) {
    const auto ttl = std::min(options_.ttl, answer.valid.value_or(options_.ttl));
    if (ttl.count() <= 0) continue;
    texts.push_back(pack(answer.fields));
    Operation operation{.kind = Operation::Kind::set, .key = answer.key, .value = texts.back()};
    operation.options.ttl = ttl;
    operations.push_back(std::move(operation));
  }
  const auto write = [&]() -> bool {
    localcache::Cache* const cache = open(kind, true);
    if (cache == nullptr) return false;
    auto done = cache->batch(operations);
    if (!done) {
      note(kind, "writing it", done.error());
      return false;
    }
    for (const localcache::Answer& one : *done) {
      if (!one.done) note(kind, "writing it", one.done.error());
    }
    return true;
  };
  co_await worker().run(write);
}

io::Task<> AnswerCache::erase(Kind kind, std::vector<std::string> keys) {
  if (keys.empty() || !exists(kind)) co_return;
  std::vector<Operation> operations;
  operations.reserve(keys.size());
  for (const std::string& key : keys) {
    operations.push_back({.kind = Operation::Kind::erase, .key = key, .value = {}, .options = {}});
  }
  const auto write = [&]() -> bool {
    localcache::Cache* const cache = open(kind, false);
    if (cache == nullptr) return false;
    if (auto done = cache->batch(operations); !done) note(kind, "erasing from it", done.error());
    return true;
  };
  co_await worker().run(write);
}

io::Task<> AnswerCache::erase_all(Kind kind, std::string prefix) {
  if (!exists(kind)) co_return;
  const auto write = [&]() -> bool {
    localcache::Cache* const cache = open(kind, false);
    if (cache == nullptr) return false;
    localcache::Selector selector;
    selector.prefix = prefix;
    if (auto done = cache->erase_all(selector); !done) note(kind, "erasing from it", done.error());
    return true;
  };
  co_await worker().run(write);
}

std::string digest(std::span<const std::string_view> texts) {
  std::string joined;
  for (const std::string_view text : texts) {
    fmt::format_to(std::back_inserter(joined), "{}:", text.size());
    joined += text;
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  unsigned length = 0;
  if (EVP_Digest(joined.data(), joined.size(), bytes.data(), &length, EVP_sha256(), nullptr) != 1) {
    throw std::runtime_error("OpenSSL has no SHA-256");
  }
  std::string text;
  for (unsigned i = 0; i < length; ++i) text += fmt::format("{:02x}", bytes[i]);
  return text;
}

std::string pack(std::span<const std::string> fields) {
  std::string text;
  for (const std::string& field : fields) {
    fmt::format_to(std::back_inserter(text), "{}:", field.size());
    text += field;
  }
  return text;
}

std::optional<std::vector<std::string>> unpack(std::string_view text) {
  std::vector<std::string> fields;
  while (!text.empty()) {
    std::size_t size = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
    if (error != std::errc() || end == text.data() + text.size() || *end != ':') {
      return std::nullopt;
    }
    text.remove_prefix(static_cast<std::size_t>(end - text.data()) + 1);
    if (size > text.size()) return std::nullopt;
    fields.emplace_back(text.substr(0, size));
    text.remove_prefix(size);
  }
  return fields;
}

}  // namespace sluice::store
