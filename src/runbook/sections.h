#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "runbook/markdown/block.h"
#include "runbook/model.h"
#include "runbook/phrases.h"
#include "runbook/vocabulary.h"

namespace holdfast::runbook {

// A paragraph of the form "**Label**: value", or one of several in it.
struct Labelled {
  Text label;
  Text value;  // may be empty
  std::vector<markdown::Inline> value_inlines;
};
// Empty when the paragraph is ordinary prose.
std::vector<Labelled> labels_of(const markdown::Block& paragraph);

// The document's outline: headings, and bold lines that serve as headings below them.
struct SectionNode {
  static constexpr int kBoldLine = 7;
  static constexpr int kNumberedBoldLine = 8;
  int level = 0;  // 1 to 6, or one of the above; 0 is the root
  Text heading;   // as written
  TitleParts title;
  Topic topic = Topic::kUnknown;
  std::vector<const markdown::Block*> blocks;  // directly below it
  std::deque<SectionNode> children;
  SectionNode* parent = nullptr;
  SourceRange range;    // heading and all below
  std::string reading;  // set by whoever made something of it

  bool has_code() const;     // here, not below
  bool has_ordered() const;  // an ordered list, here
  bool has_steps_below() const;
};

// `blocks` outlive the tree.
std::unique_ptr<SectionNode> outline(const std::vector<markdown::Block>& blocks, SourceRange whole);

// A paragraph's or cell's words with their place.
Text text_of(const std::vector<markdown::Inline>& inlines);
Text text_of(const markdown::Block& block);

}  // namespace holdfast::runbook
