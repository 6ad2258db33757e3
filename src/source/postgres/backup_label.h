#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "source/postgres/lsn.h"

namespace holdfast::postgres {

// The backup_label file: where recovery of a copy must begin. The server hands
// it out at the end of a backup; without it in the data directory a server would
// start from pg_control's checkpoint, which is wrong for a copy, and silently so.
struct BackupLabel {
  Lsn start;  // of the WAL that the copy needs
  std::string start_segment;
  Lsn checkpoint;  // location of the checkpoint record
  bool from_standby = false;
  uint32_t timeline = 0;  // at the start
  std::string label;
};

// kInvalidData names the line; kUnsupported when the label is of an incremental
// copy of PostgreSQL's own (17 and later), which can't be started by itself.
Result<BackupLabel> parse_backup_label(std::string_view text);

// The tablespace_map file: one line for each tablespace, "OID LOCATION", in which
// a backslash escapes line ends and itself.
struct TablespaceLine {
  std::string oid;
  std::string location;
  bool operator==(const TablespaceLine&) const = default;
};
Result<std::vector<TablespaceLine>> parse_tablespace_map(std::string_view text);

}  // namespace holdfast::postgres
