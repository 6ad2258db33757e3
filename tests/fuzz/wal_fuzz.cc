#include <cstdint>

#include "source/postgres/crc32c.h"
#include "source/postgres/wal_summary.h"

using namespace holdfast;
using namespace holdfast::postgres;

// WAL of whoever sends it: pages and records, events in a record whose CRC is right,
// and the summaries that are made of them.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 3) return 0;
  const uint8_t choice = data[0];
  const ByteView input(data + 1, size - 1);
  if (choice % 4 == 0) {
    // A record of any of the versions.
    const auto event = decode_wal_event(input, 13 + choice / 4 % 6, Lsn{1}, Lsn{2});
    if (event) CHECK(event->name.size() <= 64);
    return 0;
  }
  if (choice % 4 == 1) {
    const auto summary = decode_summary(input);
    if (summary.ok())
      CHECK(equal(encode_summary(decode_summary(encode_summary(summary.value())).value()),
                  encode_summary(summary.value())));
    return 0;
  }
  // The same stream in one piece and in many must say the same.
  SegmentScanner whole(Lsn{kMinSegmentBytes}, kMinSegmentBytes), pieces(Lsn{kMinSegmentBytes}, kMinSegmentBytes);
  const WalSummary all = whole.scan(input);
  uint64_t commits = 0;
  for (size_t at = 0; at < input.size();) {
    const size_t step = std::min<size_t>(input.size() - at, 61 + choice / 4 * 13);
    commits += pieces.scan(input.subspan(at, step)).commits;
    at += step;
  }
  CHECK(all.commits == commits);
  CHECK(all.to == pieces.position());
  const auto encoded = decode_summary(encode_summary(all));
  CHECK(encoded.ok() && encoded.value().to == all.to && encoded.value().last_end == all.last_end);
  ignore(join_edges(all, all), "only that it returns");
  return 0;
}
