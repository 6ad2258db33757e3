#include "source/postgres/snapshot_source.h"

#include <cstdlib>

#include "base/json_number.h"

namespace holdfast::postgres {
namespace {

using nlohmann::json;

json problems_to_json(const std::vector<FilePageProblem>& pages) {
  json list = json::array();
  for (const FilePageProblem& page : pages) {
    const auto relation = parse_relation_path(page.path);
    list.push_back({{"path", page.path},
                    {"relation", relation ? relation->relation : 0},
                    {"block", page.page.block},
                    {"problem", page.page.problem}});
  }
  return list;
}

std::vector<FilePageProblem> problems_from_json(const json& list) {
  std::vector<FilePageProblem> pages;
  for (const json& item : list) {
    pages.push_back({item.at("path").get<std::string>(),
                     {whole_number<uint32_t>(item, "block"), item.at("problem").get<std::string>()}});
  }
  return pages;
}

}  // namespace

json to_json(const SnapshotSource& source) {
  json tablespaces = json::array();
  for (const SnapshotTablespace& space : source.tablespaces) {
    tablespaces.push_back({{"oid", space.oid}, {"location", space.location}, {"directory", space.directory}});
  }
  json links = json::array();
  for (const SnapshotLink& link : source.links) links.push_back({{"path", link.path}, {"target", link.target}});
  json owner = json::object();
  if (!source.owner.empty()) owner["user"] = source.owner;
  if (!source.owner_group.empty()) owner["group"] = source.owner_group;
  return {{"system_id", std::to_string(source.system_id)},
          {"major", source.major},
          {"server_version", source.server_version},
          {"segment_bytes", source.segment_bytes},
          {"page_bytes", source.page_bytes},
          {"segment_pages", source.segment_pages},
          {"timeline", source.timeline},
          {"checksums", source.checksums},
          {"from_standby", source.from_standby},
          {"start_lsn", source.start.text()},
          {"stop_lsn", source.stop.text()},
          {"checkpoint_lsn", source.checkpoint.text()},
          {"stop_time", format_rfc3339(source.stop_time)},
          {"method", source.method},
          {"incremental", source.incremental},
          {"tablespaces", std::move(tablespaces)},
          {"links", std::move(links)},
          {"settings_left_out", source.settings_left_out},
          {"bad_pages", problems_to_json(source.bad_pages)},
          {"torn_pages", problems_to_json(source.torn_pages)},
          {"counts", source.counts},
          {"counts_problem", source.counts_problem},
          {"data_directory", source.data_directory},
          {"owner", std::move(owner)}};
}

std::string settings_note(const repo::Snapshot& snapshot) {
  if (snapshot.kind != "postgres") return "";
  const auto source = snapshot_source(snapshot);
  if (!source.ok() || source->settings_left_out.empty()) return "";
  return fmt::format("settings outside of the data directory are not in the point ({})",
                     fmt::join(source->settings_left_out, ", "));
}

Result<SnapshotSource> snapshot_source(const repo::Snapshot& snapshot) {
  SnapshotSource source;
  try {
    const json& from = snapshot.source;
    source.system_id = std::strtoull(from.at("system_id").get<std::string>().c_str(), nullptr, 10);
    source.major = whole_number<int>(from, "major");
    source.server_version = whole_number_or<int>(from, "server_version", source.major * 10000);
    source.segment_bytes = whole_number<uint64_t>(from, "segment_bytes");
    source.page_bytes = whole_number_or<uint32_t>(from, "page_bytes", 8192u);
    source.segment_pages = whole_number_or<uint32_t>(from, "segment_pages", 131072u);
    source.timeline = whole_number<uint32_t>(from, "timeline");
    source.checksums = from.value("checksums", false);
    source.from_standby = from.value("from_standby", false);
    source.start = TRY(parse_lsn(from.at("start_lsn").get<std::string>()));
    source.stop = TRY(parse_lsn(from.at("stop_lsn").get<std::string>()));
    source.checkpoint = TRY(parse_lsn(from.at("checkpoint_lsn").get<std::string>()));
    source.stop_time = TRY(parse_time(from.at("stop_time").get<std::string>(), Time()));
    source.method = from.value("method", "files");
    source.incremental = from.value("incremental", "");
    for (const json& item : from.value("tablespaces", json::array())) {
      SnapshotTablespace space{item.at("oid").get<std::string>(), item.at("location").get<std::string>(),
                               item.at("directory").get<std::string>()};
      // One that lies in pg_tblspc itself was listed by captures over the protocol. It is a
      // directory like others, and goes where its cluster goes.
      if (space.location.starts_with('/')) source.tablespaces.push_back(std::move(space));
    }
    for (const json& item : from.value("links", json::array()))
      source.links.push_back({item.at("path").get<std::string>(), item.at("target").get<std::string>()});
    source.settings_left_out = from.value("settings_left_out", std::vector<std::string>());
    source.bad_pages = problems_from_json(from.value("bad_pages", json::array()));
    whole_number_or<uint64_t>(from, "bad_page_count", 0);  // who tells of it may rely on that
    source.torn_pages = problems_from_json(from.value("torn_pages", json::array()));
    source.counts = from.value("counts", json::object());
    source.counts_problem = from.value("counts_problem", "");
    source.data_directory = from.value("data_directory", "");
    const json owner = from.value("owner", json::object());
    source.owner = owner.value("user", "");
    source.owner_group = owner.value("group", "");
  } catch (const json::exception& error) {
    return make_error(ErrorCode::kInvalidData, "the snapshot of '{}' does not describe a PostgreSQL cluster: {}",
                      snapshot.component, error.what());
  }
  return source;
}

}  // namespace holdfast::postgres
