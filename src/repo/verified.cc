#include <algorithm>

#include "base/log.h"
#include "repo/checked_json.h"
#include "repo/collect.h"
#include "repo/object_names.h"
#include "repo/read_whole.h"

// Records that a point was verified: objects verified/<point>.<time>, docs/format.md,
// "Verified".

namespace holdfast::repo {

namespace {

Result<PointId> point_of(ByteView record, const std::string& object) {
  const nlohmann::json json = TRY(decode_checked_json(record, object));
  return ObjectDigest::from_hex(TRY(string_field(json, "point")));
}

}  // namespace

Result<void> record_verified(Repository& repository, const PointId& id, Time time) {
  const std::string object = fmt::format("{}{}.{:016x}", kVerifiedPrefix, id.hex(), static_cast<uint64_t>(time.ns));
  const nlohmann::json json = {{"point", id.hex()}, {"time_ns", time.ns}};
  auto created = repository.environment().store.create(object, encode_checked_json(json));
  if (!created.ok() && created.error().code() != ErrorCode::kAlreadyExists) return created;
  return {};
}

Result<std::vector<PointId>> verified_points(Repository& repository) {
  store::ObjectStore& store = repository.environment().store;
  std::vector<std::string> objects;
  TRY(store.list(kVerifiedPrefix, [&](const store::ObjectInfo& object) -> Result<void> {
    objects.push_back(object.name);
    return {};
  }));
  std::vector<PointId> points;
  for (const std::string& object : objects) {
    auto bytes = read_whole(store, object);
    if (!bytes.ok() && bytes.error().code() == ErrorCode::kNotFound) continue;  // collected meanwhile
    if (!bytes.ok() && bytes.error().code() != ErrorCode::kDamaged) return std::move(bytes).error();
    // A damaged record proves nothing; check names it.
    const auto point = bytes.ok() ? point_of(*bytes, object) : Result<PointId>(std::move(bytes).error());
    if (!point.ok()) {
      log_warn("repo.verified.damaged", {{"object", object}, {"error", point.error().text()}});
      continue;
    }
    if (points.empty() || points.back() != *point) points.push_back(*point);
  }
  return points;
}

}  // namespace holdfast::repo
