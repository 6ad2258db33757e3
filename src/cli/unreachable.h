#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "base/time.h"

namespace holdfast::cli {

// The times of RFC 3339 in UTC that stand in `text`, as the person writes times: with the offset
// from UTC with which `given` ends, else (it has none, as "10 minutes ago") of the local zone. To
// the microsecond, and to be given back as they are. One that ends with Z is asked for UTC.
std::string with_times_as_given(const std::string& text, const std::optional<std::string>& given);

// An instant that can't be reached: its windows in those words, and what to choose. Other errors
// stay. With `json` the times stay, as all of a document's.
Error told_of_windows(Error refused, const std::optional<std::string>& given, bool json);

}  // namespace holdfast::cli
