#pragma once

#include <set>
#include <string>
#include <vector>

#include "source/files/removal.h"
#include "source/files/restore.h"
#include "source/files/restore_plan.h"

namespace holdfast::files {

// The last pass of a restore, when every file has its name: hard links, what the
// snapshot does not have (if it is to go), and the metadata of directories, each
// after everything inside it, so that their times are right and a directory
// without write permission can still be filled.
class RestoreFinish {
 public:
  RestoreFinish(repo::Repository& repository, Target& target, const RestoreOptions& options, const RestorePlan& plan,
                const Spared& spared, OwnerNames& names, Faults& faults)
      : repository_(repository),
        target_(target),
        options_(options),
        plan_(plan),
        removal_(target, spared, options.dry_run),
        names_(names),
        faults_(faults) {}

  // `made`: directories that this restore made, of those that it would otherwise
  // leave as they are (the ones above what was asked for).
  Result<void> run(const repo::BlockId& root, const Choice& choice, const std::set<std::string>& made);
  // What was removed, or in a dry run would be.
  const Changes& removed() const { return removal_.changes(); }
  // What the snapshot does not have and was left in place all the same.
  std::vector<std::string> notes() const { return removal_.notes(); }
  // Hard links that the target can't hold, and that are files of their own there.
  uint64_t links_copied() const { return links_copied_; }

 private:
  struct Directory {
    repo::Entry entry;
    bool above = false;           // what was asked for
    bool leave = false;           // as it is: it is none of ours
    std::set<std::string> names;  // that the snapshot has in it
    std::optional<dev_t> device;  // the file system that extra files are removed from
  };
  Result<void> visit(Selected selected, const std::set<std::string>& made);
  void leave_out(const std::string& path);
  Result<void> leave(const Directory& directory);
  Result<void> remove_extra(const Directory& directory);
  Result<void> remove(const std::string& extra, dev_t device);
  Result<std::optional<dev_t>> device_for(const Directory& directory);
  Result<void> make_link(const repo::Entry& entry);
  Result<void> link(const std::string& from, const repo::Entry& entry);

  repo::Repository& repository_;
  Target& target_;
  const RestoreOptions& options_;
  const RestorePlan& plan_;
  Removal removal_;
  OwnerNames& names_;
  Faults& faults_;
  std::vector<Directory> directories_;
  uint64_t links_copied_ = 0;
};

}  // namespace holdfast::files
