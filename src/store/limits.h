// What a store checks of a call before it acts on it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "store/store.h"

namespace sluice::store {

// Whether `key` may be a key here: not empty, not too long, UTF-8 if the store asks for it. The
// error (invalid_argument, never) shows the key in a form that is safe to print.
Result<> check_key(const Capabilities& capabilities, std::string_view key);

// check_key, and the sizes of value and metadata, and an expiry that lies far enough ahead. `now`
// is in seconds since 1970-01-01 UTC.
Result<> check_entry(const Capabilities& capabilities, const EntryView& entry, std::int64_t now);

// Whether a call holds no more than the capabilities allow. A single entry may be larger than
// put_bytes: it could not be split.
Result<> check_get(const Capabilities& capabilities, std::span<const std::string_view> keys);
Result<> check_put(const Capabilities& capabilities, std::span<const EntryView> entries);
Result<> check_erase(const Capabilities& capabilities, std::span<const std::string_view> keys);

// The places of the entries that a put has to write: those that pass check_entry (the others are
// added to `failed`), sorted by key, and of several with the same key only the last.
std::vector<std::uint32_t> writable_in_key_order(const Capabilities& capabilities,
                                                 std::span<const EntryView> entries,
                                                 std::int64_t now, std::vector<KeyFailure>& failed);

// The least text that is greater than every text that begins with `prefix`; empty: there is none.
std::string end_of_prefix(std::string_view prefix);

// The cursor of a store that pages by key is the last key that was looked at, in base64: it stays
// good whatever is written meanwhile. `key_of_cursor` refuses (invalid_argument) what is none.
std::string cursor_of_key(std::string_view key);
Result<std::string> key_of_cursor(std::string_view cursor);

// Of some keys of a store, those that part them into `parts` pieces of the same size: in order,
// each once, at most parts - 1. See Store::split.
std::vector<std::string> split_points(std::vector<std::string> keys, std::size_t parts);

// Seconds since 1970-01-01 UTC, by this machine's clock.
std::int64_t unix_now();

}  // namespace sluice::store
