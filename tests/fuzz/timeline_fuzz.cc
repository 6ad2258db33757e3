#include <cstdint>

#include "source/postgres/timeline.h"
#include "source/postgres/wal_inventory.h"

using namespace holdfast;
using namespace holdfast::postgres;

// History files, and the names of a log's records.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto switches = parse_history(ByteView(data, size), 0x7FFFFFFF);
  if (switches.ok()) {
    Lsn before;
    for (const TimelinePiece& piece : path_to(0x7FFFFFFF, switches.value())) {
      CHECK(piece.from == before && piece.from <= piece.to);
      before = piece.to;
    }
  }
  std::vector<std::string> names;
  const std::string text(as_text(ByteView(data, size)));
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    names.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  const uint64_t segment_bytes = size % 2 ? 1u << 20 : 64u << 20;
  const WalInventory inventory = WalInventory::of(names, segment_bytes);
  for (const WalRange& range : inventory.ranges(segment_bytes)) CHECK(range.from < range.to);
  return 0;
}
