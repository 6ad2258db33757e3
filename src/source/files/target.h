#pragma once

#include <sys/stat.h>

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/directory_lock.h"
#include "base/filesystem.h"
#include "base/name_lock.h"
#include "base/volume.h"
#include "repo/ids.h"
#include "source/files/beneath.h"
#include "source/files/content_reader.h"
#include "source/files/metadata.h"
#include "source/source.h"

namespace holdfast::files {

// The place that a restore writes to, and the one way in which anything appears
// there: first whole under a temporary name beside its own, then, once a batch of
// them is durable, under its own name. A crash leaves temporaries, which the next
// restore of the same snapshot replaces. Thread-safe.
class Target {
 public:
  // `directory`: "" or "/" for where things were. `snapshot`: what is restored.
  Target(FileSystem& fs, const std::string& directory, bool replace, const repo::BlockId& snapshot);
  ~Target();

  std::string path_of(std::string_view tree_path) const;
  // Name for the time until publish(); hidden, in the same directory. It follows from
  // the path and from the snapshot: what a crash left is found again, and no entry of
  // that snapshot can have it, as its digest came later than the entry.
  std::string temporary_of(std::string_view tree_path) const;
  // Whether the system does not take it here, under its own or its temporary name.
  bool is_too_long(std::string_view tree_path) const;
  // The nearest directory that exists already, at or above this one.
  Result<std::string> existing_ancestor(std::string path) const;

  // A new, empty, private file under the temporary name.
  Result<std::unique_ptr<File>> create_temporary(const std::string& tree_path);
  // Makes way for a temporary that is not a file.
  Result<void> clear_temporary(const std::string& tree_path);
  // The temporary is whole and closed: publish() may rename it.
  void ready(const std::string& tree_path);
  // It is not, and what has its name already stays.
  void discard(const std::string& tree_path);
  bool was_discarded(const std::string& tree_path) const;

  // Keeps other restores out of the target's directory, which exists, as long as the Target
  // lives: two would take each other's temporaries. Where things go to where they were, out of
  // these roots. kLocked when another of this account, or of root, is there. Where the system has no locks there are
  // none.
  Result<void> lock(const std::vector<std::string>& roots);

  // Makes all that is ready durable, then visible. Without `replace` an existing
  // name is kAlreadyExists. What the system refuses alone is discarded, and a fault.
  Result<void> publish(size_t threads, Faults& faults);
  // Something was changed in this directory: sync() reaches its file system.
  Result<void> changed_in(const std::string& directory);
  // Makes what was published and changed durable, on every file system that it lies on.
  Result<void> sync();

  // Where in the tree a path of the machine would be, if it lies in the target.
  std::optional<std::string> tree_path_of(const std::string& path) const;

  bool in_place() const { return prefix_.empty(); }
  bool replaces() const { return replace_; }
  // Nothing below the target leads out of it here.
  FileSystem& fs() { return fs_; }
  // For calls that FileSystem does not have.
  Result<Place> place_of(const std::string& path) const { return fs_.place(path); }

 private:
  Result<const Volume*> volume_of(const std::string& directory);

  const std::string prefix_;  // "" or "/dir"
  mutable Beneath fs_;
  const bool replace_;
  const repo::BlockId snapshot_;
  mutable std::mutex mutex_;
  std::vector<std::string> ready_;
  std::set<std::string> discarded_;
  std::optional<DirectoryLock> directory_lock_;
  std::vector<NameLock> locks_;
  std::map<dev_t, std::unique_ptr<Volume>> volumes_;  // each opened before it was written to
  std::string last_directory_;                        // that was asked for, and its volume
  const Volume* last_volume_ = nullptr;
};

}  // namespace holdfast::files
