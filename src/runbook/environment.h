#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast::runbook {

// The value of "NAME=value" as a shell would take it: quotes and backslashes taken off, $NAME and ${NAME} replaced
// by what `value_of` knows. `text` is what stands behind the '=', without a comment. Null where only the shell
// that runs knows: another name, "~", "${NAME:-x}", a list, a command.
std::optional<std::string> value_of_assignment(
    std::string_view text, const std::function<std::optional<std::string>(const std::string&)>& value_of);

}  // namespace holdfast::runbook
