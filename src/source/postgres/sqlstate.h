#pragma once

#include <string_view>

#include "base/result.h"

namespace holdfast::postgres {

// The SQLSTATE ("42P01") with which the server refused: of an error that a ServerSession
// returned. "" for an error of another origin. Lives as long as the error.
std::string_view sqlstate_of(const Error& error);

}  // namespace holdfast::postgres
