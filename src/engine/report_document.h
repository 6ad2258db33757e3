#pragma once

#include <string>
#include <vector>

namespace holdfast::engine {

// A document of few kinds of parts, which is then written as Markdown or HTML.
struct ReportBlock {
  enum class Kind { kHeading, kParagraph, kList, kTable, kCode };
  Kind kind = Kind::kParagraph;
  int level = 1;                     // of a heading
  std::string text;                  // heading, paragraph, code
  std::vector<std::string> items;    // list
  std::vector<std::string> columns;  // table
  std::vector<std::vector<std::string>> rows;
};

class ReportDocument {
 public:
  explicit ReportDocument(std::string title) : title_(std::move(title)) {}
  void heading(int level, std::string text);
  void paragraph(std::string text);
  // Nothing when there are no items.
  void list(std::vector<std::string> items);
  void table(std::vector<std::string> columns, std::vector<std::vector<std::string>> rows);
  void code(std::string text);

  // Whatever the texts hold, it stays text: nothing of it becomes markup.
  std::string markdown() const;
  // One file, without scripts or anything from elsewhere; readable in print.
  std::string html() const;

 private:
  std::string title_;
  std::vector<ReportBlock> blocks_;
};

}  // namespace holdfast::engine
