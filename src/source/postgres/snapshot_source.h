#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/time.h"
#include "repo/point.h"
#include "source/postgres/capture_pipeline.h"
#include "source/postgres/lsn.h"

namespace holdfast::postgres {

struct SnapshotTablespace {
  std::string oid;
  std::string location;   // where it was
  std::string directory;  // in the tree: "pg_tblspc/<oid>"
};

// A link in the data directory, in whose place the tree has what it led to.
struct SnapshotLink {
  std::string path, target;
};

// What Snapshot::source says of a PostgreSQL snapshot (docs/format.md, "PostgreSQL
// snapshots"), as fields.
struct SnapshotSource {
  uint64_t system_id = 0;
  int major = 0;
  int server_version = 0;
  uint64_t segment_bytes = 0;
  uint32_t page_bytes = 8192;
  uint32_t segment_pages = 131072;
  uint32_t timeline = 0;
  bool checksums = false;
  bool from_standby = false;
  Lsn start, stop, checkpoint;
  Time stop_time;
  std::string method;       // "files" | "protocol"
  std::string incremental;  // how it knew what has changed: "wal" | "pages"; "": a full one
  std::vector<SnapshotTablespace> tablespaces;
  std::vector<SnapshotLink> links;
  std::vector<std::string> settings_left_out;  // files outside of the data directory; the first of them
  std::vector<FilePageProblem> bad_pages;
  std::vector<FilePageProblem> torn_pages;  // right after replay; not before
  nlohmann::json counts = nlohmann::json::object();
  std::string counts_problem;  // why none of them is exact for the snapshot's end; "": some are
  // Where the cluster was, which a restore after total loss has nobody else to ask; "": unknown.
  std::string data_directory;
  // Names of the account that it belonged to; "" where the machine that captured could not tell.
  std::string owner, owner_group;
};
nlohmann::json to_json(const SnapshotSource& source);
// A note on the settings files outside of the data directory that the snapshot lacks; "" when
// it lacks none, or is not of PostgreSQL.
std::string settings_note(const repo::Snapshot& snapshot);
// kInvalidData names what is missing or wrong.
Result<SnapshotSource> snapshot_source(const repo::Snapshot& snapshot);

}  // namespace holdfast::postgres
