#pragma once

#include <string>
#include <vector>

#include "runbook/markdown/block.h"
#include "runbook/model.h"
#include "runbook/sections.h"

namespace holdfast::runbook {

// Collects what a document states outside of steps: tables, lists and lines of
// contacts, objectives, severities, schedules, metrics, references.
class Facts {
 public:
  explicit Facts(Document& document) : document_(document) {}

  // A section that is about one such thing; true when all of it was understood so.
  bool section(SectionNode& node);
  // A table wherever it stands; false when its columns mean nothing.
  bool table(const markdown::Block& table, const SectionNode& node);
  // "**RTO**: 5 minutes | **RPO**: 0", "- **RPO (Recovery Point Objective)**: < 1 hour", "RTO: 4 hours".
  bool objectives(const std::string& text, SourceRange range, const Text& subject, Objective::Scope scope);
  // Words that say how often something is done.
  // False when the text says not how often something is done.
  bool frequency(const Text& text, const Text& subject, bool preparation);
  void schedule_block(const std::vector<markdown::CodeLine>& lines, const SectionNode& node);
  void environment_block(const std::vector<markdown::CodeLine>& lines);
  void prose(const std::vector<markdown::Inline>& inlines);  // placeholders
  void unknown(const markdown::Block& block);
  // Items among others that were understood.
  void unknown_items(const std::vector<const markdown::Block*>& items);

 private:
  struct Column {
    std::string words;
    Text text;
  };
  void contacts(SectionNode& node, bool external);
  void contact_item(const markdown::Block& item, bool external);
  void escalation(SectionNode& node);
  void escalation_item(const Text& level, const Text& who, SourceRange range);
  void severities(SectionNode& node);
  void objective_section(SectionNode& node);
  void objective_code(const markdown::Block& block);
  void metrics(SectionNode& node);
  void references(SectionNode& node);
  void reference_item(const markdown::Block& item);
  bool objective_table(const std::vector<Column>& columns, const markdown::Block& table);
  bool contact_table(const std::vector<Column>& columns, const markdown::Block& table);
  bool severity_table(const std::vector<Column>& columns, const markdown::Block& table);
  bool metric_table(const std::vector<Column>& columns, const markdown::Block& table, const SectionNode& node);
  bool frequency_table(const std::vector<Column>& columns, const markdown::Block& table);
  bool reference_table(const std::vector<Column>& columns, const markdown::Block& table);
  void add_objective(Objective objective);

  Document& document_;
};

// The inlines of an item's first paragraph, empty when it has none.
const std::vector<markdown::Inline>& first_inlines(const markdown::Block& item);
// "**Primary On-Call**: [Contact Information]", "AWS Support: (800) ...": what stands before and
// after the colon. The label is empty when there is none.
std::pair<Text, Text> label_and_value(const std::vector<markdown::Inline>& inlines);
std::vector<Text> item_texts(const markdown::Block& list);
// What a block's paragraphs say, down to those of nested lists.
std::vector<Text> texts_of(const markdown::Block& block);
// What stands in an item below its first paragraph.
std::vector<Text> texts_below(const markdown::Block& item);

}  // namespace holdfast::runbook
