#include "runbook/lint/context.h"

#include <algorithm>

#include "runbook/hazards.h"
#include "runbook/phrases.h"

namespace holdfast::runbook::lint {

Context::Context(const Document& document_given, const StackFacts* stack_given)
    : document(document_given), stack(stack_given), all_text(lower(document_given.source)) {
  for (const Procedure& procedure : document.scenarios) procedures.push_back(&procedure);
  for (const Procedure& procedure : document.procedures) procedures.push_back(&procedure);
  for (const Procedure* procedure : procedures) {
    for (const Step& step : procedure->steps) {
      Run proto;
      proto.procedure = procedure;
      proto.step = &step;
      add(step.script, step.text, proto);
    }
  }
  for (const EmbeddedFile& file : document.embedded_files) {
    Run proto;
    proto.file = &file;
    add(file.script, file.text, proto);
  }
}

void Context::add(const shell::Script& script, const std::string& text, Run proto) {
  for (shell::Invocation& invocation : invocations_of(script)) {
    Run run = proto;
    run.range = where(run, invocation.span);
    run.text = std::string_view(text).substr(std::min<size_t>(invocation.span.begin, text.size()),
                                             invocation.span.end - invocation.span.begin);
    run.small = invocation.program;
    for (const std::string& arg : invocation.args) run.small += " " + arg;
    run.small = lower(run.small);
    run.invocation = std::move(invocation);
    runs.push_back(std::move(run));
  }
}

SourceRange Context::where(const Run& run, shell::Span span) {
  return run.step != nullptr ? run.step->where(span) : run.file->where(span);
}

void Report::add(std::string_view rule, SourceRange range, std::string message) {
  const RuleInfo* info = find_rule(rule);
  CHECK_MSG(info != nullptr, "a finding of a rule that is not registered");
  if (known_.insert({info, range.begin}).second) findings_.push_back({info, std::move(message), range});
}

bool contains_any(const std::string& text, std::initializer_list<std::string_view> words) {
  return std::any_of(words.begin(), words.end(),
                     [&](std::string_view word) { return text.find(word) != std::string::npos; });
}

}  // namespace holdfast::runbook::lint
