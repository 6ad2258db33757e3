#include "repo/process_mark.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "base/filesystem.h"

namespace holdfast::repo {
namespace {

constexpr uint64_t kMaxProcFile = 64 << 10;
constexpr int kStartField = 22;  // of /proc/<pid>/stat, from 1
constexpr int kFieldAfterName = 3;

std::string read_line(const std::string& path) {
  const auto content = read_file(real_file_system(), path, kMaxProcFile);
  if (!content.ok()) return "";
  const std::string_view text = as_text(*content);
  return std::string(text.substr(0, text.find('\n')));
}

struct ProcessStat {
  char state = '?';
  std::string start;
};

// The second field is the program's name in parentheses, and may hold anything.
ProcessStat stat_of(const std::string& process) {
  const std::string line = read_line("/proc/" + process + "/stat");
  const size_t name_end = line.rfind(')');
  if (name_end == std::string::npos || name_end + 2 >= line.size()) return {};
  size_t at = name_end + 2;
  const char state = line[at];
  for (int field = kFieldAfterName; field < kStartField; field++) {
    at = line.find(' ', at);
    if (at == std::string::npos) return {};
    at++;
  }
  return {state, line.substr(at, line.find(' ', at) - at)};
}

// Where a process number means what it means to us.
std::string own_place() {
  const std::string boot = read_line("/proc/sys/kernel/random/boot_id");
  const auto space = real_file_system().read_link("/proc/self/ns/pid");
  return boot.empty() || !space.ok() ? "" : boot + " " + *space + " ";
}

}  // namespace

std::string own_process_mark() { return process_mark_of(::getpid()); }

std::string process_mark_of(pid_t process) {
  const std::string place = own_place(), start = stat_of(std::to_string(process)).start;
  return place.empty() || start.empty() ? "" : place + start;
}

bool is_proven_dead(pid_t process, const std::string& mark) {
  const std::string place = own_place();
  if (process <= 0 || place.empty() || !mark.starts_with(place)) return false;
  if (::kill(process, 0) != 0 && errno == ESRCH) return true;
  // /proc may hide what is another user's: then it counts as the same.
  const ProcessStat stat = stat_of(std::to_string(process));
  if (stat.start.empty()) return false;
  return stat.start != mark.substr(place.size()) || stat.state == 'Z' || stat.state == 'X';
}

}  // namespace holdfast::repo
