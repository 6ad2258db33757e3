#pragma once

#include <nlohmann/json.hpp>

#include "runbook/model.h"

namespace holdfast::runbook {

// A document as `runbook show --json` gives it; docs/json.md has its keys. Durations are
// seconds, places are {line, column, end_line, end_column} with columns in code points.
nlohmann::ordered_json json_of(const Document& document);

// The same of one range.
nlohmann::ordered_json json_of_range(const Document& document, SourceRange range);

// A column in code points rather than bytes.
uint32_t code_point_column(const Document& document, Position position);

std::string_view name_of(StepKind kind);
std::string_view name_of(ProcedureKind kind);
std::string_view name_of(PhaseKind kind);
std::string_view name_of(HazardKind kind);
std::string_view name_of(OnCrash on_crash);

}  // namespace holdfast::runbook
