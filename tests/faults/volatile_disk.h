#pragma once

#include <sys/types.h>

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/filesystem.h"
#include "base/random.h"

namespace holdfast::faults {

// The real file system, with a memory of what is not durable yet, so that it can
// be taken back as a loss of power would. fault_file_system.h has the rules. Files
// and directories are known by their inode, so renames above or below them do not
// confuse it. Not thread-safe.
class VolatileDisk {
 public:
  // `attic`: an absent folder on the same file system, for what was removed but may come back.
  static Result<std::unique_ptr<VolatileDisk>> create(const std::string& attic);
  ~VolatileDisk();

  // The file behind `fd` was just created as `path`.
  Result<void> created(const std::string& path, int fd);
  // The content or size of the file behind `fd` is about to change.
  Result<void> will_change(int fd);
  void file_synced(int fd);
  Result<void> directory_synced(const std::string& path);
  void everything_synced();

  Result<void> make_directory(const std::string& path, mode_t mode);
  Result<void> rename(const std::string& from, const std::string& to, bool exclusive);
  Result<void> hard_link(const std::string& from, const std::string& to);
  Result<void> symlink(const std::string& target, const std::string& path);
  Result<void> remove_file(const std::string& path);
  Result<void> remove_directory(const std::string& path);

  // Takes back what is not durable, by the seed.
  Result<void> lose_power(uint64_t seed);

 private:
  using Inode = std::pair<dev_t, ino_t>;
  struct Directory;
  using DirectoryRef = std::shared_ptr<Directory>;

  // A place for a name: the directory (open, so that it stays the same one
  // whatever is renamed) and the name in it.
  struct Place {
    DirectoryRef directory;
    std::string name;
  };
  struct Operation {
    std::vector<DirectoryRef> directories;  // the one whose sync makes it durable is first
    std::function<Result<void>()> undo;
    std::string in_attic;  // what can go once the operation is durable
  };
  // A file whose content is not durable.
  struct Dirty {
    int fd = -1;  // ours
    bool is_new = false;
    Bytes durable;  // content at the last sync, unless new
  };

  explicit VolatileDisk(std::string attic) : attic_(std::move(attic)) {}
  Result<Place> place_of(const std::string& path);
  std::string attic_name();
  void record(std::vector<DirectoryRef> directories, std::function<Result<void>()> undo, std::string in_attic = "");
  void clean(const Inode& inode);
  // Moves or links what stands at `path` into the attic; "" when nothing does.
  Result<std::string> bury(const std::string& path, bool directory);
  Result<void> undo_names(Random& random);
  Result<void> roll_back(const Dirty& file, Random& random);

  const std::string attic_;
  uint64_t buried_ = 0;
  std::map<Inode, std::weak_ptr<Directory>> directories_;
  std::list<Operation> pending_;  // names that are not durable, oldest first
  std::map<Inode, Dirty> dirty_;
};

}  // namespace holdfast::faults
