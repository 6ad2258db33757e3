#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runbook/markdown/block.h"
#include "runbook/model.h"

namespace holdfast::runbook {

// One "key=value" of an annotation.
struct Setting {
  std::string key, value;
  SourceRange range;
};

// "id=restore timeout=30m verify=\"...\"": values are bare words or stand in quotes.
// What can't be read so goes to `errors`.
std::vector<Setting> parse_settings(std::string_view text, Position at, std::vector<ReadError>& errors);

// Puts settings on a step's annotations; unknown keys and wrong values go to `errors`.
void apply_settings(Annotations& annotations, const std::vector<Setting>& settings, std::vector<ReadError>& errors);

// What stands in braces behind the language of a block.
std::vector<Setting> settings_of_info(const markdown::Block& block, std::vector<ReadError>& errors);

// A comment "<!-- holdfast: ... -->": settings, or a suppression. Null when it is neither.
struct HoldfastComment {
  std::vector<Setting> settings;
  std::optional<Suppression> suppression;
};
std::optional<HoldfastComment> parse_comment(std::string_view html, Position at, std::vector<ReadError>& errors);

// The lines of front matter ("---" to "---") are blanked in `source`, so that Markdown does
// not see them; what it says under "holdfast" are the defaults of all steps.
Annotations take_front_matter(std::string& source, std::vector<ReadError>& errors);

}  // namespace holdfast::runbook
