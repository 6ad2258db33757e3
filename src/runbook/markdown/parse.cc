#include "runbook/markdown/parse.h"

#include <cmark-gfm-core-extensions.h>
#include <cmark-gfm.h>

#include <algorithm>
#include <memory>
#include <optional>

namespace holdfast::runbook::markdown {

namespace {

struct FreeParser {
  void operator()(cmark_parser* parser) const { cmark_parser_free(parser); }
};
struct FreeNode {
  void operator()(cmark_node* node) const { cmark_node_free(node); }
};

std::string string_of(const char* text) { return text == nullptr ? "" : text; }

// cmark's positions are inclusive, and 0 where it has none.
SourceRange range_of(cmark_node* node) {
  const int line = cmark_node_get_start_line(node);
  const int end_line = cmark_node_get_end_line(node);
  if (line <= 0 || end_line < line) return {};
  SourceRange range;
  range.begin = {static_cast<uint32_t>(line), static_cast<uint32_t>(std::max(1, cmark_node_get_start_column(node)))};
  range.end = {static_cast<uint32_t>(end_line),
               static_cast<uint32_t>(std::max(0, cmark_node_get_end_column(node)) + 1)};
  return range.end < range.begin ? SourceRange{range.begin, range.begin} : range;
}

// Makes our blocks of the library's nodes.
class Converter {
 public:
  explicit Converter(std::string_view source) : lines_(split_lines(source)) {}

  std::vector<Block> children_of(cmark_node* parent, int depth) const {
    std::vector<Block> blocks;
    if (depth > kNestingLimit) return blocks;
    for (cmark_node* node = cmark_node_first_child(parent); node != nullptr; node = cmark_node_next(node))
      if (auto block = block_of(node, depth)) blocks.push_back(std::move(*block));
    number_items(parent, blocks);
    return blocks;
  }

 private:
  static void number_items(cmark_node* parent, std::vector<Block>& items) {
    if (cmark_node_get_type(parent) != CMARK_NODE_LIST) return;
    int number = cmark_node_get_list_start(parent);
    for (Block& item : items) item.start = number++;
  }

  std::optional<Block> block_of(cmark_node* node, int depth) const {
    Block block;
    block.range = range_of(node);
    const auto kind = kind_of(node);
    if (!kind) return std::nullopt;
    block.kind = *kind;
    switch (block.kind) {
      case Block::Kind::kHeading: block.level = cmark_node_get_heading_level(node); [[fallthrough]];
      case Block::Kind::kParagraph:
      case Block::Kind::kCell: block.inlines = inlines_of(node, depth); break;
      case Block::Kind::kCode: fill_code(node, block); break;
      case Block::Kind::kHtml: block.html = string_of(cmark_node_get_literal(node)); break;
      case Block::Kind::kRule: break;
      default:
        block.ordered = cmark_node_get_list_type(node) == CMARK_ORDERED_LIST;
        block.start = block.ordered ? cmark_node_get_list_start(node) : 1;
        block.task = string_of(cmark_node_get_type_string(node)) == "tasklist";
        block.header = block.kind == Block::Kind::kRow && cmark_gfm_extensions_get_table_row_is_header(node) != 0;
        block.children = children_of(node, depth + 1);
    }
    return block;
  }

  static std::optional<Block::Kind> kind_of(cmark_node* node) {
    const cmark_node_type type = cmark_node_get_type(node);
    if (type == CMARK_NODE_HEADING) return Block::Kind::kHeading;
    if (type == CMARK_NODE_PARAGRAPH) return Block::Kind::kParagraph;
    if (type == CMARK_NODE_LIST) return Block::Kind::kList;
    if (type == CMARK_NODE_ITEM) return Block::Kind::kItem;
    if (type == CMARK_NODE_CODE_BLOCK) return Block::Kind::kCode;
    if (type == CMARK_NODE_BLOCK_QUOTE) return Block::Kind::kQuote;
    if (type == CMARK_NODE_HTML_BLOCK) return Block::Kind::kHtml;
    if (type == CMARK_NODE_THEMATIC_BREAK) return Block::Kind::kRule;
    // What extensions add has types that are known at run time only.
    const std::string name = string_of(cmark_node_get_type_string(node));
    if (name == "table") return Block::Kind::kTable;
    if (name == "table_row" || name == "table_header") return Block::Kind::kRow;
    if (name == "table_cell") return Block::Kind::kCell;
    if (name == "tasklist") return Block::Kind::kItem;
    return std::nullopt;
  }

  std::vector<Inline> inlines_of(cmark_node* parent, int depth) const {
    std::vector<Inline> inlines;
    if (depth > kNestingLimit) return inlines;
    for (cmark_node* node = cmark_node_first_child(parent); node != nullptr; node = cmark_node_next(node)) {
      Inline part;
      part.range = range_of(node);
      part.kind = inline_kind(node);
      part.text = string_of(cmark_node_get_literal(node));
      if (part.kind == Inline::Kind::kLink || part.kind == Inline::Kind::kImage)
        part.target = string_of(cmark_node_get_url(node));
      part.children = inlines_of(node, depth + 1);
      inlines.push_back(std::move(part));
    }
    return inlines;
  }

  static Inline::Kind inline_kind(cmark_node* node) {
    const cmark_node_type type = cmark_node_get_type(node);
    if (type == CMARK_NODE_CODE) return Inline::Kind::kCode;
    if (type == CMARK_NODE_HTML_INLINE) return Inline::Kind::kHtml;
    if (type == CMARK_NODE_STRONG) return Inline::Kind::kStrong;
    if (type == CMARK_NODE_LINK) return Inline::Kind::kLink;
    if (type == CMARK_NODE_IMAGE) return Inline::Kind::kImage;
    if (type == CMARK_NODE_SOFTBREAK || type == CMARK_NODE_LINEBREAK) return Inline::Kind::kBreak;
    return type == CMARK_NODE_TEXT ? Inline::Kind::kText : Inline::Kind::kEmphasis;
  }

  // A literal lost its indentation and quote marks, which stood in front: each of its
  // lines is the end of a line of the source.
  void fill_code(cmark_node* node, Block& block) const {
    int length = 0, offset = 0;
    char character = 0;
    block.fenced = cmark_node_get_fenced(node, &length, &offset, &character) != 0;
    block.info = string_of(cmark_node_get_fence_info(node));
    block.info_at = {block.range.begin.line, block.range.begin.column + static_cast<uint32_t>(length)};
    uint32_t number = block.range.begin.line + (block.fenced ? 1 : 0);
    const std::string literal = string_of(cmark_node_get_literal(node));
    for (std::string_view text : split_lines(literal)) {
      CodeLine line;
      line.text = std::string(text);
      line.line = number;
      const size_t width = number >= 1 && number <= lines_.size() ? lines_[number - 1].size() : text.size();
      line.column = static_cast<int64_t>(width) - static_cast<int64_t>(text.size()) + 1;
      block.lines.push_back(std::move(line));
      number++;
    }
    while (!block.fenced && !block.lines.empty() && block.lines.back().text.empty()) block.lines.pop_back();
  }

  std::vector<std::string_view> lines_;
};

void attach_extensions(cmark_parser* parser) {
  cmark_gfm_core_extensions_ensure_registered();
  for (const char* name : {"table", "strikethrough", "tasklist"}) {
    cmark_syntax_extension* extension = cmark_find_syntax_extension(name);
    if (extension != nullptr) cmark_parser_attach_syntax_extension(parser, extension);
  }
}

}  // namespace

std::vector<std::string_view> split_lines(std::string_view source) {
  std::vector<std::string_view> lines;
  size_t begin = 0;
  while (begin < source.size()) {
    const size_t end = std::min(source.find_first_of("\r\n", begin), source.size());
    lines.push_back(source.substr(begin, end - begin));
    begin = end + 1;
    if (end + 1 < source.size() && source[end] == '\r' && source[end + 1] == '\n') begin++;
  }
  return lines;
}

std::vector<Block> parse(std::string_view source) {
  const std::unique_ptr<cmark_parser, FreeParser> parser(cmark_parser_new(CMARK_OPT_DEFAULT));
  attach_extensions(parser.get());
  cmark_parser_feed(parser.get(), source.data(), source.size());
  const std::unique_ptr<cmark_node, FreeNode> root(cmark_parser_finish(parser.get()));
  return Converter(source).children_of(root.get(), 0);
}

}  // namespace holdfast::runbook::markdown
