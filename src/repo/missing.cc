#include "repo/missing.h"

#include <algorithm>

#include "base/check.h"

namespace holdfast::repo {

namespace {

bool is_ours(const std::string& tag) { return tag.starts_with(kMissingTag); }

}  // namespace

void note_missing(Point& point, const std::string& component, const std::string& problem) {
  CHECK(component.find(':') == std::string::npos);
  point.tags.push_back(std::string(kMissingTag) + component + ": " + problem);
}

std::vector<MissingComponent> missing_components(const Point& point) {
  std::vector<MissingComponent> missing;
  for (const std::string& tag : point.tags) {
    if (!is_ours(tag)) continue;
    const std::string rest = tag.substr(kMissingTag.size());
    const size_t colon = std::min(rest.find(':'), rest.size());
    const size_t problem = std::min(rest.find_first_not_of(": ", colon), rest.size());
    missing.push_back({rest.substr(0, colon), rest.substr(problem)});
  }
  return missing;
}

bool is_degraded(const Point& point) { return std::any_of(point.tags.begin(), point.tags.end(), is_ours); }

bool is_complete(const Point& point, const std::vector<std::string>& components) {
  return !is_degraded(point) && std::all_of(components.begin(), components.end(), [&](const std::string& name) {
    return std::any_of(point.snapshots.begin(), point.snapshots.end(),
                       [&](const Snapshot& snapshot) { return snapshot.component == name; });
  });
}

std::vector<std::string> own_tags(const Point& point) {
  std::vector<std::string> tags = point.tags;
  std::erase_if(tags, is_ours);
  return tags;
}

}  // namespace holdfast::repo
