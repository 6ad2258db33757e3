#include "repo/point.h"

#include "repo/checked_json.h"

namespace holdfast::repo {
namespace {

constexpr uint64_t kPointVersion = 1;

nlohmann::json printable_list(const std::vector<std::string>& texts) {
  nlohmann::json list = nlohmann::json::array();
  for (const std::string& text : texts) list.push_back(printable_text(text));
  return list;
}

nlohmann::json without_odd_bytes(const nlohmann::json& json) {
  const std::string text = json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return nlohmann::json::parse(text, nullptr, false);
}

nlohmann::json snapshot_to_json(const Snapshot& snapshot) {
  return {{"component", printable_text(snapshot.component)},
          {"kind", printable_text(snapshot.kind)},
          {"root", snapshot.root.hex()},
          {"instant_ns", snapshot.instant.ns},
          {"source_bytes", snapshot.source_bytes},
          {"read_bytes", snapshot.read_bytes},
          {"stored_bytes", snapshot.stored_bytes},
          {"files", snapshot.files},
          {"took_ns", snapshot.took.ns},
          {"incremental", snapshot.incremental},
          {"source", without_odd_bytes(snapshot.source)},
          {"faults", printable_list(snapshot.faults)}};
}

Result<BlockId> parse_block_id(const std::string& hex) {
  BlockId id;
  const Bytes bytes = from_hex(hex);
  if (bytes.size() != id.bytes.size())
    return make_error(ErrorCode::kInvalidData, "\"{}\" is not the id of a block", hex);
  std::copy(bytes.begin(), bytes.end(), id.bytes.begin());
  return id;
}

Result<Snapshot> snapshot_from_json(const nlohmann::json& json) {
  Snapshot snapshot;
  snapshot.component = TRY(string_field(json, "component"));
  snapshot.kind = TRY(string_field(json, "kind"));
  snapshot.root = TRY(parse_block_id(TRY(string_field(json, "root"))));
  snapshot.instant.ns = TRY(signed_field(json, "instant_ns"));
  snapshot.source_bytes = TRY(unsigned_field(json, "source_bytes"));
  snapshot.read_bytes = TRY(unsigned_field(json, "read_bytes"));
  snapshot.stored_bytes = TRY(unsigned_field(json, "stored_bytes"));
  snapshot.files = TRY(unsigned_field(json, "files"));
  snapshot.took.ns = TRY(signed_field(json, "took_ns"));
  snapshot.incremental = TRY(bool_field(json, "incremental"));
  if (const auto source = json.find("source"); source != json.end()) snapshot.source = *source;
  snapshot.faults = TRY(strings_field(json, "faults"));
  return snapshot;
}

}  // namespace

nlohmann::json to_json(const Point& point) {
  nlohmann::json snapshots = nlohmann::json::array();
  for (const Snapshot& snapshot : point.snapshots) snapshots.push_back(snapshot_to_json(snapshot));
  return {{"format", kPointVersion},
          {"time_ns", point.time.ns},
          {"stack", printable_text(point.stack)},
          {"host", printable_text(point.host)},
          {"version", printable_text(point.version)},
          {"snapshots", std::move(snapshots)},
          {"tags", printable_list(point.tags)}};
}

Result<Point> point_from_json(const nlohmann::json& json) {
  const uint64_t format = TRY(unsigned_field(json, "format"));
  if (format > kPointVersion) {
    return make_error(ErrorCode::kNewerFormat, "the point has format {}, this program knows {}", format, kPointVersion)
        .with_hint("use the holdfast that wrote it, or a newer one");
  }
  Point point;
  point.time.ns = TRY(signed_field(json, "time_ns"));
  point.stack = TRY(string_field(json, "stack"));
  point.host = TRY(string_field(json, "host"));
  point.version = TRY(string_field(json, "version"));
  point.tags = TRY(strings_field(json, "tags"));
  const auto snapshots = json.find("snapshots");
  if (snapshots == json.end() || !snapshots->is_array()) {
    return make_error(ErrorCode::kInvalidData, "field \"snapshots\" is not there or no list");
  }
  for (const auto& snapshot : *snapshots) point.snapshots.push_back(TRY(snapshot_from_json(snapshot)));
  return point;
}

}  // namespace holdfast::repo
