// The readers of leases, tombstones and holds: objects that anybody who can write to the store may
// have made, under names and with JSON of their choice, the digest before it being right. The first
// line of an input is the name of an object, what follows is its JSON.

#include "fuzz_repository.h"
#include "repo/checked_json.h"
#include "repo/hold.h"
#include "repo/lease.h"
#include "repo/tombstone.h"

namespace {

using namespace holdfast;

Bytes with_digest(std::string_view text) {
  const auto json = repo::parse_json_object(text);
  return json.ok() ? repo::encode_checked_json(*json) : Bytes::copy_of(as_bytes(text));
}

void read_leases(store::ObjectStore& store) {
  const auto live = repo::live_leases(store);
  const auto recent = repo::recent_leases(store, Duration::hours(1));
  if (!live.ok() || !recent.ok()) return;
  CHECK_MSG(live->size() <= 1 && recent->size() >= live->size(), "one object is at most one lease");
}

void read_tombstones(store::ObjectStore& store) {
  const auto tombstones = repo::load_tombstones(store);
  if (!tombstones.ok()) return;
  CHECK_MSG(tombstones->size() <= 1, "one object is at most one tombstone");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto& fuzz = fuzz::FuzzRepository::get();
  const std::string_view input = as_text(ByteView(data, size));
  const size_t end = input.find('\n');
  if (end == std::string_view::npos) return 0;
  const std::string name(input.substr(0, end));
  const bool known = name.starts_with("leases/") || name.starts_with("tombs/") || name.starts_with("holds/");
  if (!known || !fuzz.store->create(name, with_digest(input.substr(end + 1))).ok()) return 0;
  read_leases(*fuzz.store);
  read_tombstones(*fuzz.store);
  const auto holds = repo::all_holds(*fuzz.repository);
  CHECK_MSG(!holds.ok() || holds->size() <= 1, "one object is at most one hold");
  CHECK(fuzz.store->remove(name).ok());
  return 0;
}
