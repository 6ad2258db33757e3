#pragma once

#include <variant>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "source/postgres/lsn.h"

namespace holdfast::postgres {

// Messages of the streaming replication protocol inside CopyData.

struct WalData {
  Lsn start;       // of `data`
  Lsn server_end;  // the server's flushed end of WAL
  Time server_time;
  ByteView data;  // within the message
};
struct Keepalive {
  Lsn server_end;  // what the server has sent so far
  Time server_time;
  bool reply_now = false;
};
using ServerMessage = std::variant<WalData, Keepalive>;

// kInvalidData for anything else. The view must outlive the result.
Result<ServerMessage> parse_server_message(ByteView message);

// What a standby tells of itself.
struct StandbyStatus {
  Lsn written, flushed, applied;
  Time time;
  bool reply_now = false;
};
Bytes encode_standby_status(const StandbyStatus& status);

}  // namespace holdfast::postgres
