#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::cli {

// Columns of the terminal behind a descriptor; 80 when it is none.
size_t terminal_width(int descriptor);

// The same; without end when it is none, so that what goes into a file does not depend on it.
size_t width_of_lines(int descriptor);

// Columns that a UTF-8 text takes; every code point counts as one.
size_t display_width(std::string_view text);

// Lines of at most `width` columns, broken between words.
std::vector<std::string> wrap(std::string_view text, size_t width);

// Line feeds and tabs (what servers say has them) become spaces.
std::string one_line(std::string_view text);

// For terminals: control characters and bytes that are not UTF-8 become \xNN.
std::string printable(std::string_view text);

}  // namespace holdfast::cli
