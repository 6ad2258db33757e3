#include "source/postgres/aside.h"

#include <algorithm>

#include "source/postgres/snapshot_source.h"
#include "source/postgres/timeline.h"
#include "source/postgres/wal_archive.h"

namespace holdfast::postgres {

namespace {

std::string hba_path(const std::string& root) { return join_path(root, "hba.conf"); }
std::string ident_path(const std::string& root) { return join_path(root, "ident.conf"); }

}  // namespace

Result<std::string> stage_wal(FileSystem& fs, repo::Repository& repository, const repo::Snapshot& snapshot,
                              const ResolvedTarget& target, const std::string& directory) {
  const SnapshotSource source = TRY(snapshot_source(snapshot));
  TRY(fs.make_directory(directory, 0755));
  auto archive = TRY(WalArchive::open(repository, {snapshot.component, source.system_id, source.segment_bytes}));
  const auto stage = [&](const std::string& name) -> Result<void> {
    const auto content = TRY(archive->fetch(name));
    if (!content) return {};
    return write_file_durably(fs, join_path(directory, name), *content, 0644);
  };
  const uint64_t size = source.segment_bytes;
  const std::vector<TimelineSwitch> ancestors = TRY(archive->history(target.timeline));
  for (const TimelinePiece& piece : path_to(target.timeline, ancestors)) {
    if (piece.timeline > 1) TRY(stage(history_name(piece.timeline)));
    // A server that is to stop at once wants to see the record after that, too.
    const uint64_t from = std::max(piece.from.value, target.replay_from.value) / size * size;
    const uint64_t to = std::min(piece.to.value, target.replay_to.value + size);
    for (uint64_t at = from; at < to; at += size) TRY(stage(segment_name(piece.timeline, {at}, size)));
  }
  return "cp '" + directory + "/%f' '%p'";
}

Result<void> write_access_files(FileSystem& fs, const std::string& root) {
  TRY(write_file_durably(fs, hba_path(root), as_bytes("local all all trust\n"), 0644));
  return write_file_durably(fs, ident_path(root), as_bytes(""), 0644);
}

std::vector<std::pair<std::string, std::string>> settings_aside(const std::string& data_directory,
                                                                const std::string& root) {
  return {{"data_directory", data_directory},
          {"hba_file", hba_path(root)},
          {"ident_file", ident_path(root)},
          {"external_pid_file", join_path(root, "external.pid")},
          {"archive_mode", "off"},
          {"primary_conninfo", ""},
          {"primary_slot_name", ""},
          {"synchronous_standby_names", ""},
          {"ssl", "off"},
          {"logging_collector", "off"},
          {"log_destination", "stderr"},
          {"fsync", "off"},
          {"autovacuum", "off"},
          {"hot_standby", "on"},
          {"shared_preload_libraries", ""},
          {"session_preload_libraries", ""},
          {"local_preload_libraries", ""},
          {"cluster_name", "holdfast-boot"}};
}

}  // namespace holdfast::postgres
