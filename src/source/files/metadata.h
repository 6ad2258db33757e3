#pragma once

#include <sys/stat.h>

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "repo/tree.h"
#include "source/files/faults.h"

namespace holdfast::files {

// Names of users and groups, each asked for once: a lookup may go over the
// network. Thread-safe.
class OwnerNames {
 public:
  // "" when the system has no name for it.
  std::string user(uid_t uid);
  std::string group(gid_t gid);
  // `fallback` when the system does not know the name.
  uid_t uid_of(const std::string& name, uid_t fallback);
  gid_t gid_of(const std::string& name, gid_t fallback);

 private:
  std::mutex mutex_;
  std::map<uid_t, std::string> users_;
  std::map<gid_t, std::string> groups_;
  std::map<std::string, std::optional<uid_t>> uids_;
  std::map<std::string, std::optional<gid_t>> gids_;
};

repo::EntryKind kind_of(mode_t mode);
// What an entry can say; a file system may go further. What lies beyond becomes these.
constexpr Time kEarliestTime = {INT64_MIN}, kLatestTime = {INT64_MAX};
Time modified_of(const struct stat& status);
Time changed_of(const struct stat& status);

// Whether a file system of this type (statfs) takes its files' times from another machine's clock.
bool has_times_of_another(uint64_t type);
// How far the clock that gives an object its times may be behind ours: nothing where it is ours.
// Of a symbolic link it is the link itself.
Duration clock_margin_of(const std::string& path);

// Everything of an entry that lstat tells. No xattrs, link target or content.
repo::Entry entry_of(std::string path, const struct stat& status, OwnerNames& names);

// Whether nothing was done to the file between the two looks at it.
bool same_state(const struct stat& before, const struct stat& after);

// Whether a file of this entry's state may have space that was never written.
bool may_have_holes(const struct stat& status);

using Attributes = std::vector<std::pair<std::string, std::string>>;

// A file or other object to work on: by descriptor where there is one (>= 0),
// else by path; a symbolic link at the end of the path is never followed.
struct Handle {
  int descriptor = -1;
  const std::string& path;
};

// All extended attributes, ACLs and capabilities among them, sorted by name. A
// file system without them gives none. `unread` is told of those that could not be
// read, with their names; of all of them with an empty one.
using OnUnread = std::function<void(const std::string& name, const Error& error)>;
Attributes read_attributes(const Handle& handle, const OnUnread& unread);

struct ApplyOptions {
  bool numeric_ids = false;
  bool remove_other_attributes = false;  // the object existed: it may have more than ACLs that the entry lacks
  bool made_on_the_way = false;          // a directory above what was asked for: its owner is not worth a word
};

// Sets owner, attributes, mode and times, in the order in which none undoes
// another. What the system refuses becomes a fault under the entry's path; but an
// owner that only root could set is counted when we are not root, and a file that
// stays ours so is not left setuid or setgid.
void apply_metadata(const repo::Entry& entry, const Handle& handle, const ApplyOptions& options, OwnerNames& names,
                    Faults& faults);

// How an object's metadata differs from the entry, in words; empty if it does not.
std::vector<std::string> metadata_differences(const repo::Entry& entry, const struct stat& status, const Handle& handle,
                                              OwnerNames& names);

}  // namespace holdfast::files
