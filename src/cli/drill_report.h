#pragma once

#include "engine/report_document.h"
#include "recovery/evidence.h"

namespace holdfast::cli {

// Whether a drill recovered what it was to: it passed, or failed an objective alone. Of any
// other no time to recover is known.
bool has_recovered(const nlohmann::json& body);

// A drill's evidence as a document for people. `chain` is all of the evidence: the report
// says whether it holds.
engine::ReportDocument report_of(const recovery::Evidence& evidence, const recovery::EvidenceChain& chain);

}  // namespace holdfast::cli
