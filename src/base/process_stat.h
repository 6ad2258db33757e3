#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

namespace holdfast {

// What /proc/PID/stat (proc(5)) says of a process.
struct ProcessStat {
  char state = '?';  // 'Z' and 'X': it has ended
  pid_t parent = 0, session = 0;
  std::string start;  // in ticks since boot: tells it from others of the same number

  bool ended() const { return state == 'Z' || state == 'X'; }
};

// `process` is a number, or "self". Empty: it is not there, or /proc hides it.
std::optional<ProcessStat> process_stat(const std::string& process);

}  // namespace holdfast
