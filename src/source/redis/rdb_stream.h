#pragma once

#include <array>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "source/redis/connection.h"

namespace holdfast::redis {

// Follows the bytes of an RDB: "REDIS", a version of four digits, and at the end the
// CRC64 of all before it, or zeros where the server does not compute one.
class RdbCheck {
 public:
  // kInvalidData as soon as the beginning is not that of an RDB.
  Result<void> feed(ByteView bytes);
  // kInvalidData when the checksum is wrong or the RDB is too short to have one.
  Result<void> finish();
  uint64_t size_bytes() const { return size_bytes_; }
  int version() const { return version_; }
  bool has_checksum() const { return has_checksum_; }

 private:
  static constexpr size_t kHeadBytes = 9;
  Result<void> check_head();

  std::array<uint8_t, kHeadBytes> head_{};
  std::array<uint8_t, 8> last_{};  // not in crc_ yet
  size_t last_bytes_ = 0;
  uint64_t size_bytes_ = 0, crc_ = 0;
  int version_ = 0;
  bool has_checksum_ = false;
};

// The RDB that follows +FULLRESYNC: "$<length>" and as many bytes, or "$EOF:<40 bytes>",
// bytes, and the same 40 again. Leaves what comes behind to the session. Not thread-safe.
class RdbStream {
 public:
  static Result<RdbStream> begin(ServerSession& session);

  // The next bytes, at least one; 0 at the end, once the RDB was found right.
  // kUnavailable when the connection ends before, kTimeout, kInvalidData, kInterrupted.
  Result<size_t> read(MutableByteView out);

  const RdbCheck& check() const { return check_; }
  bool is_diskless() const { return !mark_.empty(); }
  uint64_t announced_bytes() const { return announced_bytes_; }  // 0: not known

 private:
  explicit RdbStream(ServerSession& session) : session_(&session) {}
  Result<size_t> receive(MutableByteView out);
  Result<size_t> read_counted(MutableByteView out);
  Result<size_t> read_marked(MutableByteView out);

  static constexpr size_t kMarkBytes = 40;
  ServerSession* session_;
  std::string mark_;  // "": counted
  uint64_t announced_bytes_ = 0, left_bytes_ = 0;
  Bytes held_;  // may be the beginning of the mark
  bool mark_found_ = false, ended_ = false;
  RdbCheck check_;
};

}  // namespace holdfast::redis
