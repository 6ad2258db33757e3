#include "engine/report_document.h"

#include <fmt/format.h>

#include <algorithm>

namespace holdfast::engine {
namespace {

using Kind = ReportBlock::Kind;

constexpr const char* kStyle =
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a}"
    "h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2rem;border-bottom:1px solid #ddd;padding-bottom:.2rem}"
    "h3{font-size:1rem;margin-bottom:.3rem}table{border-collapse:collapse;width:100%;margin:.8rem 0}"
    "th,td{text-align:left;vertical-align:top;padding:.3rem .6rem;border-bottom:1px solid #ddd}"
    "th{background:#f5f5f5}pre{background:#f5f5f5;padding:.7rem;overflow-x:auto;font-size:13px}"
    "@media print{body{max-width:none}pre{white-space:pre-wrap}}";

std::string one_line(const std::string& text) {
  std::string out;
  for (const char c : text) out += c == '\n' || c == '\r' || c == '\t' ? ' ' : c;
  return out;
}

// Characters that Markdown or embedded HTML would read as markup.
std::string markdown_text(const std::string& text) {
  std::string out;
  for (const char c : one_line(text)) {
    if (std::string_view("\\`*_[]<>#|~&").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

std::string html_text(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      default:
        // Control characters are not allowed in HTML.
        if (static_cast<unsigned char>(c) >= 0x20 || c == '\n' || c == '\t') out += c;
    }
  }
  return out;
}

// Longer than any run of back-ticks within.
std::string fence_for(const std::string& text) {
  size_t longest = 2, now = 0;
  for (const char c : text) {
    now = c == '`' ? now + 1 : 0;
    longest = std::max(longest, now);
  }
  return std::string(longest + 1, '`');
}

std::string markdown_table(const ReportBlock& block) {
  const auto row = [](const std::vector<std::string>& cells) {
    std::string line = "|";
    for (const std::string& cell : cells) line += " " + markdown_text(cell) + " |";
    return line + "\n";
  };
  std::string out = row(block.columns) + "|";
  for (size_t i = 0; i < block.columns.size(); i++) out += "---|";
  out += "\n";
  for (const auto& cells : block.rows) out += row(cells);
  return out;
}

std::string html_table(const ReportBlock& block) {
  std::string out = "<table><thead><tr>";
  for (const std::string& column : block.columns) out += "<th>" + html_text(column) + "</th>";
  out += "</tr></thead><tbody>\n";
  for (const auto& cells : block.rows) {
    out += "<tr>";
    for (const std::string& cell : cells) out += "<td>" + html_text(cell) + "</td>";
    out += "</tr>\n";
  }
  return out + "</tbody></table>\n";
}

std::string markdown_block(const ReportBlock& block) {
  std::string out;
  switch (block.kind) {
    case Kind::kHeading:
      return std::string(static_cast<size_t>(block.level), '#') + " " + markdown_text(block.text) + "\n";
    case Kind::kParagraph: return markdown_text(block.text) + "\n";
    case Kind::kList:
      for (const std::string& item : block.items) out += "- " + markdown_text(item) + "\n";
      return out;
    case Kind::kTable: return markdown_table(block);
    case Kind::kCode: break;
  }
  const std::string fence = fence_for(block.text);
  return fence + "text\n" + block.text + (block.text.ends_with('\n') ? "" : "\n") + fence + "\n";
}

std::string html_block(const ReportBlock& block) {
  std::string out;
  switch (block.kind) {
    case Kind::kHeading: return fmt::format("<h{0}>{1}</h{0}>\n", block.level, html_text(block.text));
    case Kind::kParagraph: return "<p>" + html_text(block.text) + "</p>\n";
    case Kind::kList:
      for (const std::string& item : block.items) out += "<li>" + html_text(item) + "</li>\n";
      return "<ul>\n" + out + "</ul>\n";
    case Kind::kTable: return html_table(block);
    case Kind::kCode: break;
  }
  return "<pre>" + html_text(block.text) + "</pre>\n";
}

}  // namespace

void ReportDocument::heading(int level, std::string text) {
  blocks_.push_back({Kind::kHeading, level, std::move(text), {}, {}, {}});
}
void ReportDocument::paragraph(std::string text) {
  blocks_.push_back({Kind::kParagraph, 0, std::move(text), {}, {}, {}});
}
void ReportDocument::list(std::vector<std::string> items) {
  if (!items.empty()) blocks_.push_back({Kind::kList, 0, "", std::move(items), {}, {}});
}
void ReportDocument::table(std::vector<std::string> columns, std::vector<std::vector<std::string>> rows) {
  blocks_.push_back({Kind::kTable, 0, "", {}, std::move(columns), std::move(rows)});
}
void ReportDocument::code(std::string text) { blocks_.push_back({Kind::kCode, 0, std::move(text), {}, {}, {}}); }

std::string ReportDocument::markdown() const {
  std::string out = "# " + markdown_text(title_) + "\n";
  for (const ReportBlock& block : blocks_) out += "\n" + markdown_block(block);
  return out;
}

std::string ReportDocument::html() const {
  std::string out = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width\"><title>{0}</title>"
      "<style>{1}</style></head><body>\n<h1>{0}</h1>\n",
      html_text(title_), kStyle);
  for (const ReportBlock& block : blocks_) out += html_block(block);
  return out + "</body></html>\n";
}

}  // namespace holdfast::engine
