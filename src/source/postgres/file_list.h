#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/filesystem.h"
#include "base/result.h"

namespace holdfast::postgres {

enum class Fork { kMain, kFreeSpace, kVisibility, kInit };

// What the name of a relation file says. Paths are those of the tree: relative to
// the data directory, a tablespace being the directory pg_tblspc/<oid>.
struct RelationFile {
  std::string directory;  // "base/16384": what is before the name
  uint32_t relation = 0;  // the file node number
  Fork fork = Fork::kMain;
  uint32_t segment = 0;  // .1, .2, ... of a relation above 1 GiB
};
std::optional<RelationFile> parse_relation_path(std::string_view path);
// The database that a relation's directory belongs to; 0: shared by all.
std::optional<uint32_t> database_of(std::string_view directory);

// Temporary tables: t<backend>_<number>, with fork and segment as others.
bool is_temporary_relation(std::string_view file_name);

enum class Treatment {
  kCapture,
  kSkip,           // not in the snapshot at all
  kDirectoryOnly,  // the directory is kept, what it holds is not
};
// What becomes of a path, by the rules of PostgreSQL's own base backup. Unlogged
// relations are not its business: they are known by their neighbours.
Treatment treatment_of(std::string_view path, bool is_directory);

// Whether PostgreSQL 13 to 18 itself makes something of this name at the top of a data
// directory, or acts on it there. All else there is somebody else's: keys, logs, notes.
bool is_servers_own(std::string_view name);
// Whether a path of the tree is below such a name, or is one.
bool is_below_servers_own(std::string_view path);
// Whether a file of the tree may be one of settings: included ones may have any name.
bool may_be_settings(std::string_view path);

// One thing found in a data directory.
struct FoundFile {
  std::string path;       // in the tree
  std::string full_path;  // on disk
  struct stat status{};
  bool is_directory = false;
  bool is_symlink = false;
  std::string link_target;
  // The location, when this is a tablespace's directory (pg_tblspc/<oid>) that
  // lies elsewhere. In the tree it is a directory.
  std::string tablespace_location;
  std::string followed_link;  // what the link said, when this is what it leads to
};

// Goes through a data directory and its tablespaces in the order of a tree,
// leaving out what treatment_of() says and the contents of unlogged relations.
// Where a name of the server's own is a link, what it leads to is found in its place;
// others stay links. Holds the names of the directories on the way only. What vanishes
// meanwhile is passed over; special files are left out. Not thread-safe.
class FileWalk {
 public:
  // `version_directory` is the name that this server uses in tablespaces
  // ("PG_15_202209061"): others in the same location are not ours. `configuration`: paths,
  // in the tree, that the server reads its settings from: links on the way to them are
  // followed, too.
  FileWalk(FileSystem& fs, std::string data_directory, std::string version_directory,
           std::vector<std::string> configuration = {});
  ~FileWalk();
  // Empty at the end. The first is the data directory itself, with path "".
  Result<std::optional<FoundFile>> next();
  // Configuration files passed so far whose links lead nowhere.
  const std::vector<std::string>& faults() const { return faults_; }

 private:
  struct Level;
  Result<void> enter(const FoundFile& directory);
  Result<std::optional<FoundFile>> examine(Level& level, const std::string& name);
  Result<void> look_behind_link(const Level& level, FoundFile& found);
  Result<void> take_dangling_link(FoundFile& found);
  bool is_followed(const std::string& path) const;
  FileSystem& fs_;
  std::string root_, version_directory_;
  const std::vector<std::string> configuration_;
  std::vector<std::string> faults_;
  bool started_ = false;
  std::vector<Level> levels_;
};

}  // namespace holdfast::postgres
