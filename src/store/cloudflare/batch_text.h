// Writing the JSON of Cloudflare's batches.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "store/block.h"

namespace sluice::store::cloudflare {

// The body of one bulk put, entry by entry, kept below a number of bytes. Values that are not
// UTF-8, and those that escapes would blow up, go as base64.
class PutText {
 public:
  explicit PutText(std::size_t most_bytes) : most_bytes_(most_bytes) {}

  // Adds an entry with its metadata as it is (valid JSON, or empty). False if it does not fit: then
  // nothing has been added. The first entry always fits.
  bool append(const EntryView& entry);
  [[nodiscard]] std::size_t size() const { return entries_; }
  // The body; the object is empty again.
  std::string take();
  void reserve(std::size_t bytes) { text_.reserve(bytes); }

 private:
  std::size_t most_bytes_;
  std::size_t entries_ = 0;
  std::string text_;
};

// `["a","b"]`
std::string key_list(std::span<const std::string_view> keys);

// The body of a bulk get.
std::string get_text(std::span<const std::string_view> keys);

// `{"title":"…"}`
std::string title_text(std::string_view title);

}  // namespace sluice::store::cloudflare
