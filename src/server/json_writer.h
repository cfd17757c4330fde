// JsonWriter: JSON text from values, with the commas and the escapes in their places.
#pragma once

#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/json_text.h"

namespace sluice::server {

// Appends one JSON document to a text of the caller's, which may be reserved before. Checks
// nothing: the caller opens and closes in pairs, and names every member of an object. Texts must be
// UTF-8. A value costs an append and no allocation.
class JsonWriter {
 public:
  explicit JsonWriter(std::string& out) : out_(out) {}

  void begin_object() { open('{'); }
  void end_object() { close('}'); }
  void begin_array() { open('['); }
  void end_array() { close(']'); }

  // Of a member. `name` is a literal that needs no escape.
  void name(std::string_view name) {
    separate();
    out_ += '"';
    out_ += name;
    out_ += "\":";
    first_ = true;  // no comma before its value
  }
  // The same for any UTF-8.
  void key(std::string_view key) {
    separate();
    append_json_string(out_, key);
    out_ += ':';
    first_ = true;
  }

  void string(std::string_view utf8) {
    separate();
    append_json_string(out_, utf8);
  }
  void number(std::int64_t number) {
    separate();
    char digits[24];
    out_.append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
  }
  void boolean(bool value) { raw(value ? "true" : "false"); }
  void null() { raw("null"); }
  // A value that is JSON text already.
  void raw(std::string_view json) {
    separate();
    out_ += json;
  }

 private:
  void separate() {
    if (!first_) out_ += ',';
    first_ = false;
  }
  void open(char bracket) {
    separate();
    out_ += bracket;
    first_ = true;
  }
  void close(char bracket) {
    out_ += bracket;
    first_ = false;
  }

  std::string& out_;
  bool first_ = true;
};

}  // namespace sluice::server
