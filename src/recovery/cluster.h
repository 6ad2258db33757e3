#pragma once

#include <memory>
#include <optional>
#include <string>

#include "recovery/workspace.h"
#include "repo/point.h"
#include "source/postgres/capture.h"
#include "source/postgres/wal_archive.h"

namespace holdfast::recovery {

// What recovery across components needs to know of a PostgreSQL snapshot.
struct ClusterFacts {
  uint64_t system_id = 0;
  uint64_t segment_bytes = 16u << 20;
  int major = 0;
  uint32_t timeline = 1;
  postgres::Lsn start, stop;   // it is whole with the WAL of [start, stop)
  std::string data_directory;  // where the cluster was
};
// kInvalidData when the snapshot does not say what it must.
Result<ClusterFacts> cluster_facts(const repo::Snapshot& snapshot);

// The component's connection with its password resolved. kConfig when it has none.
Result<postgres::Connection> connection_of(const ComponentConfig& component);

Result<std::unique_ptr<postgres::WalArchive>> open_archive(Workspace& workspace, const std::string& component,
                                                           uint64_t system_id, uint64_t segment_bytes);

// The cluster that a log stream belongs to: "<component>.<system identifier>".
struct StreamName {
  std::string component;
  uint64_t system_id = 0;
};
// Empty when the stream is not a PostgreSQL log.
std::optional<StreamName> parse_stream_name(const std::string& stream);

// The restore_command by which a restored server fetches WAL through this very program and
// configuration: the stack's file, and the location and the reference of the passphrase where a
// flag gave them; the location, too, where a variable did. A passphrase that stands in a variable
// is left to the file's reference: a server is seldom started where that is set.
std::string restore_command(const StackConfig& stack, const std::string& component, const ClusterFacts& facts);
// The variable that it refers to, which the server's environment must hold; "" when there is none.
std::string restore_command_variable(const StackConfig& stack);
// What a person has to know of it, when the passphrase that was used stands in a variable; else "".
std::string restore_command_note(const StackConfig& stack);

}  // namespace holdfast::recovery
