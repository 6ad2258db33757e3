#pragma once

#include "runbook/code_block.h"
#include "runbook/model.h"

namespace holdfast::runbook {

// Fills what a step's text says: script, pieces, alternatives, variables, placeholders,
// hazards. `lines` become Step::text and Step::lines.
void fill_step(Step& step, const std::vector<markdown::CodeLine>& lines);

// The same for a file: text, script, lines.
void fill_file(EmbeddedFile& file, const std::vector<markdown::CodeLine>& lines);

// Where a span of a text stands, given where each of its lines does.
SourceRange locate(const std::string& text, const std::vector<SourceRange>& lines, shell::Span span);

}  // namespace holdfast::runbook
