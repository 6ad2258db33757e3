#include "cli/present.h"

#include "base/units.h"
#include "recovery/cluster.h"
#include "recovery/points.h"
#include "repo/missing.h"

namespace holdfast::cli {

std::string short_id(const repo::ObjectDigest& id) { return id.hex().substr(0, 8); }

std::string relative_time(Time time, Time now) {
  if (time > now) return "in " + format_duration(time - now);
  return format_duration(now - time) + " ago";
}

std::string duration_text(Duration duration) {
  std::string text = format_duration(duration);
  for (const std::string_view tail : {" 0 s", " 0 min", " 0 h"}) {
    if (text.size() > tail.size() && text.ends_with(tail)) return text.substr(0, text.size() - tail.size());
  }
  return text;
}

Json json_of(Time time) { return format_rfc3339(time); }
Json json_of(Duration duration) { return static_cast<double>(duration.in_milliseconds()) / 1000; }

std::string changes_known_by(const repo::Snapshot& snapshot) {
  return snapshot.source.is_object() ? snapshot.source.value("incremental", "") : "";
}

std::string system_id_of(const repo::Snapshot& snapshot) {
  if (snapshot.kind != "postgres") return "";
  const auto facts = recovery::cluster_facts(snapshot);
  return facts.ok() ? std::to_string(facts->system_id) : "";
}

Json json_of(const repo::Snapshot& snapshot) {
  Json json = {{"component", snapshot.component},
               {"kind", snapshot.kind},
               {"instant", json_of(snapshot.instant)},
               {"source_bytes", snapshot.source_bytes},
               {"read_bytes", snapshot.read_bytes},
               {"stored_bytes", snapshot.stored_bytes},
               {"files", snapshot.files},
               {"took_seconds", json_of(snapshot.took)},
               {"incremental", snapshot.incremental},
               {"changes_known_by", changes_known_by(snapshot)},
               {"faults", snapshot.faults}};
  if (const std::string cluster = system_id_of(snapshot); !cluster.empty()) json["system_id"] = cluster;
  return json;
}

Json json_of(const repo::Point& point) {
  Json snapshots = Json::array();
  for (const repo::Snapshot& snapshot : point.snapshots) snapshots.push_back(json_of(snapshot));
  Json missing = Json::array();
  for (const repo::MissingComponent& each : repo::missing_components(point))
    missing.push_back({{"component", each.component}, {"problem", each.problem}});
  return {{"id", point.id.hex()},
          {"time", json_of(point.time)},
          {"stack", point.stack},
          {"host", point.host},
          {"version", point.version},
          {"tags", repo::own_tags(point)},
          {"degraded", repo::is_degraded(point)},
          {"missing", missing},
          {"spread_seconds", json_of(recovery::spread_of(point))},
          {"source_bytes", source_bytes(point)},
          {"stored_bytes", stored_bytes(point)},
          {"took_seconds", json_of(took(point))},
          {"faults", faults(point)},
          {"components", snapshots}};
}

uint64_t source_bytes(const repo::Point& point) {
  uint64_t sum = 0;
  for (const repo::Snapshot& snapshot : point.snapshots) sum += snapshot.source_bytes;
  return sum;
}

uint64_t stored_bytes(const repo::Point& point) {
  uint64_t sum = 0;
  for (const repo::Snapshot& snapshot : point.snapshots) sum += snapshot.stored_bytes;
  return sum;
}

Duration took(const repo::Point& point) {
  Duration sum;
  for (const repo::Snapshot& snapshot : point.snapshots) sum = sum + snapshot.took;
  return sum;
}

size_t faults(const repo::Point& point) {
  size_t sum = 0;
  for (const repo::Snapshot& snapshot : point.snapshots) sum += snapshot.faults.size();
  return sum;
}

std::string component_names(const repo::Point& point) {
  std::string names;
  for (const repo::Snapshot& snapshot : point.snapshots) names += (names.empty() ? "" : ",") + snapshot.component;
  for (const repo::MissingComponent& missing : repo::missing_components(point)) names += " -" + missing.component;
  return names;
}

std::vector<std::string> instants_text(const repo::Point& point) {
  std::vector<std::string> lines;
  if (point.snapshots.size() < 2) return lines;
  for (const repo::Snapshot& snapshot : point.snapshots)
    lines.push_back(fmt::format("{} stands for {}", snapshot.component, format_local(snapshot.instant)));
  lines.push_back(fmt::format("spread {}", duration_text(recovery::spread_of(point))));
  return lines;
}

std::string counted(uint64_t count, const std::string& noun) {
  return format_count(count) + " " + noun + (count == 1 ? "" : "s");
}

}  // namespace holdfast::cli
