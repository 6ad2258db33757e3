#pragma once

#include <string>

namespace holdfast::cli {

// Lines with a line feed each, of a sentence that is broken between words where it goes beyond
// `width`. What stands in single quotes may be a command, and stays whole: in two lines it would
// be run as two. What is in columns (two spaces) is left as it is.
std::string sentence(const std::string& text, size_t width);

}  // namespace holdfast::cli
