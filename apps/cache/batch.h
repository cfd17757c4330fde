// BatchFormat: how operations are written on stdin, and their answers on stdout.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "item_reader.h"
#include "localcache/entry.h"
#include "spool.h"

namespace sluice::cache_cli {

// One operation as it was read.
struct BatchOperation {
  localcache::Operation::Kind kind = localcache::Operation::Kind::get;
  std::string key;
  std::string value;                             // of a set
  std::optional<localcache::Milliseconds> ttl;   // none: that of --ttl
  std::optional<std::vector<std::string>> tags;  // none: those of --tag
  // It could not be understood, and is answered by this. The next ones can be read.
  std::optional<Error> refused;
};

class BatchFormat {
 public:
  virtual ~BatchFormat() = default;
  // The next operation, or nothing at the end. An error: what follows cannot be read either.
  virtual Result<std::optional<BatchOperation>> next() = 0;
  // Appends the answer to an operation. False: it is that the operation failed. An error: the spool
  // did not take it.
  virtual Result<bool> append(Spool& out, const BatchOperation& operation,
                              localcache::Answer& answer) = 0;
};

// Fields that end in NUL: "set" KEY VALUE, "get" KEY, "delete" KEY. Answers are two fields: "ok"
// and nothing; "hit" and the value; "miss" and nothing; "error" and a sentence.
class NulFormat : public BatchFormat {
 public:
  // Reads from this descriptor, which stays open.
  explicit NulFormat(int descriptor) : fields_(descriptor, '\0', "field") {}
  Result<std::optional<BatchOperation>> next() override;
  Result<bool> append(Spool& out, const BatchOperation& operation,
                      localcache::Answer& answer) override;

 private:
  // The next field without its NUL; nothing at the end.
  Result<std::optional<std::string>> field();
  Result<std::string> field_of(std::string_view operation);

  ItemReader fields_;
};

}  // namespace sluice::cache_cli
