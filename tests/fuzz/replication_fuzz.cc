#include <cstdint>

#include "source/postgres/replication.h"

using namespace holdfast;
using namespace holdfast::postgres;

// Messages of a server that streams WAL.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto message = parse_server_message(ByteView(data, size));
  if (!message.ok()) return 0;
  if (const auto* wal = std::get_if<WalData>(&message.value())) {
    CHECK(wal->data.size() + 25 == size);
    const Bytes status = encode_standby_status({wal->start, wal->server_end, wal->start, wal->server_time, true});
    CHECK(status.size() == 34);
  }
  return 0;
}
