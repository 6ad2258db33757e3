#include <algorithm>
#include <array>
#include <cctype>

#include "runbook/facts.h"
#include "runbook/placeholders.h"

// Tables whose columns mean something, and objectives in every form.

namespace holdfast::runbook {

using markdown::Block;

namespace {

bool has_word(const std::string& words, std::string_view word) {
  const std::vector<std::string> all = words_of(words);
  return std::any_of(all.begin(), all.end(), [&](const std::string& each) {
    return each == word || (word.ends_with("*") && each.starts_with(word.substr(0, word.size() - 1)));
  });
}

// Number of the first column that has one of the words; -1 when none has.
template <typename Columns>
int column_of(const Columns& columns, std::initializer_list<std::string_view> words) {
  for (const std::string_view word : words)
    for (size_t index = 0; index < columns.size(); index++)
      if (has_word(columns[index].words, word)) return static_cast<int>(index);
  return -1;
}

Text cell(const Block& row, int column) {
  if (column < 0 || static_cast<size_t>(column) >= row.children.size()) return {};
  const Block& found = row.children[static_cast<size_t>(column)];
  Text text = text_of(found.inlines);
  if (!text.range.known()) text.range = found.range;
  return text;
}

}  // namespace

bool Facts::table(const Block& table, const SectionNode& node) {
  std::vector<Column> columns;
  for (const Block& row : table.children) {
    for (const Block& each : row.children) {
      if (row.header) columns.push_back({lower(trim(markdown::plain_text(each.inlines))), text_of(each.inlines)});
      if (!row.header) prose(each.inlines);
    }
  }
  return objective_table(columns, table) || severity_table(columns, table) || metric_table(columns, table, node) ||
         contact_table(columns, table) || frequency_table(columns, table) || reference_table(columns, table);
}

bool Facts::objective_table(const std::vector<Column>& columns, const Block& table) {
  const int rto = column_of(columns, {"rto"}), rpo = column_of(columns, {"rpo"});
  // A column "Planned RTO" beside "Actual time" is a form to fill in.
  if ((rto < 0 && rpo < 0) || column_of(columns, {"actual"}) >= 0) return false;
  const int scenario = column_of(columns, {"scenario", "failure", "disaster"});
  const int priority = column_of(columns, {"priority", "criticality", "tier"});
  for (const Block& row : table.children) {
    if (row.header) continue;
    Objective objective;
    objective.scope = scenario == 0 ? Objective::Scope::kScenario : Objective::Scope::kComponent;
    objective.subject = cell(row, 0);
    if (rto >= 0 && !cell(row, rto).empty()) objective.rto = target_of(cell(row, rto));
    if (rpo >= 0 && !cell(row, rpo).empty()) objective.rpo = target_of(cell(row, rpo));
    if (priority > 0) objective.priority = cell(row, priority);
    objective.range = row.range;
    document_.objectives.push_back(std::move(objective));
  }
  return true;
}

bool Facts::contact_table(const std::vector<Column>& columns, const Block& table) {
  const int role = column_of(columns, {"role", "team", "position", "service", "vendor", "provider"});
  const bool reach = column_of(columns, {"contact", "phone", "email", "e", "slack", "pager", "name"}) >= 0;
  if (role < 0 || !reach) return false;
  for (const Block& row : table.children) {
    if (row.header) continue;
    Contact contact;
    contact.role = cell(row, role);
    contact.range = row.range;
    contact.external = has_word(contact.role.text, "support") || has_word(contact.role.text, "vendor");
    for (size_t index = 0; index < columns.size() && index < row.children.size(); index++)
      if (static_cast<int>(index) != role)
        contact.fields.emplace_back(columns[index].text.text, cell(row, static_cast<int>(index)));
    document_.contacts.push_back(std::move(contact));
  }
  return true;
}

bool Facts::severity_table(const std::vector<Column>& columns, const Block& table) {
  const int level = column_of(columns, {"level", "severity", "priority"}), response = column_of(columns, {"response"});
  if (level < 0 || response < 0) return false;
  const int description = column_of(columns, {"description", "definition", "impact"});
  for (const Block& row : table.children) {
    if (row.header) continue;
    Severity severity;
    severity.level = cell(row, level);
    severity.description = cell(row, description);
    severity.response = target_of(cell(row, response));
    severity.range = row.range;
    document_.severities.push_back(std::move(severity));
  }
  return true;
}

bool Facts::metric_table(const std::vector<Column>& columns, const Block& table, const SectionNode& node) {
  const int target = column_of(columns, {"target", "planned", "goal"}), actual = column_of(columns, {"actual"});
  const int name = column_of(columns, {"metric", "measure", "kpi", "objective"});
  if (target < 0 || (actual < 0 && name < 0)) return false;
  MetricsTable metrics;
  metrics.title = node.title.title;
  metrics.range = table.range;
  metrics.fillable = actual >= 0;
  for (const Block& row : table.children) {
    if (row.header) continue;
    Metric metric;
    metric.name = cell(row, name < 0 ? 0 : name);
    metric.target = cell(row, target);
    metric.actual = cell(row, actual);
    metric.description = cell(row, column_of(columns, {"description", "notes"}));
    metric.target_duration = target_of(metric.target).most;
    const std::string small = lower(metric.name.text);
    if (actual < 0 && (small.starts_with("rto") || small.starts_with("rpo")))
      objectives(metric.name.text + ": " + metric.target.text, metric.target.range, {}, Objective::Scope::kGlobal);
    metrics.metrics.push_back(std::move(metric));
  }
  document_.metrics.push_back(std::move(metrics));
  return true;
}

bool Facts::frequency_table(const std::vector<Column>& columns, const Block& table) {
  const int frequency_column = column_of(columns, {"frequency", "schedule", "interval", "cadence"});
  if (frequency_column < 0) return false;
  bool any = false;
  for (const Block& row : table.children) {
    if (row.header) continue;
    const size_t before = document_.schedules.size();
    frequency(cell(row, frequency_column), cell(row, 0), false);
    any = any || document_.schedules.size() > before;
  }
  return any;
}

bool Facts::reference_table(const std::vector<Column>& columns, const Block& table) {
  if (column_of(columns, {"document", "documentation", "link", "runbook"}) != 0) return false;
  for (const Block& row : table.children) {
    if (row.header || row.children.empty()) continue;
    Link link;
    link.text = cell(row, 0);
    for (const markdown::Inline& part : row.children.front().inlines)
      if (part.kind == markdown::Inline::Kind::kLink) link.target = part.target;
    document_.references.push_back(std::move(link));
  }
  return true;
}

// Objectives that name the same subject are one: some documents list RTOs first, then RPOs.
void Facts::add_objective(Objective objective) {
  for (Objective& known : document_.objectives) {
    const bool same = known.scope == objective.scope && lower(known.subject.text) == lower(objective.subject.text);
    const auto again = [](const std::optional<Target>& a, const std::optional<Target>& b) {
      return !b || (a && a->least == b->least && a->most == b->most);
    };
    if (same && again(known.rto, objective.rto) && again(known.rpo, objective.rpo)) return;
    if (!same || (known.rto && objective.rto) || (known.rpo && objective.rpo)) continue;
    if (objective.rto) known.rto = std::move(objective.rto);
    if (objective.rpo) known.rpo = std::move(objective.rpo);
    return;
  }
  document_.objectives.push_back(std::move(objective));
}

namespace {

struct Stated {
  bool rto = false;
  size_t begin = 0, end = 0;  // of the value
};

// Each "RTO" or "RPO" of a text with what follows it up to the next one or a bar.
std::vector<Stated> stated_targets(const std::string& text) {
  std::vector<Stated> found;
  const std::string small = lower(text);
  for (size_t place = 0; place + 3 <= small.size(); place++) {
    const std::string_view word = std::string_view(small).substr(place, 3);
    if (word != "rto" && word != "rpo") continue;
    const bool starts = place == 0 || std::isalnum(static_cast<unsigned char>(small[place - 1])) == 0;
    const bool ends = place + 3 == small.size() || std::isalnum(static_cast<unsigned char>(small[place + 3])) == 0;
    if (!starts || !ends) continue;
    if (!found.empty() && found.back().end > place) found.back().end = place;
    size_t begin = place + 3;
    const size_t open = small.find_first_not_of(" *", begin);
    if (open != std::string::npos && small[open] == '(') begin = std::min(small.find(')', open), small.size() - 1) + 1;
    const size_t end = std::min(small.find('|', begin), small.size());
    found.push_back({word == "rto", begin, end});
  }
  return found;
}

}  // namespace

bool Facts::objectives(const std::string& text, SourceRange range, const Text& subject, Objective::Scope scope) {
  Objective objective;
  objective.scope = scope;
  objective.subject = subject;
  objective.range = range;
  for (const Stated& stated : stated_targets(text)) {
    std::string value = trim(std::string_view(text).substr(stated.begin, stated.end - stated.begin));
    while (!value.empty() && (value[0] == ':' || value[0] == '=' || value[0] == '*' || value[0] == ' '))
      value.erase(0, 1);
    while (!value.empty() && (value.back() == ',' || value.back() == ';' || value.back() == ' ')) value.pop_back();
    Target target = target_of({value, range});
    const bool says = target.most || target.not_applicable || lower(value).starts_with("near");
    if (!says || value.size() > 80) continue;
    if (stated.rto && !objective.rto)
      objective.rto = std::move(target);
    else if (!stated.rto && !objective.rpo)
      objective.rpo = std::move(target);
  }
  if (!objective.rto && !objective.rpo) return false;
  add_objective(std::move(objective));
  return true;
}

// "RTO: 4h" lines of a block, perhaps below "component:".
void Facts::objective_code(const Block& block) {
  Text subject;
  for (const markdown::CodeLine& line : block.lines) {
    const std::string text = trim(line.text);
    const bool stated = objectives(text, line.range(), subject,
                                   subject.empty() ? Objective::Scope::kGlobal : Objective::Scope::kComponent);
    if (!stated && text.ends_with(":")) subject = {text.substr(0, text.size() - 1), line.range()};
  }
}

void Facts::objective_section(SectionNode& node) {
  node.reading = "objectives";
  const std::string heading = lower(node.heading.text);
  // Below "RTO:" each item is a component's RTO.
  const bool rto = heading.find("rto") != std::string::npos || heading.find("recovery time") != std::string::npos;
  const bool rpo = heading.find("rpo") != std::string::npos || heading.find("recovery point") != std::string::npos;
  objectives(node.heading.text, node.heading.range, {}, Objective::Scope::kGlobal);
  for (const Block* block : node.blocks) {
    if (block->kind == Block::Kind::kTable && !table(*block, node)) unknown(*block);
    if (block->kind == Block::Kind::kCode) objective_code(*block);
    if (block->kind == Block::Kind::kParagraph)
      objectives(text_of(*block).text, block->range, {}, Objective::Scope::kGlobal);
    if (block->kind != Block::Kind::kList) continue;
    for (const Block& item : block->children) {
      const Text whole = text_of(first_inlines(item));
      if (objectives(whole.text, item.range, {}, Objective::Scope::kGlobal)) continue;
      const auto [label, value] = label_and_value(first_inlines(item));
      Target target = target_of(value);
      if (label.empty() || rto == rpo || !target.most) continue;
      Objective objective;
      objective.scope = Objective::Scope::kComponent;
      objective.subject = label;
      objective.range = item.range;
      (rto ? objective.rto : objective.rpo) = std::move(target);
      add_objective(std::move(objective));
    }
  }
  for (SectionNode& child : node.children) objective_section(child);
}

}  // namespace holdfast::runbook
