#include <algorithm>

#include "runbook/lint/context.h"
#include "runbook/phrases.h"
#include "runbook/placeholders.h"

// The document itself: what is missing or left to be filled in.

namespace holdfast::runbook::lint {

void check_structure(const Context& context, Report& report) {
  const Document& document = context.document;
  for (const ReadError& each : document.errors) report.add("annotation-error", each.range, each.message + (each.hint.empty() ? "" : " (" + each.hint + ")"));
  if (document.scenarios.empty()) report.add("no-scenarios", document.title.range.known() ? document.title.range : SourceRange{{1, 1}, {1, 2}}, "no scenario with steps was found: there is nothing that could be planned or run");
  for (const Contact& contact : document.contacts) {
    bool open = false, reachable = false;
    std::string what;
    for (const auto& [label, value] : contact.fields) {
      const bool placeholder = looks_like_placeholder(value.text) || !placeholders_in_prose(value.text).empty();
      if (placeholder && what.empty()) what = value.text;
      open = open || placeholder;
      reachable = reachable || !placeholder;
    }
    if (open) report.add("contact-placeholder", contact.range, contact.role.text + " is '" + what + "': nobody can be reached by that");
  }
  for (const Procedure& procedure : document.scenarios) {
    if (procedure.steps.empty()) {
      report.add("scenario-without-steps", procedure.title.range, "'" + procedure.title.text + "' has no steps");
      continue;
    }
    if (procedure.symptoms.empty() && procedure.trigger.empty()) report.add("scenario-without-symptoms", procedure.title.range, "nothing says by what '" + procedure.title.text + "' is recognised");
  }
}

}  // namespace holdfast::runbook::lint
