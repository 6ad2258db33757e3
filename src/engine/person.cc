#include "engine/person.h"

#include <unistd.h>

#include <array>
#include <cstdlib>

namespace holdfast::engine {

std::string_view question_name(Question::Kind kind) {
  constexpr std::array<std::string_view, 6> kNames = {"approve", "manual", "failed", "unknown", "target", "fence"};
  return kNames[static_cast<size_t>(kind)];
}

std::string who_is_there() {
  // Behind sudo, whoever called it.
  const char* name = std::getenv("SUDO_USER");
  if (name == nullptr) name = std::getenv("USER");
  if (name == nullptr) name = std::getenv("LOGNAME");
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  return (name == nullptr ? "uid " + std::to_string(::getuid()) : std::string(name)) + "@" + host.data();
}

}  // namespace holdfast::engine
