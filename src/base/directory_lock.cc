#include "base/directory_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <sstream>

namespace holdfast {
namespace {

// The account that began the process, whatever it is now: a program with the set-user-ID bit
// runs as root, whoever began it. Empty: there is no such process.
std::optional<uid_t> account_of(pid_t process) {
  std::ifstream status(fmt::format("/proc/{}/status", process));
  for (std::string line; std::getline(status, line);) {
    std::istringstream words(line);
    std::string key;
    uid_t real = 0;
    if (words >> key && key == "Uid:" && words >> real) return real;
  }
  return std::nullopt;
}

// Whether all who are listed with a lock on that file are strangers, or have ended: a lock of ours ends
// with its process. False where nobody is listed: another machine, or container, holds it.
// By its number alone, as btrfs lists other device numbers than it shows.
bool are_strangers(ino_t inode) {
  std::ifstream locks("/proc/locks");
  const std::string end = fmt::format(":{}", inode);
  bool any = false;
  for (std::string line; std::getline(locks, line);) {
    std::istringstream words(line);
    std::string number, kind, advisory, mode, place;
    pid_t process = 0;
    if (!(words >> number >> kind >> advisory >> mode >> process >> place)) continue;
    if (kind != "FLOCK" || !place.ends_with(end)) continue;
    any = true;
    const auto account = account_of(process);
    if (account && (*account == 0 || *account == ::geteuid())) return false;
  }
  return any;
}

}  // namespace

std::optional<DirectoryLock> DirectoryLock::take(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  struct stat status{};
  if (descriptor < 0 || ::fstat(descriptor, &status) != 0) return DirectoryLock(descriptor, std::nullopt);
  auto among_our_own = NameLock::take(fmt::format("holdfast-directory-{:x}-{:x}", status.st_dev, status.st_ino));
  const bool is_ours = among_our_own.has_value();
  DirectoryLock lock(descriptor, std::move(among_our_own));
  if (!is_ours) return std::nullopt;
  if (::flock(descriptor, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return lock;
  if (are_strangers(status.st_ino)) return lock;
  return std::nullopt;
}

DirectoryLock::~DirectoryLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace holdfast
