#pragma once

#include <cstdint>
#include <string>

namespace holdfast::runbook {

// A place in a document: lines and columns count from 1, columns are bytes of the
// line as it stands in the file. 0:0 is nowhere.
struct Position {
  uint32_t line = 0;
  uint32_t column = 0;
  auto operator<=>(const Position&) const = default;
};

// From `begin` up to, not including, `end`.
struct SourceRange {
  Position begin, end;
  bool known() const { return begin.line != 0; }
  bool contains(Position position) const { return begin <= position && position < end; }
  auto operator<=>(const SourceRange&) const = default;
};

// Words of the document, without its markup, and where they stand.
struct Text {
  std::string text;
  SourceRange range;
  bool empty() const { return text.empty(); }
};

}  // namespace holdfast::runbook
