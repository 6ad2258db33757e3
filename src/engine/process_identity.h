#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace holdfast::engine {

using Json = nlohmann::ordered_json;

// Tells a process from every other one that ever had its number, on any machine.
struct ProcessIdentity {
  pid_t pid = 0;
  std::string start;    // ticks since boot
  std::string boot;     // boot id of the kernel
  std::string space;    // PID namespace
  std::string machine;  // /etc/machine-id, else the host's name

  static ProcessIdentity of_self();
  Json to_json() const;
  static Result<ProcessIdentity> from_json(const Json& json);
  bool operator==(const ProcessIdentity&) const = default;
};

enum class Liveness {
  kAlive,
  kDead,
  kElsewhere,  // it ran on another machine or in another PID namespace: nothing is known
};

// A zombie counts as dead: it does nothing any more.
Liveness liveness_of(const ProcessIdentity& process);

// The processes, other than the leader itself, of the session that `leader` made,
// in this boot. The kernel gives a session's number to nobody else while it has
// members: where another process has the leader's number, no member is left.
std::vector<pid_t> session_members(const ProcessIdentity& leader);

// The process was started with NAME=VALUE. False for what can't be read.
bool has_in_environment(pid_t pid, std::string_view name, std::string_view value);

// The first process of which this holds; 0: none.
pid_t find_process(const std::function<bool(pid_t)>& is_it);

// Its arguments, or the title that it gave itself; "" for what can't be read.
std::string command_line_of(pid_t pid);

// All processes below `ancestor`, zombies left out.
std::vector<pid_t> descendants_of(pid_t ancestor);

}  // namespace holdfast::engine
