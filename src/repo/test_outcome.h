#pragma once

#include <string>

#include "base/result.h"

namespace holdfast::repo {

// "ok", or the name and the words of the error.
template <typename T>
std::string outcome(const Result<T>& result) {
  return result.ok() ? "ok" : std::string(error_name(result.error().code())) + ": " + result.error().message();
}

}  // namespace holdfast::repo
