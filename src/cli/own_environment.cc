#include "cli/own_environment.h"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <string_view>

namespace holdfast::cli {
namespace {

bool is_own_directory(const char* path) {
  struct stat status{};
  return ::stat(path, &status) == 0 && status.st_uid == ::geteuid();
}

std::string find_home() {
  const char* home = std::getenv("HOME");
  if (home != nullptr && is_own_directory(home)) return home;
  const struct passwd* account = ::getpwuid(::geteuid());
  if (account != nullptr && is_own_directory(account->pw_dir)) return account->pw_dir;
  return home != nullptr ? home : "";
}

}  // namespace

const char* own_environment(const char* name) {
  if (std::string_view(name) != "HOME") return std::getenv(name);
  static const std::string home = find_home();
  return home.c_str();
}

}  // namespace holdfast::cli
