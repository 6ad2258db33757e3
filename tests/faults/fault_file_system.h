#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/filesystem.h"
#include "faults/volatile_disk.h"

namespace holdfast::faults {

// What goes wrong at the chosen operation.
enum class FaultKind {
  kNone,
  kNoSpace,    // it fails with ENOSPC, and so does everything later that needs space
  kIoError,    // it fails with EIO, once; everything later works
  kKill,       // it and every later call fail: the process is dead, the kernel lives
  kPowerLoss,  // the same, and settle() takes back what was not durable
};

std::string_view fault_name(FaultKind kind);

// Where scratch directories for thousands of runs are best made: in memory, where there is such a place.
std::string scratch_place();

struct FaultPlan {
  FaultKind kind = FaultKind::kNone;
  uint64_t at = 0;    // number of the operation, from 1; 0: none
  bool torn = false;  // when it is a write: its first half is done before it fails
  uint64_t seed = 0;  // of what a power loss keeps
};

// A model of a machine that fails, around the real file system.
//
// Every call that changes the disk below `root` is one operation, numbered from
// 1 in the order in which they happen: write, truncate, sync, sync of a
// directory, sync of everything, rename, link, symbolic link, create, make
// directory, remove. Reads are not numbered. At the operation that the plan
// names, the fault happens. So a test runs its work once to count, and then once
// for every number.
//
// Simulated
// - A full disk: writes, creations and links fail from the fault on; a write may
//   have been done in half. Renames, removals and syncs still work.
// - A single failed call, for code that goes on after an error.
// - Death of the process between any two operations, or in the middle of a write.
//   All later calls fail, reads too, so that no clean-up code of ours runs.
// - Loss of power. What was not made durable is lost, or not, as the seed says:
//   - Content and size of a file go back to what the last sync() of it (or
//     sync_all) left, stay, or become a mixture page by page. A new file that
//     was never synced becomes empty, or has garbage in it. Syncing the file
//     says nothing of its name.
//   - Names (created, renamed, linked, removed) that were not followed by a
//     sync_directory() of their directory are undone from the newest to the
//     oldest. Within a directory, what is kept is a prefix of what was done. A
//     rename is atomic, and durable when the directory of the new name is synced.
//     A directory whose own name is lost takes all that is in it along.
//   This is what POSIX allows, and more than any one file system does: ext4, for
//   one, makes the name durable when it syncs a new file.
//
// Not simulated
// - Owners, modes, times and extended attributes: never rolled back.
// - Calls on File::descriptor() (which is -1 once the process is dead).
// - Writes that a sync reports as failed once and that a later sync then passes
//   over (kIoError leaves the data in place).
// - Disks that lie about a sync, and bits that rot.
// - Other processes, and paths outside of `root`: they go to the real file system.
//
// A file whose last removed name is not durable yet has one link more than it
// should. Thread-safe: operations run one at a time, so their order is a fact.
class FaultFileSystem final : public FileSystem {
 public:
  // `root` exists. What may have to be undone is kept in a folder beside it.
  static Result<std::unique_ptr<FaultFileSystem>> create(const std::string& root, const FaultPlan& plan);
  ~FaultFileSystem() override;

  uint64_t operations() const { return count_; }
  bool fired() const { return fired_; }
  // "14 rename tmp/x to packs/ab": what was done, in order; the last one that
  // was reached may be the one that failed.
  std::vector<std::string> trace() const;

  // For a power loss, also when its operation was never reached: the disk as it
  // is found after the restart. Once, after everything that was opened is closed.
  Result<void> settle();

  Result<std::unique_ptr<File>> open(const std::string& path, const OpenOptions& options) override;
  Result<struct stat> stat(const std::string& path) override;
  Result<std::vector<DirectoryEntry>> list(const std::string& path) override;
  Result<void> make_directory(const std::string& path, mode_t mode) override;
  Result<void> rename(const std::string& from, const std::string& to) override;
  Result<void> rename_exclusive(const std::string& from, const std::string& to) override;
  Result<void> hard_link(const std::string& from, const std::string& to) override;
  Result<void> symlink(const std::string& target, const std::string& path) override;
  Result<std::string> read_link(const std::string& path) override;
  Result<void> remove_file(const std::string& path) override;
  Result<void> remove_directory(const std::string& path) override;
  Result<void> sync_directory(const std::string& path) override;
  Result<void> sync_all(const std::string& path) override;
  Result<uint64_t> free_bytes(const std::string& path) override;

 private:
  friend class FaultFile;
  FaultFileSystem(std::string root, const FaultPlan& plan, std::unique_ptr<VolatileDisk> disk);

  enum class Needs { kSpace, kNothing };
  // Counts the operation; the error, if it is to fail. With the mutex held.
  Result<void> step(std::string what, Needs needs);
  Result<void> alive() const;
  bool covers(const std::string& path) const;
  std::string shown(const std::string& path) const;
  // Runs a numbered operation that `act` does to the disk.
  template <typename Act>
  Result<void> operation(std::string what, Needs needs, const Act& act);

  const std::string root_;
  const FaultPlan plan_;
  const std::unique_ptr<VolatileDisk> disk_;
  mutable std::mutex mutex_;
  std::vector<std::string> trace_;
  std::atomic<uint64_t> count_{0};
  std::atomic<bool> fired_{false}, dead_{false};
};

// Work on a disk that fails as planned, and the restart of its machine.
struct FaultyRun {
  bool ok = false;        // the work's own outcome,
  std::string told;       // and in words
  std::string operation;  // that failed, or was the one to fail
};
Result<FaultyRun> run_faulty(const std::string& disk, const FaultPlan& plan,
                             const std::function<Result<void>(FileSystem&)>& work);
// What a campaign shows of a run behind which something was wrong.
std::string failure_words(const FaultPlan& plan, const std::string& operation, const std::string& wrong);

}  // namespace holdfast::faults
