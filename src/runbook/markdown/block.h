#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runbook/markdown/source_range.h"

namespace holdfast::runbook::markdown {

// Markdown as blocks and inlines that own their text; see parse.h.

struct Inline {
  enum class Kind { kText, kCode, kHtml, kStrong, kEmphasis, kLink, kImage, kBreak };
  Kind kind = Kind::kText;
  std::string text;    // of kText, kCode, kHtml
  std::string target;  // of kLink, kImage
  std::vector<Inline> children;
  SourceRange range;
};

// A line of a code block. `column` is where its first byte stands in the source; less
// than 1 when a tab of the source became blanks of the text.
struct CodeLine {
  std::string text;
  uint32_t line = 0;
  int64_t column = 1;
  Position at(size_t offset_bytes) const;
  SourceRange range() const { return {at(0), at(text.size())}; }
};

struct Block {
  enum class Kind {
    kHeading,
    kParagraph,
    kList,
    kItem,
    kCode,
    kTable,
    kRow,
    kCell,
    kQuote,
    kHtml,
    kRule,
  };
  Kind kind = Kind::kParagraph;
  int level = 0;                // of a heading
  bool ordered = false;         // list
  int start = 1;                // list: its first number; item: its own
  bool task = false;            // item with a check box
  bool header = false;          // row
  bool fenced = false;          // code
  std::string info;             // code: the info string
  Position info_at;             // code: where that stands
  std::string html;             // html: as written
  std::vector<CodeLine> lines;  // code
  std::vector<Inline> inlines;  // heading, paragraph, cell
  std::vector<Block> children;  // list, item, table, row, quote
  SourceRange range;
};

// The words of inlines without markup; code spans as they are, breaks as blanks.
std::string plain_text(const std::vector<Inline>& inlines);
// Where the inlines stand, from the first to the last.
SourceRange range_of(const std::vector<Inline>& inlines);
// The same of a block and of all blocks in it, one line for each paragraph, row or item.
std::string plain_text(const Block& block);
// Lines joined, with a line feed at the end of each.
std::string code_text(const std::vector<CodeLine>& lines);

}  // namespace holdfast::runbook::markdown
