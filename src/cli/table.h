#pragma once

#include <limits>
#include <string>
#include <vector>

namespace holdfast::cli {

// Columns of text, aligned, two spaces apart. Titles are upper-case.
class Table {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string title;
    Align align = Align::kLeft;
  };
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  void add(std::vector<std::string> cells);
  // A column that may go where there is little room.
  void leave_out(const std::string& title);
  bool empty() const { return rows_.empty(); }
  // One line each, with a line feed; no trailing spaces. What would go beyond `width` is the last
  // column's, whose words then go on below, as long as it has room for some.
  std::string text(size_t width = std::numeric_limits<size_t>::max()) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace holdfast::cli
