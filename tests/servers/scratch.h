#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/subprocess.h"

namespace holdfast::servers {

// Whom servers run as: PostgreSQL refuses root. As root it is the account
// `postgres`, otherwise nobody is changed to.
struct ServerUser {
  std::optional<uid_t> uid;
  std::optional<gid_t> gid;
};
ServerUser server_user();

// A command that runs as the servers' user, with C as its locale.
CommandOptions as_server_user(std::vector<std::string> argv, Duration deadline = Duration::seconds(300));

// A directory of its own with a short path (sockets have room for 107 bytes),
// owned by the servers' user, removed with all that is in it. HOLDFAST_KEEP=1 in
// the environment keeps it for a look.
class ScratchDirectory {
 public:
  static Result<ScratchDirectory> create();
  ScratchDirectory(ScratchDirectory&& other) noexcept : path_(std::exchange(other.path_, "")) {}
  ScratchDirectory& operator=(ScratchDirectory&&) = delete;
  ~ScratchDirectory();

  const std::string& path() const { return path_; }
  // <path>/<name>
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  // Makes <path>/<name>, owned by the servers' user, mode 0700.
  Result<std::string> make(const std::string& name) const;

 private:
  explicit ScratchDirectory(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

// A path by which the servers' user reaches a file or tree of this build: itself, or,
// when root works in a place that is closed to others, a copy that lasts until the
// program ends.
std::string reachable(const std::string& path);

// Makes a directory that belongs to the servers' user.
Result<void> make_server_directory(const std::string& path);

}  // namespace holdfast::servers
