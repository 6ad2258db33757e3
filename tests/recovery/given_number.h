#pragma once

#include <cstdint>
#include <cstdlib>

namespace holdfast::servers {

// What an environment variable gives, such as the seed of a run that is to be repeated.
inline uint64_t number_from(const char* variable, uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

}  // namespace holdfast::servers
