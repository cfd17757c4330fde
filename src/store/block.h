// Block: many entries in few allocations. Pages, answers and batches are made of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::store {

// Whether an entry of a Block carries a value.
enum class Presence : std::uint8_t {
  listed,   // from a listing: the value was not asked for
  present,  // with its value
  missing,  // asked for by key, and not there
  failed,   // asked for by key, and the answer's `failed` says why it is not here
};

// One key with what is known of it. The views point into the Block that holds the entry.
struct EntryView {
  std::string_view key;
  std::string_view value;
  // Raw JSON text as the store gave it, never re-serialized. Empty: there is none.
  std::string_view metadata;
  // Seconds since 1970-01-01 UTC at which the entry expires. 0: never.
  std::int64_t expiration = 0;
  Presence presence = Presence::listed;
};

// A list of entries with the text that they refer to, kept in a few large chunks, so that a page of
// a thousand entries costs about three allocations. Moving a Block keeps its views valid; it is not
// copied by accident (`append` copies entries from another one).
class Block {
 public:
  Block() = default;
  Block(Block&& other) noexcept { *this = std::move(other); }
  // The moved-from block is empty and may be used again.
  Block& operator=(Block&& other) noexcept {
    entries_ = std::exchange(other.entries_, {});
    chunks_ = std::exchange(other.chunks_, {});
    next_ = std::exchange(other.next_, nullptr);
    room_ = std::exchange(other.room_, 0);
    used_ = std::exchange(other.used_, 0);
    return *this;
  }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  // Copies the texts of `entry` into this block.
  void append(const EntryView& entry);
  // Adds an entry whose texts are already in this block (made by `copy`) or outlive it.
  void append_in_place(const EntryView& entry) { entries_.push_back(entry); }
  // Copies `text` into the block and returns where it lies.
  std::string_view copy(std::string_view text) {
    char* to = allocate(text.size());
    text.copy(to, text.size());
    return {to, text.size()};
  }
  // `size` bytes of the block to write into.
  char* allocate(std::size_t size) {
    if (size > room_) grow(size);
    char* at = next_;
    next_ += size;
    room_ -= size;
    used_ += size;
    return at;
  }

  // Drops the entries for which `keep` is false; the order stays. Their text stays allocated.
  template <class Keep>
  void retain(Keep keep) {
    std::erase_if(entries_, [&](const EntryView& entry) { return !keep(entry); });
  }
  // Drops the entries behind the first `entries`.
  void truncate(std::size_t entries) {
    if (entries < entries_.size()) entries_.resize(entries);
  }
  void reserve(std::size_t entries) { entries_.reserve(entries); }
  // Forgets the entries and keeps one chunk for the next ones.
  void clear();

  [[nodiscard]] bool empty() const { return entries_.empty(); }
  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  [[nodiscard]] const EntryView& operator[](std::size_t index) const { return entries_[index]; }
  [[nodiscard]] EntryView& operator[](std::size_t index) { return entries_[index]; }
  [[nodiscard]] auto begin() const { return entries_.begin(); }
  [[nodiscard]] auto end() const { return entries_.end(); }
  [[nodiscard]] std::span<const EntryView> entries() const { return entries_; }
  // Bytes of text held.
  [[nodiscard]] std::size_t bytes() const { return used_; }

 private:
  struct Chunk {
    std::unique_ptr<char[]> memory;
    std::size_t size = 0;
  };
  void grow(std::size_t size);

  std::vector<EntryView> entries_;
  std::vector<Chunk> chunks_;
  char* next_ = nullptr;
  std::size_t room_ = 0;
  std::size_t used_ = 0;
};

}  // namespace sluice::store
