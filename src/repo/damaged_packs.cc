#include "repo/damaged_packs.h"

#include "repo/checked_json.h"
#include "repo/object_names.h"

namespace holdfast::repo {

namespace {

std::string note_name(const ObjectDigest& pack) { return std::string(kDamagedPrefix) + pack.hex(); }

}  // namespace

Result<void> note_damaged_pack(Environment& environment, const ObjectDigest& pack) {
  const Time now = TRY(environment.store.server_time());
  const Bytes note = encode_checked_json({{"pack", pack.hex()}, {"time_ns", now.ns}});
  auto created = environment.store.create(note_name(pack), note);
  if (!created.ok() && created.error().code() == ErrorCode::kAlreadyExists) return {};
  return created;
}

// The names say it all: a note that is itself damaged still holds.
Result<std::set<ObjectDigest>> noted_damaged_packs(store::ObjectStore& store) {
  std::set<ObjectDigest> packs;
  TRY(store.list(kDamagedPrefix, [&](const store::ObjectInfo& info) -> Result<void> {
    if (const auto digest = digest_of_name(info.name); digest.ok()) packs.insert(*digest);
    return {};
  }));
  return packs;
}

Result<void> sweep_damaged_notes(store::ObjectStore& store, const std::set<ObjectDigest>& stored) {
  for (const ObjectDigest& pack : TRY(noted_damaged_packs(store))) {
    if (stored.contains(pack)) continue;
    auto removed = store.remove(note_name(pack));
    if (!removed.ok() && removed.error().code() != ErrorCode::kNotFound) return removed;
  }
  return {};
}

}  // namespace holdfast::repo
