#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "repo/point.h"

namespace holdfast::repo {

// A component of the stack that a point lacks because it could not be captured.
// Such a point is degraded. docs/format.md, "Points", has how it is stored: among
// the tags, where readers that do not know of it show it.
struct MissingComponent {
  std::string component;
  std::string problem;
};

// Tags that begin so are ours: people can't give them.
inline constexpr std::string_view kMissingTag = "missing:";

// Component names hold no ':'; in `problem` anything may stand.
void note_missing(Point& point, const std::string& component, const std::string& problem);
std::vector<MissingComponent> missing_components(const Point& point);
bool is_degraded(const Point& point);
// Whether a point is not degraded and holds all of these components: one that was taken of
// some of them only is not of the whole. No names: the stack's components are not known.
bool is_complete(const Point& point, const std::vector<std::string>& components);
// The tags that people gave.
std::vector<std::string> own_tags(const Point& point);

}  // namespace holdfast::repo
