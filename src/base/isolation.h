#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/filesystem.h"
#include "base/result.h"
#include "base/time.h"

namespace holdfast {

// How far a process is kept from the machine that it runs on.
enum class IsolationLevel {
  kSealed,   // network, mounts, processes, IPC of its own; sees /usr, /etc and programs, and one directory of data
  kNetwork,  // a network of its own with nothing but loopback
  kNone,
};
// "sealed", "network", "none".
std::string_view isolation_name(IsolationLevel level);

struct IsolationOptions {
  std::vector<std::string> argv;                                 // argv[0] is a path
  std::vector<std::pair<std::string, std::string>> environment;  // all of it
  std::string directory;              // absolute; all that a sealed process sees besides the system's own
  std::vector<std::string> programs;  // further files and directories that it sees, read-only; those that are there
  std::string working_directory;      // in `directory`
  std::string log_path;               // standard output and error are appended to it
  IsolationLevel strictest = IsolationLevel::kSealed;  // that is tried
  std::optional<uid_t> uid;                            // with root: run as this user (and its group `gid`)
  std::optional<gid_t> gid;
};

// A program that runs as isolated as the system permits: the strictest level that works
// is taken. It dies with the thread that started it, however that ends. Not thread-safe.
class IsolatedProcess {
 public:
  // Errors are those of the program's own start; a level that the system denies is none.
  static Result<std::unique_ptr<IsolatedProcess>> start(FileSystem& fs, const IsolationOptions& options);
  // Kills it, and in a sealed one all that it started. Otherwise asks it by SIGQUIT first,
  // for kQuitPatience (workers.h).
  ~IsolatedProcess();
  IsolatedProcess(const IsolatedProcess&) = delete;
  IsolatedProcess& operator=(const IsolatedProcess&) = delete;

  IsolationLevel level() const { return level_; }
  // Why not a stricter one; "" when there is none.
  const std::string& why_not_more() const { return why_not_more_; }
  pid_t pid() const { return pid_; }
  // Whether it has not ended. Reaps it.
  bool running();
  // Sends the signal and waits; kTimeout when it has to be killed at the deadline.
  Result<void> end(int signal, Duration deadline, Clock& clock);

 private:
  IsolatedProcess(pid_t pid, IsolationLevel level, std::string why) : pid_(pid), level_(level), why_not_more_(why) {}
  void kill_and_reap();

  pid_t pid_;
  IsolationLevel level_;
  std::string why_not_more_;
  bool ended_ = false;
};

}  // namespace holdfast
