#pragma once

#include <string_view>
#include <vector>

#include "runbook/markdown/block.h"

namespace holdfast::runbook::markdown {

// Blocks that are nested deeper are left out: no document that people read has them,
// and what walks the blocks may recurse.
constexpr int kNestingLimit = 40;

// GitHub's Markdown (tables, task lists, strike-through). Every text is a document, so
// this never fails. The ranges are those of `source`.
std::vector<Block> parse(std::string_view source);

// The lines of a text without their ends (LF, CRLF or CR), as CommonMark counts them.
std::vector<std::string_view> split_lines(std::string_view source);

}  // namespace holdfast::runbook::markdown
