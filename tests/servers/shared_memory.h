#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace holdfast::servers {

// Shared memory that outlives the processes that made it. A PostgreSQL server ended by
// SIGKILL leaves one System V segment, and a file of /dev/shm for each POSIX one, which only
// a next start on the same data directory frees: a test that removes the directory instead
// would use up the machine's 4096 segments.
class SharedMemory {
 public:
  // What is mapped by `processes`, from /proc/PID/maps; nothing of those that are gone.
  static SharedMemory of(const std::vector<pid_t>& processes);
  // How much of it is still there.
  size_t left() const;
  // Frees it. To be called when the processes are gone; what is freed already is passed over.
  void free() const;

 private:
  std::vector<int> segments_;       // System V identifiers
  std::vector<std::string> files_;  // paths of POSIX shared memory
};

}  // namespace holdfast::servers
