#include "recovery/database_component.h"

namespace holdfast::recovery {

Result<std::string> database_component(const StackConfig& stack, const std::vector<std::string>& named) {
  if (named.size() == 1) return named.front();
  if (named.size() > 1)
    return make_error(ErrorCode::kUsage, "a database is in one component: name one with --component");
  std::vector<std::string> found;
  for (const ComponentConfig& component : stack.components) {
    if (component.kind == "postgres") found.push_back(component.name);
  }
  if (found.size() == 1) return found.front();
  if (found.empty()) return make_error(ErrorCode::kUsage, "the stack has no PostgreSQL component");
  return make_error(ErrorCode::kUsage, "the stack has several PostgreSQL components: {}", fmt::join(found, ", "))
      .with_hint("name the one with --component");
}

}  // namespace holdfast::recovery
