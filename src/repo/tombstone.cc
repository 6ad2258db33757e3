#include "repo/tombstone.h"

#include <algorithm>
#include <array>
#include <map>

#include "base/log.h"
#include "repo/checked_json.h"
#include "repo/object_names.h"
#include "repo/read_whole.h"

namespace holdfast::repo {
namespace {

constexpr std::string_view kPacksEvent = "packs";
constexpr std::string_view kSettledEvent = "settled";
constexpr std::string_view kAliveEvent = "alive-";

std::string event_name(const std::string& id, std::string_view event) {
  return fmt::format("{}{}.{}", kTombsPrefix, id, event);
}

nlohmann::json hex_list(const std::set<ObjectDigest>& packs) {
  nlohmann::json list = nlohmann::json::array();
  for (const ObjectDigest& pack : packs) list.push_back(pack.hex());
  return list;
}

Result<std::set<ObjectDigest>> packs_field(const nlohmann::json& json) {
  std::set<ObjectDigest> packs;
  for (const std::string& hex : TRY(strings_field(json, "packs"))) packs.insert(TRY(ObjectDigest::from_hex(hex)));
  return packs;
}

// All events of one tombstone, as they are read.
struct Events {
  Tombstone tombstone;
  std::set<ObjectDigest> alive;
  Time stored;  // the later of `packs` and `settled`
};

Result<void> read_event(store::ObjectStore& store, const store::ObjectInfo& object, std::string_view event,
                        Events& events) {
  const Bytes bytes = TRY(read_whole(store, object.name));
  const nlohmann::json json = TRY(decode_checked_json(bytes, object.name));
  if (event == kPacksEvent || event == kSettledEvent) events.stored = std::max(events.stored, object.modified);
  if (event == kPacksEvent) {
    events.tombstone.packs = TRY(packs_field(json));
    events.tombstone.announced.ns = TRY(signed_field(json, "announced_ns"));
  } else if (event == kSettledEvent) {
    events.tombstone.settled = Time{TRY(signed_field(json, "settled_ns"))};
  } else if (event.starts_with(kAliveEvent)) {
    events.alive.merge(TRY(packs_field(json)));
  } else {
    return make_error(ErrorCode::kInvalidData, "unknown event \"{}\"", event);
  }
  return {};
}

// `packs` goes first: without it the other events mean nothing, while a `packs`
// that lost its `alive` would condemn packs that are in use.
bool removed_before(const std::string& a, const std::string& b) {
  const bool packs_a = a.ends_with(kPacksEvent), packs_b = b.ends_with(kPacksEvent);
  return packs_a != packs_b ? packs_a : a < b;
}

}  // namespace

Result<Tombstone> announce_tombstone(Environment& environment, const std::set<ObjectDigest>& packs) {
  std::array<uint8_t, 8> id;
  environment.random.fill(id);
  Tombstone tombstone;
  tombstone.id = to_hex(id);
  tombstone.packs = packs;
  tombstone.announced = TRY(environment.store.server_time());
  tombstone.objects = {event_name(tombstone.id, kPacksEvent)};
  const nlohmann::json json = {{"announced_ns", tombstone.announced.ns}, {"packs", hex_list(packs)}};
  TRY(environment.store.create(tombstone.objects.front(), encode_checked_json(json)));
  return tombstone;
}

Result<void> settle_tombstone(Environment& environment, Tombstone& tombstone) {
  CHECK(!tombstone.settled);
  const Time now = TRY(environment.store.server_time());
  const std::string object = event_name(tombstone.id, kSettledEvent);
  TRY(environment.store.create(object, encode_checked_json({{"settled_ns", now.ns}})));
  tombstone.settled = now;
  tombstone.objects.push_back(object);
  return {};
}

Result<void> resurrect(Environment& environment, Tombstone& tombstone, const std::set<ObjectDigest>& packs) {
  std::array<uint8_t, 8> unique;
  environment.random.fill(unique);
  const std::string object = event_name(tombstone.id, std::string(kAliveEvent) + to_hex(unique));
  TRY(environment.store.create(object, encode_checked_json({{"packs", hex_list(packs)}})));
  for (const ObjectDigest& pack : packs) tombstone.packs.erase(pack);
  tombstone.objects.push_back(object);
  return {};
}

Result<void> remove_tombstone(Environment& environment, const Tombstone& tombstone) {
  for (const std::string& object : tombstone.objects) {
    auto removed = environment.store.remove(object);
    if (!removed.ok() && removed.error().code() != ErrorCode::kNotFound) return removed;
  }
  return {};
}

Result<std::vector<Tombstone>> load_tombstones(store::ObjectStore& store, const OnDamagedObject& damaged) {
  std::vector<store::ObjectInfo> objects;
  TRY(store.list(kTombsPrefix, [&](const store::ObjectInfo& object) -> Result<void> {
    objects.push_back(object);
    return {};
  }));
  std::map<std::string, Events> by_id;
  for (const store::ObjectInfo& object : objects) {
    const std::string_view name = std::string_view(object.name).substr(kTombsPrefix.size());
    const size_t dot = std::min(name.find('.'), name.size());
    Events& events = by_id[std::string(name.substr(0, dot))];
    events.tombstone.objects.push_back(object.name);
    const auto read = read_event(store, object, name.substr(std::min(dot + 1, name.size())), events);
    if (read.ok() || read.error().code() == ErrorCode::kNotFound) continue;  // not found: removed meanwhile
    if (read.error().code() != ErrorCode::kDamaged && read.error().code() != ErrorCode::kInvalidData)
      return read.error().clone();
    if (damaged) damaged(object.name, read.error());
    log_warn("repo.tombstone.damaged", {{"object", object.name}, {"error", read.error().text()}});
    events.tombstone.damaged = true;
  }
  std::vector<Tombstone> tombstones;
  for (auto& [id, events] : by_id) {
    events.tombstone.id = id;
    for (const ObjectDigest& pack : events.alive) events.tombstone.packs.erase(pack);
    // Anybody who may write here can say that it was settled long ago, but not that it was stored then.
    if (auto& settled = events.tombstone.settled) settled = std::max(*settled, events.stored);
    std::sort(events.tombstone.objects.begin(), events.tombstone.objects.end(), removed_before);
    tombstones.push_back(std::move(events.tombstone));
  }
  return tombstones;
}

Result<std::set<ObjectDigest>> tombstoned_packs(store::ObjectStore& store) {
  std::set<ObjectDigest> packs;
  for (Tombstone& tombstone : TRY(load_tombstones(store))) packs.merge(tombstone.packs);
  return packs;
}

}  // namespace holdfast::repo
