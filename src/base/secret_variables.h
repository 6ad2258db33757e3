#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

// Variables of our environment that hold secrets: those that "env:NAME" has named
// (resolve_secret()). Programs that we run do not get them (subprocess.h). Thread-safe.
void note_secret_variable(const std::string& name);
bool is_secret_variable(std::string_view name);
std::vector<std::string> secret_variables();

// Our environment without them, as "NAME=value".
std::vector<std::string> environment_without_secrets();

}  // namespace holdfast
