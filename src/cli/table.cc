#include "cli/table.h"

#include <algorithm>

#include "base/check.h"
#include "cli/terminal.h"

namespace holdfast::cli {

void Table::add(std::vector<std::string> cells) {
  CHECK(cells.size() == columns_.size());
  for (std::string& cell : cells) cell = printable(cell);
  rows_.push_back(std::move(cells));
}

void Table::leave_out(const std::string& title) {
  const auto column =
      std::find_if(columns_.begin(), columns_.end(), [&](const auto& each) { return each.title == title; });
  CHECK(column != columns_.end());
  const auto at = column - columns_.begin();
  columns_.erase(column);
  for (auto& row : rows_) row.erase(row.begin() + at);
}

std::string Table::text(size_t width) const {
  constexpr size_t kNarrowest = 12;
  std::vector<size_t> widths;
  std::vector<std::string> titles;
  for (size_t i = 0; i < columns_.size(); i++) {
    size_t widest = display_width(columns_[i].title);
    for (const auto& row : rows_) widest = std::max(widest, display_width(row[i]));
    widths.push_back(widest);
    titles.push_back(columns_[i].title);
  }
  std::string out;
  const auto add_line = [&](const std::vector<std::string>& cells) {
    std::string line;
    for (size_t i = 0; i < cells.size(); i++) {
      const std::string padding(widths[i] - display_width(cells[i]), ' ');
      if (i > 0) line += "  ";
      line += columns_[i].align == Align::kRight ? padding + cells[i] : cells[i] + padding;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  };
  add_line(titles);
  const size_t last = columns_.size() - 1;
  size_t begins = 0;  // of the last column
  for (size_t i = 0; i < last; i++) begins += widths[i] + 2;
  const bool fits =
      columns_[last].align == Align::kRight || width < begins + kNarrowest || begins + widths[last] <= width;
  for (const auto& row : rows_) {
    if (fits) {
      add_line(row);
      continue;
    }
    std::vector<std::string> cells = row;
    for (const std::string& part : wrap(row[last], width - begins)) {
      cells[last] = part;
      add_line(cells);
      cells.assign(columns_.size(), "");
    }
  }
  return out;
}

}  // namespace holdfast::cli
