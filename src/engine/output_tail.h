#pragma once

#include <string>
#include <vector>

namespace holdfast::engine {

// The last lines of a file; empty when it can't be read. A last line without its line feed counts.
std::vector<std::string> tail_lines(const std::string& path, size_t count);

}  // namespace holdfast::engine
