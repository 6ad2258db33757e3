#include "repo/process_mark.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "base/filesystem.h"
#include "base/process_stat.h"

namespace holdfast::repo {
namespace {

constexpr uint64_t kMaxProcFile = 64 << 10;

std::string read_line(const std::string& path) {
  const auto content = read_file(real_file_system(), path, kMaxProcFile);
  if (!content.ok()) return "";
  const std::string_view text = as_text(*content);
  return std::string(text.substr(0, text.find('\n')));
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
  const std::string place = own_place();
  const auto stat = process_stat(std::to_string(process));
  return place.empty() || !stat ? "" : place + stat->start;
}

bool is_proven_dead(pid_t process, const std::string& mark) {
  const std::string place = own_place();
  if (process <= 0 || place.empty() || !mark.starts_with(place)) return false;
  if (::kill(process, 0) != 0 && errno == ESRCH) return true;
  // /proc may hide what is another user's: then it counts as the same.
  const auto stat = process_stat(std::to_string(process));
  return stat && (stat->start != mark.substr(place.size()) || stat->ended());
}

}  // namespace holdfast::repo
