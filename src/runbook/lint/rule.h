#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runbook/model.h"

namespace holdfast::runbook::lint {

enum class Severity { kError, kWarning, kNote };
std::string_view name_of(Severity severity);

// What is always the same about a rule; docs/lint/ID.md says more.
struct RuleInfo {
  std::string_view id;
  Severity severity;
  std::string_view title;  // the defect in a few words
  std::string_view why;    // why it matters, one sentence
  std::string_view advice;  // what to do, one sentence
};

// All rules, sorted by id.
const std::vector<RuleInfo>& rules();
// Null when there is none of that name.
const RuleInfo* find_rule(std::string_view id);

struct Finding {
  const RuleInfo* rule = nullptr;
  std::string message;  // what is wrong here, in terms of the document
  SourceRange range;
};

}  // namespace holdfast::runbook::lint
