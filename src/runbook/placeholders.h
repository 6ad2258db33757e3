#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runbook/markdown/block.h"
#include "runbook/model.h"

namespace holdfast::runbook {

struct FoundPlaceholder {
  std::string text, name;
  shell::Span span;
};

// In a shell text. In a single-quoted word braces belong to the program that reads it.
std::vector<FoundPlaceholder> placeholders_in_code(std::string_view code);
// In prose: "[Contact Information]", "<pod-name>", "TBD", "xxx-xxx-xxxx".
std::vector<FoundPlaceholder> placeholders_in_prose(std::string_view prose);
// Of inlines, with their places.
void collect_placeholders(const std::vector<markdown::Inline>& inlines, std::vector<Placeholder>& found);

// The same text with every <name> made a word of the same length, so that a shell's
// grammar reads what the author meant rather than redirections.
std::string without_angles(std::string_view code);

bool looks_like_placeholder(std::string_view value);

}  // namespace holdfast::runbook
