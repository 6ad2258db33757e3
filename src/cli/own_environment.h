#pragma once

namespace holdfast::cli {

// As std::getenv(), but HOME is that of the account that we run as: setpriv, su and sudo may
// leave the caller's, which that account can't enter.
const char* own_environment(const char* name);

}  // namespace holdfast::cli
