#include "runbook/model.h"

#include <algorithm>

#include "runbook/phrases.h"
#include "runbook/step_builder.h"

namespace holdfast::runbook {

bool Step::has(HazardKind kind_asked) const {
  return std::any_of(hazards.begin(), hazards.end(), [&](const Hazard& hazard) { return hazard.kind == kind_asked; });
}

bool Step::destructive() const {
  const bool seems = has(HazardKind::kDestroys) || has(HazardKind::kIrreversible) || has(HazardKind::kWritesData);
  return annotations.destructive.value_or(seems);
}

bool Step::interactive() const { return annotations.interactive.value_or(has(HazardKind::kInteractive)); }

std::vector<int> Step::alternatives() const {
  std::vector<int> counts(1);
  for (const Piece& piece : pieces) {
    if (piece.group <= 0) continue;
    if (counts.size() <= static_cast<size_t>(piece.group)) counts.resize(static_cast<size_t>(piece.group) + 1);
    counts[static_cast<size_t>(piece.group)] = std::max(counts[static_cast<size_t>(piece.group)], piece.alternative);
  }
  return counts;
}

SourceRange Step::where(shell::Span span) const { return locate(text, lines, line_offsets, span); }

SourceRange EmbeddedFile::where(shell::Span span) const { return locate(text, lines, line_offsets, span); }

const Step* Procedure::find_step(const std::string& wanted) const {
  const auto found = std::find_if(steps.begin(), steps.end(), [&](const Step& step) { return step.id == wanted; });
  return found == steps.end() ? nullptr : &*found;
}

const Procedure* Document::find_procedure(const std::string& words) const {
  std::vector<const Procedure*> all;
  for (const Procedure& procedure : scenarios) all.push_back(&procedure);
  for (const Procedure& procedure : procedures) all.push_back(&procedure);
  const auto only = [&](auto&& test) -> const Procedure* {
    const Procedure* found = nullptr;
    for (const Procedure* each : all) {
      if (!test(*each)) continue;
      if (found != nullptr) return nullptr;
      found = each;
    }
    return found;
  };
  const std::string small = lower(trim(words));
  if (small.empty()) return nullptr;
  if (const auto* found = only([&](const Procedure& each) { return each.id == small; })) return found;
  const std::string number = small.starts_with("scenario-") || small.starts_with("scenario ") ? small.substr(9) : small;
  if (const auto* found =
          only([&](const Procedure& each) { return each.kind == ProcedureKind::kScenario && each.number == number; }))
    return found;
  if (const auto* found = only([&](const Procedure& each) { return lower(each.title.text).starts_with(small); }))
    return found;
  return only([&](const Procedure& each) { return lower(each.title.text).find(small) != std::string::npos; });
}

}  // namespace holdfast::runbook
