#include "runbook/markdown/block.h"

#include <algorithm>

namespace holdfast::runbook::markdown {

Position CodeLine::at(size_t offset_bytes) const {
  const int64_t place = std::max<int64_t>(1, column + static_cast<int64_t>(offset_bytes));
  return {line, static_cast<uint32_t>(place)};
}

std::string plain_text(const std::vector<Inline>& inlines) {
  std::string text;
  for (const Inline& part : inlines) {
    switch (part.kind) {
      case Inline::Kind::kText:
      case Inline::Kind::kCode:
      case Inline::Kind::kHtml: text += part.text; break;
      case Inline::Kind::kBreak: text += ' '; break;
      default: text += plain_text(part.children);
    }
  }
  return text;
}

SourceRange range_of(const std::vector<Inline>& inlines) {
  SourceRange range;
  for (const Inline& part : inlines) {
    if (!part.range.known()) continue;
    if (!range.known()) range = part.range;
    range.begin = std::min(range.begin, part.range.begin);
    range.end = std::max(range.end, part.range.end);
  }
  return range;
}

std::string code_text(const std::vector<CodeLine>& lines) {
  std::string text;
  for (const CodeLine& line : lines) text += line.text + "\n";
  return text;
}

std::string plain_text(const Block& block) {
  if (block.kind == Block::Kind::kCode) return code_text(block.lines);
  if (!block.inlines.empty()) return plain_text(block.inlines) + "\n";
  std::string text;
  for (const Block& child : block.children) text += plain_text(child);
  return text;
}

}  // namespace holdfast::runbook::markdown
