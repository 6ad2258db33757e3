#include "runbook/facts.h"

#include <algorithm>
#include <array>

#include "runbook/acts.h"
#include "runbook/environment.h"
#include "runbook/placeholders.h"

namespace holdfast::runbook {

using markdown::Block;
using markdown::Inline;

const std::vector<Inline>& first_inlines(const Block& item) {
  static const std::vector<Inline> kNone;
  for (const Block& child : item.children)
    if (child.kind == Block::Kind::kParagraph) return child.inlines;
  return kNone;
}

std::vector<Text> item_texts(const Block& list) {
  std::vector<Text> texts;
  for (const Block& item : list.children)
    if (const auto& inlines = first_inlines(item); !inlines.empty()) texts.push_back(text_of(inlines));
  return texts;
}

std::vector<Text> texts_of(const Block& block) {
  std::vector<Text> texts;
  if (block.kind == Block::Kind::kParagraph && !block.inlines.empty()) texts.push_back(text_of(block.inlines));
  for (const Block& child : block.children)
    for (Text& text : texts_of(child)) texts.push_back(std::move(text));
  return texts;
}

std::vector<Text> texts_below(const Block& item) {
  std::vector<Text> texts;
  const std::vector<Inline>& first = first_inlines(item);
  for (const Block& child : item.children)
    if (&child.inlines != &first)
      for (Text& text : texts_of(child)) texts.push_back(std::move(text));
  return texts;
}

std::pair<Text, Text> label_and_value(const std::vector<Inline>& inlines) {
  Block paragraph;
  paragraph.inlines = inlines;
  const std::vector<Labelled> labels = labels_of(paragraph);
  if (!labels.empty()) return {labels.front().label, labels.front().value};
  Text whole = text_of(inlines);
  const size_t colon = whole.text.find(": ");
  if (colon == std::string::npos || colon > 60) return {{}, whole};
  Text label{whole.text.substr(0, colon), whole.range};
  Text value{trim(std::string_view(whole.text).substr(colon + 1)), whole.range};
  if (whole.range.begin.line == whole.range.end.line) {
    label.range.end.column = label.range.begin.column + static_cast<uint32_t>(colon);
    value.range.begin.column += static_cast<uint32_t>(colon) + 2;
  }
  return {label, value};
}

void Facts::unknown(const Block& block) {
  UnknownPart part;
  part.what = block.kind == Block::Kind::kTable  ? "table"
              : block.kind == Block::Kind::kList ? "list"
              : block.kind == Block::Kind::kCode ? "code block"
                                                 : "paragraph";
  const std::string text = markdown::plain_text(block);
  part.first_words = trim(std::string_view(text).substr(0, std::min<size_t>(text.find('\n'), 60)));
  part.range = block.range;
  document_.unknown.push_back(std::move(part));
}

void Facts::unknown_items(const std::vector<const Block*>& items) {
  for (const Block* item : items) {
    unknown(*item);
    document_.unknown.back().what = "list item";
  }
}

void Facts::prose(const std::vector<Inline>& inlines) { collect_placeholders(inlines, document_.placeholders); }

bool Facts::section(SectionNode& node) {
  switch (node.topic) {
    case Topic::kContacts:
    case Topic::kExternalContacts: contacts(node, node.topic == Topic::kExternalContacts); return true;
    case Topic::kEscalation: escalation(node); return true;
    case Topic::kObjectives: objective_section(node); return true;
    case Topic::kSeverities: severities(node); return true;
    case Topic::kMetrics: metrics(node); return true;
    case Topic::kReferences: references(node); return true;
    default: return false;
  }
}

void Facts::contacts(SectionNode& node, bool external) {
  node.reading = std::string(topic_name(node.topic));
  for (const Block* block : node.blocks) {
    if (block->kind == Block::Kind::kTable && !table(*block, node)) unknown(*block);
    if (block->kind != Block::Kind::kList) continue;
    for (const Block& item : block->children) contact_item(item, external);
  }
  for (SectionNode& child : node.children) {
    if (child.topic == Topic::kEscalation || child.topic == Topic::kReferences) {
      section(child);
    } else {
      contacts(child, external || child.topic == Topic::kExternalContacts);
    }
  }
}

void Facts::contact_item(const Block& item, bool external) {
  const auto& inlines = first_inlines(item);
  if (inlines.empty()) return;
  prose(inlines);
  auto [label, value] = label_and_value(inlines);
  Contact contact;
  contact.range = item.range;
  const std::string small = lower(label.text);
  constexpr std::array<std::string_view, 4> kExternal = {"vendor", "support", "provider", "status page"};
  contact.external = external || std::any_of(kExternal.begin(), kExternal.end(), [&](std::string_view word) {
                       return small.find(word) != std::string::npos;
                     });
  contact.role = label.empty() ? value : label;
  if (!label.empty() && !value.empty()) contact.fields.emplace_back("Contact", value);
  document_.contacts.push_back(std::move(contact));
}

void Facts::escalation_item(const Text& level, const Text& who, SourceRange range) {
  Escalation escalation;
  const TitleParts parts = parse_title(who);
  escalation.level = level;
  escalation.who = parts.title;
  if (parts.length) {
    Budget budget;
    budget.least = parts.length->least.value_or(Duration());
    budget.most = parts.length->most;
    budget.kind = Budget::Kind::kWindow;
    budget.text = parts.length_text;
    escalation.budget = budget;
  }
  escalation.range = range;
  document_.escalations.push_back(std::move(escalation));
}

void Facts::escalation(SectionNode& node) {
  node.reading = "escalation";
  for (const Block* block : node.blocks) {
    if (block->kind == Block::Kind::kTable && !table(*block, node)) unknown(*block);
    if (block->kind != Block::Kind::kList) continue;
    for (const Block& item : block->children) {
      prose(first_inlines(item));
      const auto [label, value] = label_and_value(first_inlines(item));
      const bool level =
          !label.empty() && (block->ordered || label.text.find_first_of("0123456789") != std::string::npos);
      if (level) {
        escalation_item(label, value, item.range);
      } else if (!document_.escalations.empty() && node.title.label == "level") {
        document_.escalations.back().conditions.push_back(text_of(first_inlines(item)));
      } else if (!value.empty()) {
        contact_item(item, false);
      }
    }
  }
  for (SectionNode& child : node.children) {
    const bool level = child.title.label == "level";
    if (level) {
      Text title = child.title.title;
      if (child.title.length) title.text += " (" + child.title.length_text.text + ")";
      const std::string name = "Level " + child.title.number;
      escalation_item({name, child.heading.range}, title, child.range);
      if (!document_.escalations.empty() && child.title.length)
        document_.escalations.back().budget->text = child.title.length_text;
    }
    const bool other =
        child.topic == Topic::kContacts || child.topic == Topic::kExternalContacts || child.topic == Topic::kReferences;
    if (other && !level) {
      section(child);
      continue;
    }
    const bool conditions =
        node.title.label == "level" && child.topic == Topic::kEscalation && !document_.escalations.empty();
    if (!conditions) {
      escalation(child);
      continue;
    }
    child.reading = "escalation";
    for (const Block* block : child.blocks)
      if (block->kind == Block::Kind::kList)
        for (Text& text : item_texts(*block)) document_.escalations.back().conditions.push_back(std::move(text));
  }
}

void Facts::severities(SectionNode& node) {
  node.reading = "severities";
  const auto add = [&](Text level, Text description, SourceRange range) {
    Severity severity;
    severity.level = std::move(level);
    severity.description = std::move(description);
    severity.range = range;
    document_.severities.push_back(std::move(severity));
  };
  for (const Block* block : node.blocks) {
    if (block->kind == Block::Kind::kTable && !table(*block, node)) unknown(*block);
    if (block->kind != Block::Kind::kList) continue;
    for (const Block& item : block->children) {
      const auto [label, value] = label_and_value(first_inlines(item));
      if (!label.empty()) add(label, value, item.range);
    }
  }
  for (SectionNode& child : node.children) {
    const std::string small = lower(child.heading.text);
    const bool level = small.starts_with("level") || small.starts_with("sev") || small.starts_with("p");
    if (!level || child.topic == Topic::kSeverities) {
      severities(child);
      continue;
    }
    child.reading = "severity";
    Text description;
    for (const Block* block : child.blocks) {
      if (block->kind != Block::Kind::kList) continue;
      for (const Text& text : item_texts(*block)) {
        description.text += (description.text.empty() ? "" : "; ") + text.text;
        if (!description.range.known()) description.range = text.range;
      }
    }
    add(child.heading, description, child.range);
  }
}

void Facts::metrics(SectionNode& node) {
  node.reading = "metrics";
  for (const Block* block : node.blocks) {
    if (block->kind == Block::Kind::kTable && !table(*block, node)) unknown(*block);
    if (block->kind != Block::Kind::kList) continue;
    MetricsTable list;
    list.title = node.title.title;
    list.range = block->range;
    for (const Block& item : block->children) {
      prose(first_inlines(item));
      auto [label, value] = label_and_value(first_inlines(item));
      Metric metric;
      metric.name = label.empty() ? value : label;
      if (!label.empty()) metric.description = value;
      list.metrics.push_back(std::move(metric));
    }
    document_.metrics.push_back(std::move(list));
  }
  for (SectionNode& child : node.children) metrics(child);
}

void Facts::reference_item(const Block& item) {
  const auto& inlines = first_inlines(item);
  Link link;
  link.text = text_of(inlines);
  for (const Inline& part : inlines)
    if (part.kind == Inline::Kind::kLink) link.target = part.target;
  if (link.text.text.starts_with("[") && link.text.text.ends_with("]"))
    link.text.text = link.text.text.substr(1, link.text.text.size() - 2);
  if (!link.text.empty()) document_.references.push_back(std::move(link));
}

void Facts::references(SectionNode& node) {
  node.reading = "references";
  for (const Block* block : node.blocks) {
    if (block->kind == Block::Kind::kTable && !table(*block, node)) unknown(*block);
    if (block->kind != Block::Kind::kList) continue;
    for (const Block& item : block->children) reference_item(item);
  }
  for (SectionNode& child : node.children) references(child);
}

void Facts::schedule_block(const std::vector<markdown::CodeLine>& lines, const SectionNode& node) {
  Text subject = node.title.title;
  for (const markdown::CodeLine& line : lines) {
    const std::string text = trim(line.text);
    if (text.starts_with("#")) {
      subject = {trim(std::string_view(text).substr(std::min(text.find_first_not_of("# "), text.size()))),
                 line.range()};
      continue;
    }
    const auto cron = parse_cron(text);
    if (!cron) continue;
    Schedule schedule;
    schedule.subject = subject;
    schedule.text = {cron->expression, {line.at(0), line.at(cron->expression.size())}};
    schedule.command = cron->command;
    schedule.interval = cron->interval;
    schedule.cron = true;
    schedule.backup = makes_copies(cron->command);
    document_.schedules.push_back(std::move(schedule));
  }
}

namespace {

// Where the value ends: before a comment, as a shell reads the line.
size_t value_end(std::string_view line, size_t begin) {
  char quote = '\0';
  for (size_t place = begin; place < line.size(); place++) {
    const char c = line[place];
    if (quote != '\0') {
      if (c == quote) quote = '\0';
    } else if (c == '"' || c == '\'') {
      quote = c;
    } else if (c == '#' && (place == begin || line[place - 1] == ' ' || line[place - 1] == '\t')) {
      return place;
    }
  }
  return line.size();
}

// What a shell would make of the value that is `written`, given the definitions above it.
void settle_value(VariableDefinition& variable, const std::string& written,
                  const std::vector<VariableDefinition>& above) {
  const auto value_of = [&](const std::string& name) -> std::optional<std::string> {
    const auto found =
        std::find_if(above.rbegin(), above.rend(), [&](const auto& each) { return each.name.text == name; });
    if (found == above.rend() || found->open || found->placeholder) return std::nullopt;
    variable.uses.push_back(name);
    variable.uses.insert(variable.uses.end(), found->uses.begin(), found->uses.end());
    return found->value.text;
  };
  const std::optional<std::string> value = value_of_assignment(written, value_of);
  variable.open = !value;
  if (value) variable.value.text = *value;
}

}  // namespace

void Facts::environment_block(const std::vector<markdown::CodeLine>& lines) {
  for (const markdown::CodeLine& line : lines) {
    const size_t begin = std::min(line.text.find_first_not_of(" \t"), line.text.size());
    const size_t equals = line.text.find('=');
    if (equals == std::string::npos || line.text[begin] == '#') continue;
    VariableDefinition variable;
    variable.name = {line.text.substr(begin, equals - begin), {line.at(begin), line.at(equals)}};
    const size_t end = value_end(line.text, equals + 1);
    variable.value = {trim(std::string_view(line.text).substr(equals + 1, end - equals - 1)),
                      {line.at(equals + 1), line.at(end)}};
    std::string& value = variable.value.text;
    const std::string written = value;
    if (value.size() >= 2 && (value[0] == '"' || value[0] == '\'') && value.back() == value[0])
      value = value.substr(1, value.size() - 2);
    for (FoundPlaceholder& found : placeholders_in_prose(line.text))
      document_.placeholders.push_back(
          {std::move(found.text), std::move(found.name), {line.at(found.span.begin), line.at(found.span.end)}});
    variable.placeholder = looks_like_placeholder(value) || !placeholders_in_prose(value).empty();
    if (!variable.placeholder) settle_value(variable, written, document_.variables);
    document_.variables.push_back(std::move(variable));
  }
}

namespace {

// Of several sentences the one that says how often.
Text frequent_sentence(const Text& text) {
  std::string_view rest = text.text;
  while (!rest.empty()) {
    const size_t stop = std::min(rest.find(". "), rest.size());
    const std::string_view sentence = rest.substr(0, stop);
    if (parse_frequency(sentence)) return {std::string(sentence), text.range};
    rest.remove_prefix(std::min(stop + 2, rest.size()));
  }
  return text;
}

}  // namespace

bool Facts::frequency(const Text& whole, const Text& subject, bool preparation) {
  const Text text = frequent_sentence(whole);
  const auto interval = parse_frequency(text.text);
  if (!interval) return false;
  const std::vector<std::string> words = words_of(text.text + " " + subject.text);
  const auto has = [&](std::initializer_list<std::string_view> stems) {
    return std::any_of(words.begin(), words.end(), [&](const std::string& word) {
      return std::any_of(stems.begin(), stems.end(), [&](std::string_view stem) { return word.starts_with(stem); });
    });
  };
  const bool copies = has({"backup", "backed", "dump", "snapshot", "archiv", "copies"});
  const bool checks = has({"test", "verif", "review", "drill", "train", "check", "valid", "simulat", "audit", "restor",
                           "exercis", "alert", "monitor"});
  if (!copies && !checks) return false;
  Schedule schedule;
  schedule.subject = subject.empty() ? text : subject;
  schedule.text = text;
  schedule.interval = interval;
  schedule.backup = copies && (!checks || preparation) && !has({"test", "verif", "valid", "review"});
  document_.schedules.push_back(std::move(schedule));
  return true;
}

}  // namespace holdfast::runbook
