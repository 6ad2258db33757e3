#include <algorithm>
#include <array>
#include <cctype>

#include "runbook/placeholders.h"
#include "runbook/procedure_reader.h"
#include "runbook/shell/parser.h"
#include "runbook/step_builder.h"
#include "runbook/vocabulary.h"

// Lists, items and code blocks: where steps come from.

namespace holdfast::runbook {

using markdown::Block;
using markdown::Inline;

namespace {

bool has_code_inside(const Block& block) {
  if (block.kind == Block::Kind::kCode) return true;
  return std::any_of(block.children.begin(), block.children.end(), has_code_inside);
}

// "**Restore Database** and wait": the bold words; otherwise the first sentence.
Text item_title(const std::vector<Inline>& inlines) {
  Text whole = text_of(inlines);
  if (!inlines.empty() && inlines.front().kind == Inline::Kind::kStrong) {
    const std::string bold = trim(markdown::plain_text(inlines.front().children));
    const std::string rest = trim(std::string_view(whole.text).substr(std::min(bold.size(), whole.text.size())));
    // "**Immediate Response** (0-15 minutes)" keeps its time.
    if (rest.starts_with("(") && rest.ends_with(")")) return whole;
    Text title = text_of(inlines.front().children);
    return title;
  }
  size_t stop = whole.text.find(". ");
  while (stop != std::string::npos && stop >= 2 && whole.text[stop - 2] == '.')
    stop = whole.text.find(". ", stop + 1);  // "e.g. "
  if (stop != std::string::npos) whole.text.erase(stop);
  constexpr size_t kLongest_bytes = 120;
  if (whole.text.size() > kLongest_bytes) {
    const size_t blank = whole.text.rfind(' ', kLongest_bytes);
    whole.text.erase(blank == std::string::npos ? kLongest_bytes : blank);
  }
  return whole;
}

// "**Decide**: the incident manager agrees (3 minutes)": what is said behind the bold title.
// Empty when the title is all, or goes on in the same sentence.
TitleParts words_behind(const std::vector<Inline>& inlines) {
  if (inlines.empty() || inlines.front().kind != Inline::Kind::kStrong) return {};
  const Text whole = text_of(inlines);
  const std::string bold = trim(markdown::plain_text(inlines.front().children));
  std::string rest = trim(std::string_view(whole.text).substr(std::min(bold.size(), whole.text.size())));
  if (!bold.ends_with(":") && !rest.starts_with(":")) return {};
  rest.erase(0, std::min(rest.find_first_not_of(": "), rest.size()));
  TitleParts parts;
  parts.title = {rest, whole.range};
  if (rest.ends_with(")") || rest.ends_with(").")) {
    if (rest.ends_with(".")) rest.pop_back();
    TitleParts read = parse_title({"x " + rest, whole.range});
    if (!read.length && read.condition.empty()) return parts;
    read.title = {read.title.text.substr(std::min<size_t>(2, read.title.text.size())), whole.range};
    read.length_text.range = whole.range;
    return read;
  }
  return parts;
}

bool begins_option(std::string_view text) {
  const std::string words = lower(trim(text));
  return words.starts_with("option ") || words.starts_with("method ");
}

// One line for each option: they are told of, and none begins.
bool lists_options(const std::vector<Inline>& inlines) {
  for (size_t index = 0; index + 1 < inlines.size(); index++)
    if (inlines[index].kind == Inline::Kind::kBreak && begins_option(markdown::plain_text({inlines[index + 1]})))
      return true;
  return false;
}

// The title of an item or a paragraph that begins an option. "**Option A**: restore it" says its name
// behind the bold words.
TitleParts option_title(const std::vector<Inline>& inlines) {
  // "401: option B." speaks of one.
  if (!begins_option(markdown::plain_text(inlines)) || lists_options(inlines)) return {};
  TitleParts title = parse_title(item_title(inlines));
  if (!title.title.empty() || !is_option(title)) return title;
  const TitleParts behind = words_behind(inlines);
  title.title = behind.title;
  title.length = behind.length;
  title.length_text = behind.length_text;
  title.condition = behind.condition;
  if (title.title.empty()) title.title = {"Option " + title.number, text_of(inlines).range};
  return title;
}

bool offers_options(const Block& list) {
  return list.kind == Block::Kind::kList &&
         std::any_of(list.children.begin(), list.children.end(),
                     [](const Block& each) { return is_option(option_title(first_inlines(each))); });
}

// "2. Look" goes on with a list whose last item has this number.
bool goes_on(const Block& block, int last_number) {
  return block.kind == Block::Kind::kList && block.ordered && !block.children.empty() &&
         block.children.front().start == last_number + 1;
}

const shell::Comment* first_comment(const Step& step) {
  for (const shell::Comment& comment : step.script.comments) {
    const bool leads = step.script.commands.empty() || comment.span.begin < step.script.commands.front().span.begin;
    if (leads && comment.own_line && !comment.text.empty()) return &comment;
  }
  return nullptr;
}

bool looks_like_command_line(const std::string& text) {
  const size_t blank = text.find(' ');
  if (blank == std::string::npos) return text.starts_with("./");
  const std::string first = text.substr(0, blank);
  return is_known_program(first) || first.starts_with("./") || first == "$";
}

// "Stop it: `systemctl stop x`": the command within an item's words. Null when they hold none, or several.
const Inline* command_within(const Block& item) {
  const auto& inlines = first_inlines(item);
  const Inline* command = nullptr;
  for (const Inline& part : inlines) {
    if (part.kind != Inline::Kind::kCode) continue;
    if (command != nullptr || !looks_like_command_line(part.text)) return nullptr;
    command = &part;
  }
  if (command == nullptr) return nullptr;
  const std::string words = trim(markdown::plain_text(inlines));
  const std::string before = trim(std::string_view(words).substr(0, words.find(command->text)));
  const bool introduced =
      before.empty() || before.ends_with(":") || lower(before).ends_with("run") || lower(before).ends_with("execute");
  return introduced ? command : nullptr;
}

// What nothing here runs as it stands is for a person: commands of another shell, SQL of another server, and
// a text that the shell's grammar does not accept, or of which it is not clear who reads it.
bool is_for_a_person(const Step& step) {
  const std::string& language = step.language;
  if (step.kind == StepKind::kSql) return language == "mysql";
  if (step.kind != StepKind::kShell) return false;
  return !step.script.ok() || step.unclear || language == "zsh" || language == "ksh";
}

// "#!/usr/bin/env bash" -> "bash", with its options. Empty when the text begins with none.
std::vector<std::string> interpreter_of(const std::vector<markdown::CodeLine>& lines) {
  if (lines.empty() || !lines.front().text.starts_with("#!")) return {};
  std::vector<std::string> words;
  for (const shell::Command& command : shell::parse(std::string_view(lines.front().text).substr(2)).commands)
    for (const shell::Word& word : command.words) words.push_back(word.value);
  if (!words.empty() && words.front().ends_with("/env")) words.erase(words.begin());
  if (words.empty()) return {"unknown"};
  words.front().erase(0, words.front().rfind('/') + 1);
  return words;
}

// A script of bash or sh is run like any other block: its first line becomes the options that it sets.
bool take_interpreter(CodeReading& reading) {
  const std::vector<std::string> words = interpreter_of(reading.lines);
  if (words.empty() || (words[0] != "bash" && words[0] != "sh")) return false;
  std::string options;
  for (size_t index = 1; index < words.size(); index++) options += " " + words[index];
  reading.language = words[0];
  reading.kind = CodeReading::Kind::kShell;
  if (options.empty())
    reading.lines.erase(reading.lines.begin());
  else
    reading.lines.front().text = "set" + options;
  return true;
}

// "# disaster-recovery.sh" below "#!/bin/bash".
const shell::Comment* file_name_of(const shell::Script& script) {
  for (const shell::Comment& comment : script.comments) {
    const bool name = !comment.text.starts_with("!") && comment.text.find(' ') == std::string::npos &&
                      comment.text.find('.') != std::string::npos;
    if (name) return &comment;
  }
  return nullptr;
}

}  // namespace

void ProcedureReader::blocks(const std::vector<const Block*>& blocks, Place& place) {
  Margin margin;
  margin.outer = margin.around = place;
  margin.outer_option = option_;
  for (const Block* each : blocks) block_at_margin(*each, margin);
  if (!blocks.empty()) end_way(margin, blocks.back()->range);
  place = margin.around;
  lead_ = Text();
}

// An option ends where the next begins, and where an item goes on with the list above the options.
void ProcedureReader::block_at_margin(const Block& block, Margin& margin) {
  if (block.kind == Block::Kind::kQuote) {
    for (const Block& child : block.children) block_at_margin(child, margin);
    return;
  }
  const TitleParts title = block.kind == Block::Kind::kParagraph ? option_title(block.inlines) : TitleParts();
  const bool next = is_option(title) || offers_options(block);
  const bool after = goes_on(block, margin.number_before) && !goes_on(block, margin.number_within);
  if (next || after) end_way(margin, block.range);
  if (after) margin.around = margin.outer;
  if (next) take_item_of_options(margin.around);
  if (is_option(title)) begin_way(block, title, margin);
  if (block.kind == Block::Kind::kList && block.ordered && !block.children.empty())
    (margin.way ? margin.number_within : margin.number_before) = block.children.back().start;
  this->block(block, margin.way ? *margin.way : margin.around);
}

void ProcedureReader::begin_way(const Block& block, const TitleParts& title, Margin& margin) {
  margin.way = place_of_option(margin.around, title, block.range);
  margin.way->option.reset();
  margin.number_within = 0;
  open_item_.reset();
}

void ProcedureReader::end_way(Margin& margin, SourceRange range) {
  if (!margin.way) return;
  if (acts(procedure_.kind)) close_option(*margin.way, range);
  option_ = margin.outer_option;
  margin.way.reset();
}

// Options at column 0 below "1. Restore the database" are ways to do that.
void ProcedureReader::take_item_of_options(Place& place) {
  if (!open_item_ || *open_item_ + 1 != procedure_.steps.size() || procedure_.steps.back().option) return;
  const Step& item = procedure_.steps.back();
  place.number = item.number;
  place.condition = item.condition;
  place.budget = item.budget;
  place.within = item.title;
  place.choice = "item " + std::to_string(item.range.begin.line);
  place.item = true;
  open_item_.reset();
  if (!item.details.empty()) return;
  annotator_.pending.insert(annotator_.pending.begin(), open_settings_.begin(), open_settings_.end());
  procedure_.steps.pop_back();
}

void ProcedureReader::list(const Block& list, Place& place) {
  const bool options = offers_options(list);
  if (list.ordered || options || has_code_inside(list)) place.option.reset();
  if (list.ordered) {
    for (const Block& each : list.children) {
      std::string number = std::to_string(each.start);
      if (!place.number.empty() && place.item) number = place.number + "." + number;
      item_or_option(each, number, place);
    }
    return;
  }
  // Bullets below a numbered item at column 0 say how.
  if (open_item_ && !has_code_inside(list) && !options) {
    for (Text& text : texts_of(list)) procedure_.steps[*open_item_].details.push_back(std::move(text));
    return;
  }
  if (has_code_inside(list) || options) {
    for (const Block& each : list.children) item_or_option(each, place.number, place);
    return;
  }
  bullets(list, place);
}

// Where one bullet is a command, the others of its list are steps, too, and keep their place.
void ProcedureReader::bullets(const Block& list, const Place& place) {
  const bool commands = std::any_of(list.children.begin(), list.children.end(),
                                    [](const Block& each) { return command_within(each) != nullptr; });
  const bool acting = acts(procedure_.kind);
  std::vector<const Block*> rest;
  for (const Block& each : list.children) {
    facts_.prose(first_inlines(each));
    Place bullet = place;
    bullet.title = text_of(first_inlines(each));
    const bool understood = fact_of(each, bullet.title);
    const bool command = inline_command(each, bullet);
    if (command) procedure_.steps.back().details = texts_below(each);
    if (commands && !command && acting && !understood) manual_step(bullet, each.range, texts_below(each));
    if (!commands) bullets_.push_back({&each, understood});
    if (!understood && !command) rest.push_back(&each);
  }
  if (rest.size() < list.children.size() && !acting) facts_.unknown_items(rest);
}

// A bullet that says how often something is done, or what is promised.
bool ProcedureReader::fact_of(const Block& item, const Text& whole) {
  const auto [label, value] = label_and_value(first_inlines(item));
  const bool preparation = procedure_.kind == ProcedureKind::kPreparation;
  bool understood = false;
  if (procedure_.kind != ProcedureKind::kScenario) {
    const bool labelled = !label.empty() && parse_frequency(label.text);
    if (labelled && words_of(label.text).size() > 1)
      understood = facts_.frequency({label.text + ": " + value.text, item.range}, label, preparation);
    else if (labelled)
      understood = facts_.frequency(label, value, preparation);
    else
      understood = facts_.frequency(whole, whole, preparation);
  }
  if (label.empty()) return understood;
  return facts_.objectives(label.text + ": " + value.text, item.range, procedure_.title, Objective::Scope::kScenario) ||
         understood;
}

// "- Option A: from the snapshot" is one way to do what the item around it says.
void ProcedureReader::item_or_option(const Block& item, const std::string& number, const Place& outer) {
  const std::optional<size_t> outer_option = option_;
  const TitleParts title = option_title(first_inlines(item));
  if (is_option(title)) open_option(outer, title, item.range);
  this->item(item, number, outer);
  option_ = outer_option;
}

void ProcedureReader::item(const Block& item, const std::string& number, const Place& outer) {
  Place place;
  place.node = outer.node;
  place.number = number;
  place.item = true;
  place.choice = "item " + std::to_string(item.range.begin.line);
  place.steps_before = procedure_.steps.size();
  open_item_.reset();
  lead_ = Text();
  size_t first = 0;
  while (first < item.children.size() && item.children[first].kind != Block::Kind::kParagraph) first++;
  const size_t steps_before = procedure_.steps.size();
  if (first < item.children.size()) {
    const Block& opening = item.children[first];
    const TitleParts option = option_title(opening.inlines);
    const TitleParts parts = is_option(option) ? option : parse_title(item_title(opening.inlines));
    const TitleParts behind = words_behind(opening.inlines);
    place.title = parts.title;
    place.within = parts.title;
    place.condition = parts.condition.empty() ? behind.condition : parts.condition;
    if (parts.length || behind.length) place.budget = budget_from(parts.length ? parts : behind);
    const Text whole = behind.title.empty() ? text_of(opening) : behind.title;
    if (!parts.frequency.empty())
      facts_.frequency(parts.frequency, parts.title, procedure_.kind == ProcedureKind::kPreparation);
    const std::string title = place.title.text;
    paragraph(opening, place, true);
    lead_ = whole.text == title ? Text() : whole;
  }
  item_rest(item, first, place, steps_before);
}

ProcedureReader::Place ProcedureReader::place_of_option(const Place& item, const TitleParts& title, SourceRange range) {
  open_option(item, title, range);
  Place place = item;
  place.title = title.title;
  if (!title.condition.empty()) place.condition = title.condition;
  if (title.length) place.budget = budget_from(title);
  place.steps_before = procedure_.steps.size();
  return place;
}

// An option of words alone is for a person to carry out.
void ProcedureReader::close_option(const Place& place, SourceRange range) {
  if (procedure_.steps.size() == place.steps_before) manual_step(place, range, {});
}

void ProcedureReader::item_rest(const Block& item, size_t from, Place& place, size_t steps_before) {
  std::vector<Text> details;
  place.details = &details;
  const bool nested_code = std::any_of(item.children.begin(), item.children.end(), [](const Block& child) {
    return child.kind == Block::Kind::kList && has_code_inside(child);
  });
  const std::optional<size_t> outer_option = option_;
  std::optional<Place> way;  // of the option that is being read
  for (size_t index = 0; index < item.children.size(); index++) {
    const Block& child = item.children[index];
    if (index == from && child.kind == Block::Kind::kParagraph) continue;
    const TitleParts title = child.kind == Block::Kind::kParagraph ? option_title(child.inlines) : TitleParts();
    if (is_option(title)) {
      if (way) close_option(*way, child.range);
      option_ = outer_option;
      way = place_of_option(place, title, child.range);
    }
    if (child.kind == Block::Kind::kList && !nested_code) {
      for (const Block& each : child.children) facts_.prose(first_inlines(each));
      for (Text& text : texts_of(child)) details.push_back(std::move(text));
    } else {
      block(child, way ? *way : place);
    }
  }
  if (way) close_option(*way, item.range);
  option_ = outer_option;
  if (procedure_.steps.size() > steps_before) {
    procedure_.steps[steps_before].details.insert(procedure_.steps[steps_before].details.end(), details.begin(),
                                                  details.end());
    return;
  }
  if (inline_command(item, place)) {
    procedure_.steps.back().details = std::move(details);
    return;
  }
  std::vector<Setting> settings = annotator_.pending;
  manual_step(place, item.range, std::move(details));
  open_settings_ = std::move(settings);
  // An item without words is no step.
  if (procedure_.steps.size() > steps_before) open_item_ = procedure_.steps.size() - 1;
}

// "Verify the key works: `sops -d secrets.env`": a command within the words.
bool ProcedureReader::inline_command(const Block& item, Place& place) {
  const Inline* command = command_within(item);
  if (command == nullptr) return false;
  const std::string words = trim(markdown::plain_text(first_inlines(item)));
  Step step = start_step(place);
  step.kind = StepKind::kShell;
  markdown::CodeLine line;
  line.text = command->text.starts_with("$ ") ? command->text.substr(2) : command->text;
  line.line = command->range.begin.line;
  line.column = command->range.begin.column + (command->text.starts_with("$ ") ? 2 : 0);
  fill_step(step, {line});
  step.title = place.title.empty() ? Text{words, item.range} : place.title;
  const size_t tick = step.title.text.find(command->text);
  if (tick != std::string::npos && tick > 0) step.title.text = trim(std::string_view(step.title.text).substr(0, tick));
  while (step.title.text.ends_with(":")) step.title.text.pop_back();
  finish_step(std::move(step), nullptr);
  return true;
}

Step ProcedureReader::start_step(Place& place) {
  Step step;
  step.number = place.number;
  step.phase = current_phase();
  step.option = place.option ? place.option : option_;
  step.budget = place.budget;
  step.condition = place.condition;
  step.prose = lead_.text;
  place.budget.reset();
  return step;
}

void ProcedureReader::manual_step(const Place& place, SourceRange range, std::vector<Text> details) {
  Place copy = place;
  if (copy.title.empty()) return;
  Step step = start_step(copy);
  step.kind = StepKind::kManual;
  step.title = place.title;
  step.range = range;
  step.details = std::move(details);
  finish_step(std::move(step), nullptr);
}

void ProcedureReader::finish_step(Step step, const Block* block) {
  annotator_.apply(step, block, document_.errors);
  if (is_for_a_person(step)) step.annotations.manual = true;
  while (step.title.text.ends_with(":")) step.title.text.pop_back();
  procedure_.steps.push_back(std::move(step));
}

Text ProcedureReader::title_for(const Step& step, const Place& place, const Text& part_title) const {
  if (!part_title.empty()) return part_title;
  if (!place.title.empty()) return place.title;
  constexpr size_t kLongest_bytes = 100;
  if (place.item && !lead_.empty() && lead_.text.size() <= kLongest_bytes) return lead_;
  if (const shell::Comment* comment = first_comment(step)) return {comment->text, step.where(comment->span)};
  if (!lead_.empty() && lead_.text.size() <= kLongest_bytes) return lead_;
  if (!place.node->title.title.empty() && !place.item) return place.node->title.title;
  const size_t line = std::min(step.text.find('\n'), step.text.size());
  return {step.text.substr(0, std::min(line, kLongest_bytes)), step.range};
}

void ProcedureReader::code(const Block& block, Place& place) {
  CodeReading reading = read_code(block, lead_.text);
  size_t bytes = 0;
  for (const markdown::CodeLine& line : reading.lines) bytes += line.text.size() + 1;
  const bool large = bytes > kBlockLimit_bytes || !lead_path_.empty();
  const bool script = !large && acts(procedure_.kind) && !interpreter_of(reading.lines).empty() &&
                      file_name_of(shell::parse(markdown::code_text(reading.lines))) == nullptr;
  if (script && take_interpreter(reading)) return command_step(block, reading, place);
  if (!large && (script || is_shown_to_person(reading, place))) {
    if (reading.kind == CodeReading::Kind::kSchedule) facts_.schedule_block(reading.lines, *place.node);
    return text_step(block, reading, place);
  }
  const bool file = large || reading.kind == CodeReading::Kind::kFile;
  if (file && embedded_file(block, reading)) return;
  switch (reading.kind) {
    case CodeReading::Kind::kSchedule: facts_.schedule_block(reading.lines, *place.node); return;
    case CodeReading::Kind::kEnvironment:
      if (procedure_.kind != ProcedureKind::kScenario) return facts_.environment_block(reading.lines);
      break;
    case CodeReading::Kind::kOutput: return facts_.unknown(block);
    case CodeReading::Kind::kProse:
    case CodeReading::Kind::kComments: return words_of_block(block, reading, place);
    default: break;
  }
  command_step(block, reading, place);
}

// Prose, or comments alone: what a person does, or more about it.
void ProcedureReader::words_of_block(const Block& block, const CodeReading& reading, Place& place) {
  std::vector<Text> details;
  for (const markdown::CodeLine& line : reading.lines) {
    const std::string text = trim(line.text);
    const size_t begin = std::min(text.find_first_not_of("#-* "), text.size());
    if (begin < text.size()) details.push_back({text.substr(begin), line.range()});
  }
  const bool step =
      place.item || procedure_.kind == ProcedureKind::kScenario || reading.kind == CodeReading::Kind::kComments;
  if (!step) return facts_.unknown(block);
  if (open_item_) {
    auto& target = procedure_.steps[*open_item_].details;
    target.insert(target.end(), details.begin(), details.end());
    return;
  }
  Place named = place;
  if (named.title.empty()) named.title = lead_.empty() ? place.node->title.title : lead_;
  manual_step(named, block.range, std::move(details));
  place.budget.reset();
  place.title = Text();
}

// The block is all that an item says: data, or a program of a language that nothing here runs.
bool ProcedureReader::is_shown_to_person(const CodeReading& reading, const Place& place) const {
  using Kind = CodeReading::Kind;
  const bool data = reading.kind == Kind::kFile || reading.kind == Kind::kSchedule || reading.kind == Kind::kOutput;
  const bool alone = open_item_ || (place.item && place.steps_before == procedure_.steps.size());
  return acts(procedure_.kind) && data && !reading.announced && alone;
}

void ProcedureReader::text_step(const Block& block, const CodeReading& reading, Place& place) {
  const std::optional<Step> item = take_open_item(place);
  Step step = start_step(place);
  step.language = reading.language;
  fill_step(step, reading.lines);
  step.placeholders.clear();
  step.title = title_for(step, place, {});
  if (item) step.details = item->details;
  finish_step(std::move(step), &block);
  place.title = Text();
}

// A fence at column 0 below "3. **Restore Database**" is that item's.
std::optional<Step> ProcedureReader::take_open_item(Place& place) {
  const bool open = open_item_ && *open_item_ + 1 == procedure_.steps.size();
  open_item_.reset();
  if (!open) return std::nullopt;
  Step item = std::move(procedure_.steps.back());
  procedure_.steps.pop_back();
  place.title = item.title;
  place.number = item.number;
  place.budget = item.budget;
  place.condition = item.condition;
  place.option = item.option;
  if (lead_.empty()) lead_.text = item.prose;
  annotator_.pending.insert(annotator_.pending.begin(), open_settings_.begin(), open_settings_.end());
  return item;
}

// Rows say what to do where, "db-1 | systemctl stop app": whoever does the item is shown them.
void ProcedureReader::table(const Block& table, Place& place) {
  const bool understood = facts_.table(table, *place.node);
  std::vector<Text>* details = open_item_ ? &procedure_.steps[*open_item_].details : place.details;
  if (details == nullptr || !acts(procedure_.kind)) {
    if (!understood) facts_.unknown(table);
    return;
  }
  for (const Block& row : table.children) {
    std::string text;
    for (const Block& cell : row.children) text += (text.empty() ? "" : " | ") + trim(markdown::plain_text(cell));
    details->push_back({std::move(text), row.range});
  }
}

void ProcedureReader::command_step(const Block& block, const CodeReading& reading, Place& place) {
  std::optional<Step> item = take_open_item(place);
  // What a comment in front says of the block holds for each part of it; an id is one step's.
  std::vector<Setting> settings = annotator_.pending;
  const StepKind kind = reading.kind == CodeReading::Kind::kSql    ? StepKind::kSql
                        : reading.kind == CodeReading::Kind::kRepl ? StepKind::kRepl
                                                                   : StepKind::kShell;
  std::vector<CodePart> parts =
      kind == StepKind::kShell ? split_numbered(reading.lines) : std::vector<CodePart>{{"", {}, reading.lines}};
  for (size_t index = 0; index < parts.size(); index++) {
    CodePart& part = parts[index];
    const bool last = index + 1 == parts.size() || parts[index + 1].lines.empty();
    const uint32_t next_line = last ? UINT32_MAX : parts[index + 1].lines.front().line;
    Step step = start_step(place);
    step.kind = kind;
    step.language = reading.language;
    if (!part.number.empty()) step.number = place.number.empty() ? part.number : place.number + "." + part.number;
    fill_step(step, part.lines);
    step.unclear = step.unclear || !reading.clear;
    if (step.kind == StepKind::kShell && step.script.commands.empty()) step.kind = StepKind::kManual;
    step.title = title_for(step, place, part.title);
    if (item) step.details = item->details;
    for (const SourceRange& line : reading.sample_output)
      if (line.begin.line >= step.range.begin.line && line.begin.line < next_line) step.sample_output.push_back(line);
    annotator_.pending = settings;
    finish_step(std::move(step), &block);
    std::erase_if(settings, [](const Setting& setting) { return setting.key == "id"; });
    item.reset();
    place.title = Text();
  }
  lead_ = Text();
}

bool ProcedureReader::embedded_file(const Block& block, const CodeReading& reading) {
  EmbeddedFile file;
  file.language = reading.language;
  if (!lead_path_.empty()) file.path = {lead_path_, lead_.range};
  fill_file(file, block.lines);
  if (file.path.empty()) {
    if (const shell::Comment* name = file_name_of(file.script)) file.path = {name->text, file.where(name->span)};
  }
  file.range = block.range;
  lead_path_.clear();
  open_item_.reset();
  document_.embedded_files.push_back(std::move(file));
  return true;
}

}  // namespace holdfast::runbook
