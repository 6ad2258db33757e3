#pragma once

#include "runbook/code_block.h"
#include "runbook/model.h"

namespace holdfast::runbook {

// Fills what a step's text says: script, pieces, alternatives, variables, placeholders,
// hazards. `lines` become Step::text and Step::lines.
void fill_step(Step& step, const std::vector<markdown::CodeLine>& lines);

// The same for a file: text, script, lines.
void fill_file(EmbeddedFile& file, const std::vector<markdown::CodeLine>& lines);

// Where a piece's text stands, without the comment above it.
SourceRange text_range(const Step& step, const Piece& piece);

// Where a span of a text stands, given where each of its lines does, and where in the text
// each begins.
SourceRange locate(const std::string& text, const std::vector<SourceRange>& lines, const std::vector<size_t>& offsets,
                   shell::Span span);

// The variables that a command of an annotation uses and does not set; all have `range`.
std::vector<VariableUse> variables_of(const std::string& command, SourceRange range);

}  // namespace holdfast::runbook
