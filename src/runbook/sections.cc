#include "runbook/sections.h"

#include <algorithm>
#include <iterator>

namespace holdfast::runbook {

using markdown::Block;
using markdown::Inline;

Text text_of(const std::vector<Inline>& inlines) {
  return {trim(markdown::plain_text(inlines)), markdown::range_of(inlines)};
}

Text text_of(const Block& block) {
  if (!block.inlines.empty()) return text_of(block.inlines);
  return {trim(markdown::plain_text(block)), block.range};
}

namespace {

constexpr size_t kLabelLimit_bytes = 90;

// Moves over blanks, colons and bars at the front of a text inline.
void trim_front(Inline& part) {
  const size_t first = std::min(part.text.find_first_not_of(" :|"), part.text.size());
  part.text.erase(0, first);
  part.range.begin.column += static_cast<uint32_t>(first);
}

bool begins_label(const std::vector<Inline>& inlines, size_t index) {
  const Inline& part = inlines[index];
  if (part.kind != Inline::Kind::kStrong) return false;
  const std::string text = trim(markdown::plain_text(part.children));
  if (text.empty() || text.size() > kLabelLimit_bytes) return false;
  if (index > 0) {
    const Inline& before = inlines[index - 1];
    const bool barred = before.kind == Inline::Kind::kText && trim(before.text).ends_with("|");
    if (before.kind != Inline::Kind::kBreak && !barred) return false;
  }
  if (text.ends_with(":")) return true;
  if (index + 1 == inlines.size()) return index == 0 && !text.ends_with(".") && !text.ends_with("!");
  const Inline& after = inlines[index + 1];
  return after.kind == Inline::Kind::kText && trim(after.text).starts_with(":");
}

void finish_label(Labelled& labelled) {
  auto& inlines = labelled.value_inlines;
  while (!inlines.empty() && inlines.back().kind == Inline::Kind::kBreak) inlines.pop_back();
  if (!inlines.empty() && inlines.front().kind == Inline::Kind::kText) trim_front(inlines.front());
  if (!inlines.empty() && inlines.front().kind == Inline::Kind::kText && inlines.front().text.empty())
    inlines.erase(inlines.begin());
  if (!inlines.empty() && inlines.front().kind == Inline::Kind::kBreak) inlines.erase(inlines.begin());
  labelled.value = text_of(inlines);
  while (labelled.value.text.ends_with("|") || labelled.value.text.ends_with(" ")) labelled.value.text.pop_back();
}

}  // namespace

std::vector<Labelled> labels_of(const Block& paragraph) {
  std::vector<Labelled> labels;
  const auto& inlines = paragraph.inlines;
  for (size_t index = 0; index < inlines.size(); index++) {
    if (begins_label(inlines, index)) {
      if (!labels.empty()) finish_label(labels.back());
      Labelled labelled;
      labelled.label = text_of(inlines[index].children);
      while (labelled.label.text.ends_with(":")) labelled.label.text.pop_back();
      labels.push_back(std::move(labelled));
    } else if (labels.empty()) {
      return {};
    } else {
      labels.back().value_inlines.push_back(inlines[index]);
    }
  }
  if (!labels.empty()) finish_label(labels.back());
  return labels;
}

bool SectionNode::has_code() const {
  return std::any_of(blocks.begin(), blocks.end(),
                     [](const Block* block) { return block->kind == Block::Kind::kCode; });
}

bool SectionNode::has_ordered() const {
  return std::any_of(blocks.begin(), blocks.end(),
                     [](const Block* block) { return block->kind == Block::Kind::kList && block->ordered; });
}

bool SectionNode::has_steps_below() const {
  if (has_code() || has_ordered()) return true;
  return std::any_of(children.begin(), children.end(),
                     [](const SectionNode& child) { return child.has_steps_below(); });
}

namespace {

SectionNode* open_section(SectionNode* current, int level, Text heading, SourceRange range) {
  while (current->level >= level) current = current->parent;
  SectionNode node;
  node.level = level;
  node.parent = current;
  node.title = parse_title(heading);
  node.topic = topic_of(node.title.title.text);
  node.heading = std::move(heading);
  node.range = range;
  current->children.push_back(std::move(node));
  return &current->children.back();
}

// A bold line alone ("**Recovery Steps:**"), or a numbered one with prose behind it.
const Labelled* bold_heading(const std::vector<Labelled>& labels) {
  if (labels.size() != 1) return nullptr;
  const Labelled& label = labels.front();
  if (label.value.empty()) return &label;
  const TitleParts title = parse_title(label.label);
  return !title.number.empty() && title.label.empty() && !title.title.empty() ? &label : nullptr;
}

void close_ranges(SectionNode& node, Position end) {
  for (size_t index = 0; index < node.children.size(); index++) {
    const bool last = index + 1 == node.children.size();
    close_ranges(node.children[index], last ? end : node.children[index + 1].range.begin);
  }
  node.range.end = end;
}

}  // namespace

std::unique_ptr<SectionNode> outline(const std::vector<Block>& blocks, SourceRange whole) {
  auto root = std::make_unique<SectionNode>();
  root->range = whole;
  SectionNode* current = root.get();
  for (const Block& block : blocks) {
    if (block.kind == Block::Kind::kHeading) {
      current = open_section(current, block.level, text_of(block), block.range);
      continue;
    }
    if (block.kind == Block::Kind::kRule) {
      while (current->level >= SectionNode::kBoldLine) current = current->parent;
      continue;
    }
    SectionNode* target = current;
    if (block.kind == Block::Kind::kParagraph) {
      const std::vector<Labelled> labels = labels_of(block);
      if (const Labelled* heading = bold_heading(labels)) {
        const bool numbered = !parse_title(heading->label).number.empty();
        current = open_section(current, numbered ? SectionNode::kNumberedBoldLine : SectionNode::kBoldLine,
                               heading->label, block.range);
        if (!heading->value.empty()) current->blocks.push_back(&block);
        continue;
      }
      // "**Expected Recovery Time**: 15 minutes" speaks of what stands above the bold lines.
      while (!labels.empty() && target->level >= SectionNode::kBoldLine) target = target->parent;
    }
    target->blocks.push_back(&block);
  }
  close_ranges(*root, whole.end);
  return root;
}

}  // namespace holdfast::runbook
