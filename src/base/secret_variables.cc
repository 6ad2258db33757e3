#include "base/secret_variables.h"

#include <mutex>
#include <set>
#include <string_view>

extern char** environ;

namespace holdfast {

namespace {

struct Names {
  std::mutex mutex;
  std::set<std::string, std::less<>> names;  // guarded by mutex
};

Names& noted() {
  static Names* const names = new Names;
  return *names;
}

}  // namespace

void note_secret_variable(const std::string& name) {
  const std::lock_guard lock(noted().mutex);
  noted().names.insert(name);
}

bool is_secret_variable(std::string_view name) {
  const std::lock_guard lock(noted().mutex);
  return noted().names.contains(name);
}

std::vector<std::string> secret_variables() {
  const std::lock_guard lock(noted().mutex);
  return {noted().names.begin(), noted().names.end()};
}

std::vector<std::string> environment_without_secrets() {
  std::vector<std::string> kept;
  for (char** entry = environ; entry && *entry; entry++) {
    const std::string_view text = *entry;
    if (!is_secret_variable(text.substr(0, text.find('=')))) kept.emplace_back(text);
  }
  return kept;
}

}  // namespace holdfast
