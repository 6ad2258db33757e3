#include "repo/hold.h"

#include "base/log.h"
#include "repo/access.h"
#include "repo/checked_json.h"
#include "repo/host.h"
#include "repo/lease.h"
#include "repo/object_names.h"
#include "repo/read_whole.h"

// A hold and a removal by rules can't miss each other. Who removes takes its lease
// first and reads the holds then; who holds makes its object first and looks for such
// leases then. So either the remover sees the hold, or the holder sees the lease and
// takes the hold back.

namespace holdfast::repo {

namespace {

// Of one point, or of all.
Result<std::vector<std::string>> hold_objects(store::ObjectStore& store, const std::string& point = "") {
  const std::string beginning = std::string(kHoldsPrefix) + point;
  std::vector<std::string> objects;
  TRY(store.list(kHoldsPrefix, [&](const store::ObjectInfo& object) -> Result<void> {
    if (object.name.starts_with(beginning)) objects.push_back(object.name);
    return {};
  }));
  return objects;
}

Result<void> remove(store::ObjectStore& store, const std::string& object) {
  auto removed = store.remove(object);
  if (!removed.ok() && removed.error().code() != ErrorCode::kNotFound) return removed;
  return {};
}

// Makes the hold's object. One that another made in the same nanosecond is not ours to take
// back, and has its own reason: ours gets the next free name.
Result<std::string> create_hold(store::ObjectStore& store, const PointId& point, const std::string& reason, Time now) {
  constexpr int kMostAtOnce = 1000;
  const nlohmann::json json = {{"point", point.hex()},
                               {"time_ns", now.ns},
                               {"reason", printable_text(reason)},
                               {"host", printable_text(host_name())}};
  for (int i = 0; i < kMostAtOnce; i++) {
    const auto number = static_cast<uint64_t>(now.ns + i);
    const std::string object = fmt::format("{}{}.{:016x}", kHoldsPrefix, point.hex(), number);
    auto created = store.create(object, encode_checked_json(json));
    if (created.ok()) return object;
    if (created.error().code() != ErrorCode::kAlreadyExists) return std::move(created).error();
  }
  return make_error(ErrorCode::kAlreadyExists, "it is held {} times at this instant already", kMostAtOnce);
}

// Whether the hold that was just made is certain to be seen, and of a point that is there.
Result<void> ensure_seen(store::ObjectStore& store, const PointId& point) {
  for (const LeaseInfo& lease : TRY(live_leases(store))) {
    if (lease.kind != LeaseKind::kCollector || lease.purpose != kRetentionPurpose) continue;
    return make_error(ErrorCode::kLocked, "points are being removed by {} (process {} on {}): no hold was made",
                      lease.user, lease.pid, lease.host)
        .with_retryable()
        .with_hint("run it again: removing takes moments");
  }
  auto there = store.stat(point_name(point));
  if (there.ok()) return {};
  if (there.error().code() != ErrorCode::kNotFound) return std::move(there).error();
  return make_error(ErrorCode::kNotFound, "point {} is gone", point.hex().substr(0, 8))
      .with_hint("list them with: holdfast points");
}

Result<void> read_hold(store::ObjectStore& store, const std::string& object, Hold& hold) {
  const Bytes bytes = TRY(read_whole(store, object));
  const nlohmann::json json = TRY(decode_checked_json(bytes, object));
  hold.time.ns = TRY(signed_field(json, "time_ns"));
  hold.reason = TRY(string_field(json, "reason"));
  hold.host = TRY(string_field(json, "host"));
  return {};
}

}  // namespace

Result<void> place_hold(Repository& repository, const PointId& point, const std::string& reason, Time now) {
  store::ObjectStore& store = repository.environment().store;
  const std::string object =
      TRY_CONTEXT(create_hold(store, point, reason, now), "can't hold point {}", point.hex().substr(0, 8));
  if (auto seen = ensure_seen(store, point); !seen.ok()) {
    TRY_CONTEXT(remove(store, object), "taking back a hold of point {}", point.hex().substr(0, 8));
    return seen;
  }
  log_info("repo.point.held", {{"point", point.hex()}, {"reason", reason}});
  return {};
}

Result<uint64_t> release_holds(Repository& repository, const PointId& point) {
  store::ObjectStore& store = repository.environment().store;
  const auto objects = TRY(hold_objects(store, point.hex()));
  for (const std::string& object : objects) TRY(remove(store, object));
  log_info("repo.point.released", {{"point", point.hex()}, {"holds", static_cast<uint64_t>(objects.size())}});
  return objects.size();
}

Result<std::vector<Hold>> all_holds(Repository& repository) {
  store::ObjectStore& store = repository.environment().store;
  std::vector<Hold> holds;
  for (const std::string& object : TRY(hold_objects(store))) {
    const auto point = PointId::from_hex(std::string_view(object).substr(kHoldsPrefix.size()).substr(0, 64));
    if (!point.ok()) continue;  // not named as a hold is; check says so
    Hold hold{*point, {}, "", ""};
    auto read = read_hold(store, object, hold);
    if (!read.ok() && read.error().code() == ErrorCode::kNotFound) continue;  // released meanwhile
    if (!read.ok() && read.error().code() != ErrorCode::kDamaged && read.error().code() != ErrorCode::kInvalidData)
      return std::move(read).error();
    if (!read.ok()) {
      log_warn("repo.hold.damaged", {{"object", object}, {"error", read.error().text()}});
      hold.reason = "its note is damaged";
    }
    holds.push_back(std::move(hold));
  }
  return holds;
}

}  // namespace holdfast::repo
