#include "engine/process_identity.h"

#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <map>
#include <vector>

#include "base/filesystem.h"
#include "base/json_number.h"
#include "base/process_stat.h"

namespace holdfast::engine {
namespace {

constexpr uint64_t kMaxProcFile_bytes = 64 << 10;
constexpr uint64_t kMaxEnvironment_bytes = 8 << 20;

std::string first_line(const std::string& path) {
  const auto content = read_file(real_file_system(), path, kMaxProcFile_bytes);
  if (!content.ok()) return "";
  const std::string_view text = as_text(*content);
  return std::string(text.substr(0, text.find('\n')));
}

uint64_t number_of(const std::string& text) {
  uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::string machine_name() {
  std::string id = first_line("/etc/machine-id");
  if (!id.empty()) return id;
  struct utsname names{};
  return ::uname(&names) == 0 ? names.nodename : "";
}

std::map<pid_t, ProcessStat> all_processes() {
  std::map<pid_t, ProcessStat> found;
  const auto entries = real_file_system().list("/proc");
  if (!entries.ok()) return found;
  for (const DirectoryEntry& entry : *entries) {
    if (entry.name.empty() || entry.name.find_first_not_of("0123456789") != std::string::npos) continue;
    const auto stat = process_stat(entry.name);
    if (stat && !stat->ended()) found.emplace(std::stoi(entry.name), *stat);
  }
  return found;
}

}  // namespace

ProcessIdentity ProcessIdentity::of_self() {
  ProcessIdentity self;
  self.pid = ::getpid();
  if (const auto stat = process_stat("self")) self.start = stat->start;
  self.boot = first_line("/proc/sys/kernel/random/boot_id");
  if (const auto space = real_file_system().read_link("/proc/self/ns/pid"); space.ok()) self.space = *space;
  self.machine = machine_name();
  return self;
}

Json ProcessIdentity::to_json() const {
  return {{"pid", pid}, {"start", start}, {"boot", boot}, {"space", space}, {"machine", machine}};
}

Result<ProcessIdentity> ProcessIdentity::from_json(const Json& json) {
  try {
    return ProcessIdentity{whole_number<pid_t>(json, "pid"), json.at("start").get<std::string>(),
                           json.at("boot").get<std::string>(), json.at("space").get<std::string>(),
                           json.at("machine").get<std::string>()};
  } catch (const nlohmann::json::exception& exception) {
    return make_error(ErrorCode::kInvalidData, "not a process identity: {}", exception.what());
  }
}

Liveness liveness_of(const ProcessIdentity& process) {
  static const ProcessIdentity self = ProcessIdentity::of_self();
  if (process.machine != self.machine || self.boot.empty() || process.boot.empty()) return Liveness::kElsewhere;
  if (process.boot != self.boot) return Liveness::kDead;
  if (process.space != self.space) return Liveness::kElsewhere;
  const auto stat = process_stat(std::to_string(process.pid));
  // /proc may hide what is another user's; a signal tells whether the number is taken.
  if (!stat) return ::kill(process.pid, 0) != 0 && errno == ESRCH ? Liveness::kDead : Liveness::kAlive;
  return stat->start == process.start && !stat->ended() ? Liveness::kAlive : Liveness::kDead;
}

std::vector<pid_t> session_members(const ProcessIdentity& leader) {
  std::vector<pid_t> members;
  if (liveness_of(leader) == Liveness::kElsewhere || leader.boot != ProcessIdentity::of_self().boot) return members;
  const auto holder = process_stat(std::to_string(leader.pid));
  if (holder && holder->start != leader.start) return members;
  for (const auto& [pid, stat] : all_processes()) {
    const bool later = number_of(stat.start) >= number_of(leader.start);
    if (pid != leader.pid && stat.session == leader.pid && later) members.push_back(pid);
  }
  return members;
}

bool has_in_environment(pid_t pid, std::string_view name, std::string_view value) {
  const auto content = read_file(real_file_system(), fmt::format("/proc/{}/environ", pid), kMaxEnvironment_bytes);
  if (!content.ok()) return false;
  const std::string wanted = fmt::format("{}={}", name, value);
  for (std::string_view rest = as_text(*content); !rest.empty();) {
    const size_t end = std::min(rest.find('\0'), rest.size());
    if (rest.substr(0, end) == wanted) return true;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return false;
}

pid_t find_process(const std::function<bool(pid_t)>& is_it) {
  const auto processes = all_processes();
  const auto found =
      std::find_if(processes.begin(), processes.end(), [&](const auto& entry) { return is_it(entry.first); });
  return found == processes.end() ? 0 : found->first;
}

std::string command_line_of(pid_t pid) {
  const auto content = read_file(real_file_system(), fmt::format("/proc/{}/cmdline", pid), kMaxEnvironment_bytes);
  return content.ok() ? std::string(as_text(*content)) : "";
}

std::vector<pid_t> descendants_of(pid_t ancestor) {
  std::multimap<pid_t, pid_t> children;
  for (const auto& [pid, stat] : all_processes()) children.emplace(stat.parent, pid);
  std::vector<pid_t> found = {ancestor};
  for (size_t i = 0; i < found.size(); i++) {
    for (auto [child, end] = children.equal_range(found[i]); child != end; ++child) found.push_back(child->second);
  }
  found.erase(found.begin());
  return found;
}

}  // namespace holdfast::engine
