#include "servers/shared_memory.h"

#include <fmt/format.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>

namespace holdfast::servers {

SharedMemory SharedMemory::of(const std::vector<pid_t>& processes) {
  SharedMemory found;
  for (const pid_t process : processes) {
    std::ifstream maps(fmt::format("/proc/{}/maps", process));
    for (std::string line; std::getline(maps, line);) {
      // proc(5): address, permissions, offset, device, inode, path. The inode of a System V
      // segment is its identifier.
      std::istringstream words(line);
      std::string address, permissions, offset, device, path;
      long inode = 0;
      words >> address >> permissions >> offset >> device >> inode >> path;
      if (path.starts_with("/SYSV")) found.segments_.push_back(static_cast<int>(inode));
      if (path.starts_with("/dev/shm/PostgreSQL.")) found.files_.push_back(path);
    }
  }
  return found;
}

size_t SharedMemory::left() const {
  size_t count = 0;
  for (const int segment : segments_) {
    struct shmid_ds state{};
    count += shmctl(segment, IPC_STAT, &state) == 0;
  }
  for (const std::string& file : files_) count += access(file.c_str(), F_OK) == 0;
  return count;
}

void SharedMemory::free() const {
  for (const int segment : segments_) {
    if (shmctl(segment, IPC_RMID, nullptr) != 0 && errno != EINVAL && errno != EIDRM)
      fmt::print(stderr, "shared memory segment {} stays: {}\n", segment, std::strerror(errno));
  }
  for (const std::string& file : files_) {
    if (unlink(file.c_str()) != 0 && errno != ENOENT) fmt::print(stderr, "{} stays: {}\n", file, std::strerror(errno));
  }
}

}  // namespace holdfast::servers
