#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "repo/repository.h"

namespace holdfast::repo {

// A record that is to be stored, which lies elsewhere: for the length of a call.
struct LogRecordView {
  const std::string& name;
  ByteView header, body;
};

// Named, sealed, immutable records beside the blocks: what a component's log is
// made of (WAL segments and parts of them, timeline histories, marks). Each is
// one object, log/<stream>/<name>, compressed, encrypted under its own key with
// its name as associated data, with a small sealed header that can be read
// without the body.
struct LogRecord {
  std::string name;  // within the stream; [A-Za-z0-9._-]+
  Bytes header;      // at most 1 MiB; opaque here
  Bytes body;
  operator LogRecordView() const { return {name, header, body}; }
};

// Thread-safe.
class LogStore {
 public:
  virtual ~LogStore() = default;

  enum class Outcome { kStored, kAlreadyThere };
  // Durable when it returns. A record of that name with the same body is
  // kAlreadyThere; with another body kMismatch, and nothing is changed.
  virtual Result<Outcome> put(const std::string& stream, const LogRecordView& record) = 0;

  // kNotFound only when the record is proven absent.
  virtual Result<LogRecord> get(const std::string& stream, const std::string& name) = 0;
  virtual Result<Bytes> get_header(const std::string& stream, const std::string& name) = 0;

  struct Info {
    std::string name;
    uint64_t stored_bytes = 0;
    Time modified;
  };
  // Names in byte order, from `from` (inclusive) on.
  virtual Result<std::vector<Info>> list(const std::string& stream, const std::string& from = "") = 0;
  // The same names alone.
  virtual Result<std::vector<std::string>> names(const std::string& stream) {
    std::vector<std::string> names;
    for (Info& info : TRY(list(stream))) names.push_back(std::move(info.name));
    return names;
  }
  virtual Result<std::vector<std::string>> streams() = 0;
  virtual Result<void> remove(const std::string& stream, const std::string& name) = 0;
};

// The repository must outlive the log store.
std::unique_ptr<LogStore> open_log_store(Repository& repository, int compression_level = 3);

}  // namespace holdfast::repo
