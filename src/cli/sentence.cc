#include "cli/sentence.h"

#include <algorithm>
#include <cctype>

#include "cli/terminal.h"

namespace holdfast::cli {

namespace {

constexpr char kHeldSpace = '\x01';  // stands in no text that is shown: printable() leaves none

// An apostrophe within a word is no quote.
std::string with_quotes_held(const std::string& text) {
  const auto is_word = [&](size_t at) {
    return at < text.size() && std::isalnum(static_cast<unsigned char>(text[at]));
  };
  std::string held = text;
  bool quoted = false;
  size_t begin = 0;
  for (size_t i = 0; i < text.size(); i++) {
    if (text[i] != '\'') continue;
    const bool opens = !quoted && (i == 0 || !is_word(i - 1));
    const bool closes = quoted && !is_word(i + 1);
    if (opens) begin = i;
    if (closes)
      std::replace(held.begin() + static_cast<ptrdiff_t>(begin), held.begin() + static_cast<ptrdiff_t>(i), ' ',
                   kHeldSpace);
    quoted = opens || (quoted && !closes);
  }
  return held;
}

}  // namespace

std::string sentence(const std::string& text, size_t width) {
  if (display_width(text) <= width || text.find("  ") != std::string::npos) return text + "\n";
  std::string lines;
  for (std::string& line : wrap(with_quotes_held(text), width)) lines += std::move(line) + "\n";
  std::replace(lines.begin(), lines.end(), kHeldSpace, ' ');
  return lines;
}

}  // namespace holdfast::cli
