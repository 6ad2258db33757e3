#include "source/postgres/replication.h"

#include "source/postgres/wal_format.h"

namespace holdfast::postgres {

namespace {

template <typename T>
T load_big_endian(const uint8_t* at) {
  T value = 0;
  for (size_t i = 0; i < sizeof(T); i++) value = static_cast<T>((value << 8) | at[i]);
  return value;
}

void append_big_endian(Bytes& out, uint64_t value) {
  uint8_t bytes[8];
  for (size_t i = 0; i < 8; i++) bytes[i] = static_cast<uint8_t>(value >> (56 - 8 * i));
  out.append(ByteView(bytes, sizeof bytes));
}

}  // namespace

Result<ServerMessage> parse_server_message(ByteView message) {
  constexpr size_t kWalHeaderBytes = 25, kKeepaliveBytes = 18;
  const uint8_t* at = message.data();
  if (message.size() >= kWalHeaderBytes && at[0] == 'w') {
    WalData wal;
    wal.start = Lsn{load_big_endian<uint64_t>(at + 1)};
    wal.server_end = Lsn{load_big_endian<uint64_t>(at + 9)};
    wal.server_time = time_of_postgres_microseconds(static_cast<int64_t>(load_big_endian<uint64_t>(at + 17)));
    wal.data = message.subspan(kWalHeaderBytes);
    return ServerMessage(wal);
  }
  if (message.size() == kKeepaliveBytes && at[0] == 'k') {
    Keepalive keepalive;
    keepalive.server_end = Lsn{load_big_endian<uint64_t>(at + 1)};
    keepalive.server_time = time_of_postgres_microseconds(static_cast<int64_t>(load_big_endian<uint64_t>(at + 9)));
    keepalive.reply_now = at[17] != 0;
    return ServerMessage(keepalive);
  }
  return make_error(ErrorCode::kInvalidData, "the server sent a replication message of kind {} with {} bytes",
                    message.empty() ? 0 : at[0], message.size());
}

Bytes encode_standby_status(const StandbyStatus& status) {
  Bytes out;
  const uint8_t kind = 'r', reply = status.reply_now ? 1 : 0;
  out.append(ByteView(&kind, 1));
  append_big_endian(out, status.written.value);
  append_big_endian(out, status.flushed.value);
  append_big_endian(out, status.applied.value);
  append_big_endian(out, static_cast<uint64_t>(postgres_microseconds_of(status.time)));
  out.append(ByteView(&reply, 1));
  return out;
}

}  // namespace holdfast::postgres
