#pragma once

#include <unistd.h>

#include <string>

namespace holdfast::repo {

// This machine's name, for people.
inline std::string host_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "unknown";
}

}  // namespace holdfast::repo
