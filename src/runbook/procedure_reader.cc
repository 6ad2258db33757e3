#include "runbook/procedure_reader.h"

#include <algorithm>
#include <utility>

#include "runbook/hazards.h"
#include "runbook/phrases.h"
#include "runbook/placeholders.h"
#include "runbook/step_builder.h"

namespace holdfast::runbook {

using markdown::Block;
using markdown::Inline;

namespace {

PhaseKind phase_kind(Topic topic) {
  switch (topic) {
    case Topic::kDetection: return PhaseKind::kDetection;
    case Topic::kResponse: return PhaseKind::kResponse;
    case Topic::kRecovery: return PhaseKind::kRecovery;
    case Topic::kVerification:
    case Topic::kBackupVerification: return PhaseKind::kVerification;
    case Topic::kAfter:
    case Topic::kReview: return PhaseKind::kAfter;
    default: return PhaseKind::kOther;
  }
}

bool is_phase_topic(Topic topic) {
  return topic == Topic::kDetection || topic == Topic::kResponse || topic == Topic::kRecovery ||
         topic == Topic::kVerification || topic == Topic::kAfter;
}

size_t code_blocks(const SectionNode& node) {
  return static_cast<size_t>(std::count_if(node.blocks.begin(), node.blocks.end(),
                                           [](const Block* block) { return block->kind == Block::Kind::kCode; }));
}

// "Step 3: ...", "**1. Verify ...:**", or a heading with one block below it and nothing else.
bool is_step_heading(const SectionNode& node) {
  if (node.title.label == "phase" || node.title.label == "option" || node.has_ordered() || !node.children.empty())
    return false;
  if (node.title.label == "step" || node.level == SectionNode::kNumberedBoldLine) return true;
  return code_blocks(node) == 1 && !is_phase_topic(node.topic);
}

// "Create `/scripts/x.sh` (and `/etc/x.conf` if there is none):": the first path behind the verb.
std::string path_to_make(const std::vector<Inline>& inlines) {
  bool makes = false;
  for (const Inline& part : inlines) {
    const bool path = part.kind == Inline::Kind::kCode && part.text.find(' ') == std::string::npos &&
                      part.text.find_first_of("/.") != std::string::npos;
    if (path && makes) return part.text;
    if (part.kind == Inline::Kind::kCode) continue;
    const std::vector<std::string> words = words_of(markdown::plain_text({part}));
    makes = makes || std::any_of(words.begin(), words.end(), [](const std::string& word) {
              return word == "create" || word == "save" || word == "write" || word == "add";
            });
  }
  return "";
}

}  // namespace

Budget budget_from(const TitleParts& parts) {
  Budget budget;
  budget.kind = parts.length->from_start ? Budget::Kind::kWindow : Budget::Kind::kDuration;
  budget.least = parts.length->from_start ? Duration() : parts.length->least.value_or(Duration());
  budget.most = parts.length->most;
  budget.text = parts.length_text;
  return budget;
}

void Annotator::apply(Step& step, const Block* block, std::vector<ReadError>& errors) {
  step.annotations = defaults;
  step.annotations.range = {};
  apply_settings(step.annotations, pending, errors);
  pending.clear();
  if (block != nullptr) apply_settings(step.annotations, settings_of_info(*block, errors), errors);
}

bool is_option(const TitleParts& title) {
  return (title.label == "option" || title.label == "method") && !title.number.empty();
}

std::string Ids::make(const std::string& base) {
  if (take(base)) return base;
  int& number = last_.try_emplace(base, 1).first->second;
  std::string id;
  do {
    id = base + "-" + std::to_string(++number);
  } while (!take(id));
  return id;
}

Procedure ProcedureReader::read(SectionNode& node, ProcedureKind kind) {
  procedure_ = Procedure();
  procedure_.kind = kind;
  procedure_.title = node.title.title;
  procedure_.number = node.title.number;
  procedure_.range = node.range;
  node.reading = kind == ProcedureKind::kScenario ? "scenario" : "procedure";
  if (kind == ProcedureKind::kTesting || kind == ProcedureKind::kVerification)
    facts_.frequency(node.heading, node.title.title, false);
  phases_.clear();
  option_.reset();
  option_groups_.clear();
  lead_ = Text();
  lead_path_.clear();
  open_item_.reset();
  bullets_.clear();
  Place place;
  place.node = &node;
  const size_t steps_before = procedure_.steps.size();
  blocks(node.blocks, place);
  for (SectionNode& each : node.children) child(each);
  bullets_as_steps(node, steps_before);
  settle_budgets();
  settle_ids();
  return std::move(procedure_);
}

void ProcedureReader::child(SectionNode& node) {
  if (++depth_ > 16) {
    depth_--;
    return;
  }
  lead_ = Text();
  lead_path_.clear();
  open_item_.reset();
  if (part(node)) {
    // Understood.
  } else if (is_option(node.title)) {
    option(node);
  } else if (is_step_heading(node)) {
    step_heading(node);
  } else {
    phase(node);
  }
  depth_--;
}

bool ProcedureReader::part(SectionNode& node) {
  if (facts_.section(node)) return true;
  std::vector<Text>* target = nullptr;
  if (node.topic == Topic::kSymptoms) target = &procedure_.symptoms;
  if (node.topic == Topic::kImpact) target = &procedure_.impact;
  if (node.topic == Topic::kCauses) target = &procedure_.causes;
  if (node.topic == Topic::kPrerequisites) target = &procedure_.prerequisites;
  const bool aside =
      node.topic == Topic::kGlossary || node.topic == Topic::kHistory || node.topic == Topic::kReportTemplate;
  // What was detected is a symptom when it is a list of words.
  const bool seen = node.topic == Topic::kDetection && !node.has_steps_below();
  if (seen) target = &procedure_.symptoms;
  if (target == nullptr && !aside) return false;
  node.reading = std::string(topic_name(node.topic));
  if (aside) return true;
  Place place;
  place.node = &node;
  for (const Block* block : node.blocks) {
    // A bold line has no end of its own: what comes after its list are steps of what stands above.
    const bool steps = block->kind == Block::Kind::kCode || (block->kind == Block::Kind::kList && block->ordered);
    if (steps && node.level >= SectionNode::kBoldLine && target != &procedure_.prerequisites) {
      this->block(*block, place);
      continue;
    }
    if (block->kind == Block::Kind::kHtml) comment(*block);
    if (block->kind == Block::Kind::kParagraph && target->empty()) target->push_back(text_of(*block));
    if (block->kind != Block::Kind::kList) continue;
    for (Text& text : item_texts(*block)) target->push_back(std::move(text));
  }
  for (SectionNode& each : node.children) child(each);
  return true;
}

size_t ProcedureReader::current_phase() {
  if (phases_.empty()) {
    Phase phase;
    phase.range = procedure_.range;
    procedure_.phases.push_back(phase);
    phases_.push_back(procedure_.phases.size() - 1);
  }
  return phases_.back();
}

void ProcedureReader::phase(SectionNode& node) {
  node.reading = "phase";
  Phase phase;
  phase.kind = phase_kind(node.topic);
  phase.title = node.title.title;
  phase.condition = node.title.condition;
  phase.range = node.range;
  if (node.title.length) phase.budget = budget_from(node.title);
  procedure_.phases.push_back(std::move(phase));
  phases_.push_back(procedure_.phases.size() - 1);
  section(node);
  phases_.pop_back();
}

void ProcedureReader::section(SectionNode& node) {
  const size_t steps_before = procedure_.steps.size();
  facts_.frequency(node.heading, node.title.title, false);
  Place place;
  place.node = &node;
  std::vector<Bullet> outer = std::exchange(bullets_, {});
  blocks(node.blocks, place);
  for (SectionNode& each : node.children) child(each);
  bullets_as_steps(node, steps_before);
  bullets_ = std::move(outer);
}

void ProcedureReader::open_option(const Place& place, const TitleParts& title, SourceRange range) {
  if (option_)
    document_.errors.push_back({"option " + title.number + " stands inside of another option",
                                "options of options can't be planned: make them options of one choice, or steps with "
                                "a condition",
                                range});
  Option option;
  const std::string group_key = place.choice.empty() ? std::to_string(current_phase()) : place.choice;
  option.group = option_groups_.try_emplace(group_key, option_groups_.size()).first->second;
  option.letter = title.number;
  option.title = title.title;
  option.within = place.within;
  option.phase = current_phase();
  option.range = range;
  if (title.length) option.budget = budget_from(title);
  procedure_.options.push_back(std::move(option));
  option_ = procedure_.options.size() - 1;
}

void ProcedureReader::option(SectionNode& node) {
  node.reading = "option";
  const std::optional<size_t> outer = option_;
  Place place;
  place.node = &node;
  open_option(place, node.title, node.range);
  if (code_blocks(node) == 1 && !node.has_ordered()) place.title = node.title.title;
  const size_t steps_before = procedure_.steps.size();
  std::vector<Bullet> outer_bullets = std::exchange(bullets_, {});
  blocks(node.blocks, place);
  for (SectionNode& each : node.children) child(each);
  bullets_as_steps(node, steps_before);
  bullets_ = std::move(outer_bullets);
  option_ = outer;
}

void ProcedureReader::step_heading(SectionNode& node) {
  node.reading = "step";
  Place place;
  place.node = &node;
  place.number = node.title.number;
  place.title = node.title.title;
  place.condition = node.title.condition;
  place.item = true;
  place.choice = "heading " + std::to_string(node.range.begin.line);
  place.within = place.title;
  if (node.title.length) place.budget = budget_from(node.title);
  const size_t before = procedure_.steps.size();
  std::vector<Text> details;
  for (const Block* block : node.blocks)
    if (block->kind == Block::Kind::kList && !block->ordered)
      for (Text& text : texts_of(*block)) details.push_back(std::move(text));
  const size_t files_before = document_.embedded_files.size();
  place.steps_before = before;
  place.details = &details;
  std::vector<Bullet> outer = std::exchange(bullets_, {});
  blocks(node.blocks, place);
  bullets_ = std::move(outer);
  if (procedure_.steps.size() == before && document_.embedded_files.size() == files_before)
    manual_step(place, node.range, std::move(details));
}

// Bullets are what a person does where a phase has nothing else.
bool ProcedureReader::acts(ProcedureKind kind) {
  return kind == ProcedureKind::kScenario || kind == ProcedureKind::kResponse || kind == ProcedureKind::kPostRecovery;
}

void ProcedureReader::bullets_as_steps(const SectionNode& node, size_t steps_before) {
  const std::vector<Bullet> bullets = std::exchange(bullets_, {});
  const bool seen = node.topic == Topic::kDetection || node.topic == Topic::kMonitoring;
  if (!acts(procedure_.kind)) return;
  const bool steps = procedure_.steps.size() == steps_before && !seen;
  for (const Bullet& bullet : bullets) {
    if (!steps && !bullet.understood) facts_.unknown_items({bullet.item});
    if (!steps) continue;
    Place place;
    place.node = &node;
    place.title = text_of(first_inlines(*bullet.item));
    if (!place.title.empty()) manual_step(place, bullet.item->range, texts_below(*bullet.item));
  }
}

void ProcedureReader::block(const Block& block, Place& place) {
  switch (block.kind) {
    case Block::Kind::kParagraph: paragraph(block, place); break;
    case Block::Kind::kList: list(block, place); break;
    case Block::Kind::kCode: code(block, place); break;
    case Block::Kind::kTable: table(block, place); break;
    case Block::Kind::kQuote:
      for (const Block& child : block.children) this->block(child, place);
      break;
    case Block::Kind::kHtml: comment(block); break;
    default: break;
  }
}

void ProcedureReader::comment(const Block& block) {
  auto found = parse_comment(block.html, block.range.begin, document_.errors);
  if (!found) return;
  for (Setting& setting : found->settings) annotator_.pending.push_back(std::move(setting));
}

void ProcedureReader::paragraph(const Block& block, Place& place, bool opens_item) {
  facts_.prose(block.inlines);
  for (const Inline& part : block.inlines) {
    if (part.kind != Inline::Kind::kHtml) continue;
    auto found = parse_comment(part.text, part.range.begin, document_.errors);
    if (!found) continue;
    for (Setting& setting : found->settings) annotator_.pending.push_back(std::move(setting));
  }
  const std::vector<Labelled> labels = labels_of(block);
  for (const Labelled& labelled : labels) {
    attribute(labelled, opens_item);
    if (procedure_.kind != ProcedureKind::kScenario) facts_.frequency(labelled.value, labelled.label, false);
  }
  lead_ = text_of(block);
  lead_path_.clear();
  const bool titled = !parse_title(lead_).frequency.empty();
  if (procedure_.kind != ProcedureKind::kScenario && !titled && labels.empty())
    facts_.frequency(lead_, place.node->title.title, procedure_.kind == ProcedureKind::kPreparation);
  lead_path_ = path_to_make(block.inlines);
}

// "**Scenario**: ...", "**Expected Recovery Time**: 15-20 minutes", "**RTO**: 5 minutes".
// What begins an item, "1. **Decide**: who agrees?", is its title and nothing that the procedure has.
bool ProcedureReader::attribute(const Labelled& labelled, bool opens_item) {
  if (labelled.value.empty()) return false;
  const std::string label = lower(labelled.label.text);
  const auto says = [&](std::string_view words) { return label.find(words) != std::string::npos; };
  if (facts_.objectives(labelled.label.text + ": " + labelled.value.text, labelled.value.range, procedure_.title,
                        Objective::Scope::kScenario))
    return true;
  if (label == "scenario" || says("trigger")) {
    procedure_.trigger = labelled.value;
  } else if (says("symptom") || label == "detection") {
    procedure_.symptoms.push_back(labelled.value);
  } else if (says("impact")) {
    procedure_.impact.push_back(labelled.value);
  } else if (says("recovery time") || says("resolution time") || says("estimated time")) {
    procedure_.expected_time = target_of(labelled.value);
  } else if (says("data loss")) {
    procedure_.expected_loss = target_of(labelled.value);
  } else if (!opens_item) {
    procedure_.attributes.push_back({labelled.label, labelled.value});
  }
  return true;
}

void ProcedureReader::settle_budgets() {
  // In a row: windows when the first begins at 0 and each begins where the one before ended.
  const auto settle = [](const std::vector<Budget*>& row) {
    if (row.empty() || row[0]->least != Duration() || row[0]->most == Duration()) return;
    std::optional<Duration> end = Duration();
    for (Budget* budget : row) {
      if (!end || budget->least != *end) return;
      budget->kind = Budget::Kind::kWindow;
      end = budget->most;
    }
  };
  std::vector<Budget*> phases;
  std::map<size_t, std::vector<Budget*>> steps;
  for (Phase& phase : procedure_.phases)
    if (phase.budget) phases.push_back(&*phase.budget);
  for (Step& step : procedure_.steps)
    if (step.budget) steps[step.phase].push_back(&*step.budget);
  settle(phases);
  for (auto& [phase, row] : steps) settle(row);
}

void ProcedureReader::settle_ids() {
  Ids ids;
  for (Step& step : procedure_.steps) {
    if (step.annotations.id.empty()) continue;
    step.id = step.annotations.id;
    if (!ids.take(step.id))
      document_.errors.push_back({"the id '" + step.id + "' is used twice in this scenario",
                                  "ids name steps in plans and journals", step.annotations.range});
  }
  for (Step& step : procedure_.steps) {
    if (!step.annotations.id.empty()) continue;
    const std::string base = slug(step.title.text);
    step.id = ids.make(base.empty() ? "step" : base);
  }
}

}  // namespace holdfast::runbook
