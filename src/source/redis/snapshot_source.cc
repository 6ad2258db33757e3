#include <nlohmann/json.hpp>

#include "source/redis/command_log.h"

namespace holdfast::redis {

namespace {

Error incomplete(const repo::Snapshot& snapshot, const char* what) {
  return make_error(ErrorCode::kInvalidData, "the snapshot of {} is no Redis snapshot: {} is missing or wrong",
                    snapshot.component, what);
}

uint64_t count(const nlohmann::json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_number_unsigned() ? found->get<uint64_t>() : 0;
}

bool flag(const nlohmann::json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_boolean() && found->get<bool>();
}

std::string text(const nlohmann::json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? found->get<std::string>() : "";
}

}  // namespace

nlohmann::json to_json(const SnapshotSource& source) {
  nlohmann::json databases = nlohmann::json::array();
  for (const DatabaseSize& size : source.databases)
    databases.push_back({{"db", size.number}, {"keys", size.keys}, {"expires", size.expires}});
  nlohmann::json json = {{"replid", source.position.replid},
                         {"offset", source.position.offset},
                         {"redis_version", source.redis_version},
                         {"run_id", source.run_id},
                         {"place", source.place},
                         {"databases", databases},
                         {"rdb_bytes", source.rdb_bytes},
                         {"rdb_version", source.rdb_version},
                         {"rdb_checksum", source.rdb_checksum},
                         {"acl_users", source.has_users}};
  if (source.latest) json["latest_ns"] = source.latest->ns;
  return json;
}

Result<SnapshotSource> snapshot_source(const repo::Snapshot& snapshot) {
  const nlohmann::json& json = snapshot.source;
  if (snapshot.kind != "redis" || !json.is_object()) return incomplete(snapshot, "its kind");
  SnapshotSource source;
  source.position.replid = text(json, "replid");
  if (!is_replid(source.position.replid)) return incomplete(snapshot, "'replid'");
  const auto offset = json.find("offset");
  if (offset == json.end() || !offset->is_number_unsigned()) return incomplete(snapshot, "'offset'");
  source.position.offset = offset->get<uint64_t>();
  if (const auto latest = json.find("latest_ns"); latest != json.end()) {
    if (!latest->is_number_integer()) return incomplete(snapshot, "'latest_ns'");
    source.latest = Time{latest->get<int64_t>()};
  }
  source.redis_version = text(json, "redis_version");
  source.run_id = text(json, "run_id");
  source.place = text(json, "place");
  source.rdb_bytes = count(json, "rdb_bytes");
  source.rdb_version = static_cast<int>(count(json, "rdb_version"));
  source.rdb_checksum = flag(json, "rdb_checksum");
  source.has_users = flag(json, "acl_users");
  const auto databases = json.find("databases");
  if (databases == json.end() || !databases->is_array()) return source;
  for (const auto& database : *databases) {
    if (!database.is_object()) return incomplete(snapshot, "'databases'");
    source.databases.push_back(
        {static_cast<int64_t>(count(database, "db")), count(database, "keys"), count(database, "expires")});
  }
  return source;
}

Result<SnapshotPlace> snapshot_place(const repo::Snapshot& snapshot) {
  return SnapshotPlace{TRY(snapshot_source(snapshot)).position, snapshot.instant};
}

}  // namespace holdfast::redis
