#include "runbook/lint/lint.h"

#include <algorithm>

#include "runbook/lint/context.h"

namespace holdfast::runbook::lint {

namespace {

// Suppressions that say no reason or name no rule are findings themselves.
void check_suppressions(const Document& document, Report& report) {
  for (const Suppression& each : document.suppressions) {
    if (find_rule(each.rule) == nullptr) report.add("unknown-rule", each.range, "there is no rule '" + each.rule + "' to ignore");
    if (each.reason.empty()) report.add("suppression-without-reason", each.range, "rule '" + each.rule + "' is ignored without a reason");
  }
}

bool is_suppressed(const Document& document, const Finding& finding) {
  return std::any_of(document.suppressions.begin(), document.suppressions.end(), [&](const Suppression& each) {
    return each.rule == finding.rule->id && !each.reason.empty() && each.effect.contains(finding.range.begin);
  });
}

}  // namespace

size_t LintResult::count(Severity severity) const {
  return static_cast<size_t>(std::count_if(findings.begin(), findings.end(), [&](const Finding& finding) { return finding.rule->severity == severity; }));
}

LintResult lint(const Document& document, const StackFacts* stack) {
  const Context context(document, stack);
  Report report;
  check_objectives(context, report);
  check_copies(context, report);
  check_commands(context, report);
  check_shell(context, report);
  check_services(context, report);
  check_secrets(context, report);
  check_structure(context, report);
  check_suppressions(document, report);
  LintResult result;
  for (Finding& finding : report.take()) (is_suppressed(document, finding) ? result.suppressed : result.findings).push_back(std::move(finding));
  std::stable_sort(result.findings.begin(), result.findings.end(), [](const Finding& a, const Finding& b) { return a.range.begin < b.range.begin; });
  return result;
}

}  // namespace holdfast::runbook::lint
