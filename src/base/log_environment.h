#pragma once

#include <string>

namespace holdfast {

// What is wrong with HOLDFAST_LOG or HOLDFAST_LOG_FORMAT, for a person; "" when nothing is. What
// can't be read is as if it were not set.
std::string problem_of_log_environment();

}  // namespace holdfast
