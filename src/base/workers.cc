#include "base/workers.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <csignal>

namespace holdfast {
namespace {

constexpr Duration kDeadline = Duration::seconds(30);
constexpr Duration kPoll = Duration::milliseconds(10);

pid_t number_of(const std::string& name) {
  pid_t number = 0;
  const auto [end, problem] = std::from_chars(name.data(), name.data() + name.size(), number);
  return problem == std::errc() && end == name.data() + name.size() ? number : 0;
}

}  // namespace

std::vector<pid_t> workers_in(FileSystem& fs, const std::string& directory) {
  std::vector<pid_t> found;
  const auto entries = fs.list("/proc");
  if (!entries.ok()) return found;
  for (const DirectoryEntry& entry : *entries) {
    const pid_t process = number_of(entry.name);
    if (process == 0 || process == ::getpid()) continue;
    const auto where = fs.read_link("/proc/" + entry.name + "/cwd");
    if (where.ok() && (*where == directory || where->starts_with(directory + "/"))) found.push_back(process);
  }
  return found;
}

Result<void> end_workers(FileSystem& fs, Clock& clock, const std::string& directory) {
  const Duration began = clock.monotonic();
  std::vector<pid_t> asked;  // SIGQUIT is said once: some take the second for another wish
  while (true) {
    const std::vector<pid_t> workers = workers_in(fs, directory);
    if (workers.empty()) return {};
    const Duration passed = clock.monotonic() - began;
    if (passed > kDeadline)
      return make_error(ErrorCode::kTimeout, "process {} works in {} and does not end", workers.front(), directory);
    for (const pid_t process : workers) {
      const bool again = std::find(asked.begin(), asked.end(), process) != asked.end();
      if (passed > kQuitPatience) ::kill(process, SIGKILL);
      if (passed > kQuitPatience || again) continue;
      ::kill(process, SIGQUIT);
      asked.push_back(process);
    }
    clock.sleep(kPoll);
  }
}

}  // namespace holdfast
