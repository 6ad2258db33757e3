#include "servers/scratch.h"

#include <pwd.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <map>

#include "base/filesystem.h"

namespace holdfast::servers {
namespace {

Result<void> give_to_server_user(const std::string& path) {
  const ServerUser user = server_user();
  if (!user.uid) return {};
  if (chown(path.c_str(), *user.uid, *user.gid) != 0) return Error::from_errno(errno, "chown " + path);
  return {};
}

Result<std::string> copy_for_server_user(const ScratchDirectory& scratch, const std::string& path) {
  const std::string copy = scratch.file(base_name(path));
  CommandOptions command;
  command.argv = {"cp", "-a", path, copy};
  TRY(run_command_checked(command));
  command.argv = {"chmod", "-R", "a+rX", copy};
  TRY(run_command_checked(command));
  return copy;
}

}  // namespace

std::string reachable(const std::string& path) {
  static std::map<std::string, std::string> known;
  const auto found = known.find(path);
  if (found != known.end()) return found->second;
  std::string usable = path;
  const auto seen = run_command(as_server_user({"test", "-r", path}));
  if (seen.ok() && seen.value().exit_status != 0) {
    static const auto scratch = ScratchDirectory::create();
    auto copy = scratch.ok() ? copy_for_server_user(*scratch, path) : scratch.error().clone();
    CHECK_MSG(copy.ok(), "what the servers' user can't reach can't be copied either");
    usable = *copy;
  }
  return known[path] = usable;
}

ServerUser server_user() {
  if (geteuid() != 0) return {};
  const passwd* account = getpwnam("postgres");
  if (account == nullptr) account = getpwnam("nobody");
  CHECK_MSG(account != nullptr, "servers can't run as root, and there is neither 'postgres' nor 'nobody'");
  return {account->pw_uid, account->pw_gid};
}

CommandOptions as_server_user(std::vector<std::string> argv, Duration deadline) {
  const ServerUser user = server_user();
  CommandOptions options;
  options.argv = std::move(argv);
  options.environment = {{"LC_ALL", "C.UTF-8"}, {"TZ", "UTC"}};
  options.working_directory = "/";
  options.deadline = deadline;
  options.uid = user.uid;
  options.gid = user.gid;
  return options;
}

Result<ScratchDirectory> ScratchDirectory::create() {
  const char* parent = getenv("HOLDFAST_SCRATCH");
  std::string path = std::string(parent != nullptr ? parent : "/var/tmp") + "/hf.XXXXXX";
  if (mkdtemp(path.data()) == nullptr) return Error::from_errno(errno, "mkdtemp " + path);
  ScratchDirectory scratch(path);
  TRY(give_to_server_user(path));
  return scratch;
}

ScratchDirectory::~ScratchDirectory() {
  if (path_.empty()) return;
  if (getenv("HOLDFAST_KEEP") != nullptr) {
    fmt::print(stderr, "kept: {}\n", path_);
    return;
  }
  ignore(remove_tree(real_file_system(), path_), "a leftover in the scratch area is harmless");
}

Result<std::string> ScratchDirectory::make(const std::string& name) const {
  const std::string path = file(name);
  TRY(make_server_directory(path));
  return path;
}

Result<void> make_server_directory(const std::string& path) {
  if (mkdir(path.c_str(), 0700) != 0) return Error::from_errno(errno, "mkdir " + path);
  return give_to_server_user(path);
}

}  // namespace holdfast::servers
