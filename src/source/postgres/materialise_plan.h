#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/name_lock.h"
#include "source/postgres/materialise.h"
#include "source/postgres/snapshot_source.h"

namespace holdfast::postgres {

// While a restore is under way its directory holds this file; it names the
// cluster and the places of its tablespaces, so that the restore can be repeated over
// what it has left.
constexpr const char* kRestoreMarker = ".holdfast-restore";
// The marker's content: the system identifier, then each location, on lines of their own.
std::string restore_marker(uint64_t system_id, const std::map<std::string, std::string>& tablespaces);

// Where a snapshot's files go, and the proof that they may.
class MaterialisePlan {
 public:
  // Looks at the target without changing anything. Refuses as materialise() says. Unless it is a
  // dry run, no other restore writes to the plan's places while the plan lives.
  static Result<MaterialisePlan> make(source::World& world, repo::Repository& repository,
                                      const repo::Snapshot& snapshot, const ResolvedTarget& target,
                                      const MaterialiseOptions& options);

  // The place of a path of the tree; empty when it is not restored.
  std::optional<std::string> place_of(const std::string& path) const;
  // The data directory and the locations of tablespaces elsewhere.
  std::vector<std::string> roots() const;

  const SnapshotSource& source() const { return source_; }
  const std::string& data_directory() const { return directory_; }
  // oid -> location, of those that lie outside the data directory.
  const std::map<std::string, std::string>& tablespaces() const { return tablespaces_; }
  uint64_t files() const { return files_; }
  uint64_t bytes() const { return bytes_; }
  std::optional<uint32_t> uid() const { return uid_; }
  std::optional<uint32_t> gid() const { return gid_; }
  bool over_old() const { return over_old_; }  // --delta over something
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  Result<void> place_tablespaces(const MaterialiseOptions& options);
  std::string tablespaces_there() const;
  Result<void> lock(FileSystem& fs);
  Result<void> look_around(source::World& world);
  Result<void> look_at_target(source::World& world, const MaterialiseOptions& options);
  Result<void> look_at_tablespaces(source::World& world, const MaterialiseOptions& options);
  Result<void> look_at_replay(source::World& world, const ResolvedTarget& target);
  std::string how_to_begin_anew() const;
  bool is_ours(FileSystem& fs, const std::string& oid, const std::string& location) const;
  Result<void> look_at_link(const repo::Entry& entry);
  void note_links(FileSystem& fs);
  Result<void> measure(repo::Repository& repository, const repo::Snapshot& snapshot);
  Result<void> look_at_space(source::World& world);
  std::string former_owner() const;
  void choose_owner(const MaterialiseOptions& options, source::World& world);

  SnapshotSource source_;
  std::string directory_;
  std::string original_;   // the data directory that was captured; "" when that is not known
  bool in_place_ = false;  // the restore goes there
  std::map<std::string, std::string> tablespaces_;
  std::map<std::string, uint64_t> bytes_by_root_;
  uint64_t files_ = 0, bytes_ = 0;
  std::optional<uint32_t> uid_, gid_, captured_uid_, captured_gid_;
  bool over_old_ = false;
  std::vector<std::string> notes_;
  std::vector<NameLock> locks_;
};

// kTargetRunning when a server runs on the directory: postmaster.pid names it, or, when
// that file is gone, one of its processes works there.
Result<void> refuse_running(FileSystem& fs, const std::string& data_directory);

}  // namespace holdfast::postgres
