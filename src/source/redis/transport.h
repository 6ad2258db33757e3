#pragma once

#include <atomic>
#include <memory>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "source/redis/connection.h"

namespace holdfast::redis {

// Bytes to and from a server: a socket, or TLS over one. Not thread-safe.
class Transport {
 public:
  // kUnavailable (retryable), kConfig (a certificate that can't be read), kPermission (the
  // server's certificate is not trusted), kInterrupted.
  static Result<std::unique_ptr<Transport>> connect(const Connection& connection, const SessionOptions& options);
  virtual ~Transport() = default;

  // What has arrived, at most out.size() bytes; fewer: no more had. 0: nothing within `wait`.
  // kUnavailable (retryable) when the connection ended; kInterrupted.
  virtual Result<size_t> read(MutableByteView out, Duration wait) = 0;
  // What the server takes within `wait`, maybe a part; returns early with 0 when there is
  // something to read.
  virtual Result<size_t> write(ByteView bytes, Duration wait) = 0;
};

}  // namespace holdfast::redis
