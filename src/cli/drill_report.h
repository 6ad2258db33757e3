#pragma once

#include "engine/report_document.h"
#include "recovery/evidence.h"

namespace holdfast::cli {

// A drill's evidence as a document for people. `chain` is all of the evidence: the report
// says whether it holds.
engine::ReportDocument report_of(const recovery::Evidence& evidence, const recovery::EvidenceChain& chain);

}  // namespace holdfast::cli
