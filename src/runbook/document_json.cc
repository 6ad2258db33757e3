#include "runbook/document_json.h"

#include <algorithm>

namespace holdfast::runbook {

using Json = nlohmann::ordered_json;

std::string_view name_of(StepKind kind) {
  switch (kind) {
    case StepKind::kShell: return "shell";
    case StepKind::kSql: return "sql";
    case StepKind::kRepl: return "repl";
    case StepKind::kManual: return "manual";
  }
  return "manual";
}

std::string_view name_of(ProcedureKind kind) {
  constexpr std::string_view kNames[] = {"scenario", "response", "preparation", "verification", "post-recovery",
                                         "testing",  "review",   "maintenance", "reference"};
  return kNames[static_cast<size_t>(kind)];
}

std::string_view name_of(PhaseKind kind) {
  constexpr std::string_view kNames[] = {"detection", "response", "recovery", "verification", "after", "other"};
  return kNames[static_cast<size_t>(kind)];
}

std::string_view name_of(HazardKind kind) {
  constexpr std::string_view kNames[] = {"destroys",    "irreversible",   "stops-service", "switches-traffic",
                                         "promotes",    "rotates-secret", "writes-data",   "restores-aside",
                                         "interactive", "never-ends",     "needs-secret",  "remote"};
  return kNames[static_cast<size_t>(kind)];
}

std::string_view name_of(OnCrash on_crash) {
  constexpr std::string_view kNames[] = {"ask", "retry", "skip", "fail", "probe"};
  return kNames[static_cast<size_t>(on_crash)];
}

uint32_t code_point_column(const Document& document, Position position) {
  // Lines are found from the front; documents are small and this is asked for output only.
  size_t begin = 0;
  for (uint32_t line = 1; line < position.line; line++) {
    const size_t end = document.source.find_first_of("\r\n", begin);
    if (end == std::string::npos) return position.column;
    begin = end + (document.source.compare(end, 2, "\r\n") == 0 ? 2 : 1);
  }
  uint32_t column = 1;
  for (size_t offset = begin; offset + 1 < begin + position.column && offset < document.source.size(); offset++)
    if ((static_cast<unsigned char>(document.source[offset + 1]) & 0xC0) != 0x80) column++;
  return column;
}

namespace {

// Writes a document; the places of many elements are looked up in one table of lines.
class Writer {
 public:
  explicit Writer(const Document& document) : document_(document) {
    size_t begin = 0;
    lines_.push_back(0);
    while ((begin = document.source.find_first_of("\r\n", begin)) != std::string::npos) {
      begin += document.source.compare(begin, 2, "\r\n") == 0 ? 2 : 1;
      lines_.push_back(begin);
    }
  }

  Json range(SourceRange range) const {
    if (!range.known()) return nullptr;
    return {{"line", range.begin.line},
            {"column", column(range.begin)},
            {"end_line", range.end.line},
            {"end_column", column(range.end)}};
  }

  Json text(const Text& text) const {
    if (text.empty()) return nullptr;
    return {{"text", valid(text.text)}, {"at", range(text.range)}};
  }

  Json texts(const std::vector<Text>& list) const {
    Json array = Json::array();
    for (const Text& each : list) array.push_back(text(each));
    return array;
  }

  Json document() const {
    Json json;
    json["path"] = valid(document_.path);
    json["title"] = text(document_.title);
    json["overview"] = valid(document_.overview);
    json["attributes"] = attributes(document_.attributes);
    json["objectives"] = list(document_.objectives, [this](const Objective& each) { return objective(each); });
    json["contacts"] = list(document_.contacts, [this](const Contact& each) { return contact(each); });
    json["escalations"] = list(document_.escalations, [this](const Escalation& each) {
      return Json{{"level", text(each.level)},
                  {"who", text(each.who)},
                  {"budget", budget(each.budget)},
                  {"conditions", texts(each.conditions)}};
    });
    json["severities"] = list(document_.severities, [this](const Severity& each) {
      return Json{
          {"level", text(each.level)}, {"description", text(each.description)}, {"response", target(each.response)}};
    });
    json["schedules"] = list(document_.schedules, [this](const Schedule& each) {
      return Json{{"subject", text(each.subject)},
                  {"text", text(each.text)},
                  {"command", valid(each.command)},
                  {"interval_seconds", seconds(each.interval)},
                  {"cron", each.cron},
                  {"backup", each.backup}};
    });
    json["embedded_files"] = list(document_.embedded_files, [this](const EmbeddedFile& each) {
      return Json{{"path", text(each.path)},
                  {"language", each.language},
                  {"lines", each.lines.size()},
                  {"at", range(each.range)}};
    });
    json["metrics"] = list(document_.metrics, [this](const MetricsTable& each) { return metrics(each); });
    json["variables"] = list(document_.variables, [this](const VariableDefinition& each) {
      return Json{{"name", text(each.name)}, {"value", text(each.value)}, {"placeholder", each.placeholder}};
    });
    json["references"] = list(document_.references, [this](const Link& each) {
      return Json{{"text", text(each.text)}, {"target", valid(each.target)}};
    });
    json["scenarios"] = list(document_.scenarios, [this](const Procedure& each) { return procedure(each); });
    json["procedures"] = list(document_.procedures, [this](const Procedure& each) { return procedure(each); });
    json["placeholders"] = placeholders(document_.placeholders);
    json["unknown"] = list(document_.unknown, [this](const UnknownPart& each) {
      return Json{{"what", each.what}, {"first_words", valid(each.first_words)}, {"at", range(each.range)}};
    });
    json["errors"] = list(document_.errors, [this](const ReadError& each) {
      return Json{{"message", valid(each.message)}, {"hint", valid(each.hint)}, {"at", range(each.range)}};
    });
    return json;
  }

 private:
  uint32_t column(Position position) const {
    if (position.line == 0 || position.line > lines_.size()) return position.column;
    const size_t begin = lines_[position.line - 1];
    uint32_t result = 1;
    for (size_t offset = begin; offset + 1 < begin + position.column && offset < document_.source.size(); offset++)
      if (offset + 1 >= document_.source.size() ||
          (static_cast<unsigned char>(document_.source[offset + 1]) & 0xC0) != 0x80)
        result++;
    return result;
  }

  // JSON is UTF-8; a document need not be.
  static std::string valid(const std::string& text) {
    return Json::parse(Json(text).dump(-1, ' ', false, Json::error_handler_t::replace)).get<std::string>();
  }

  template <typename Each, typename Make>
  static Json list(const std::vector<Each>& elements, Make make) {
    Json array = Json::array();
    for (const Each& each : elements) array.push_back(make(each));
    return array;
  }

  static Json seconds(const std::optional<Duration>& duration) {
    return duration ? Json(duration->ns / 1'000'000'000) : Json(nullptr);
  }

  Json attributes(const std::vector<Attribute>& all) const {
    return list(
        all, [this](const Attribute& each) { return Json{{"label", text(each.label)}, {"value", text(each.value)}}; });
  }

  Json target(const std::optional<Target>& target) const {
    if (!target) return nullptr;
    return {{"text", text(target->text)},
            {"least_seconds", seconds(target->least)},
            {"most_seconds", seconds(target->most)},
            {"not_applicable", target->not_applicable}};
  }

  Json budget(const std::optional<Budget>& budget) const {
    if (!budget) return nullptr;
    return {{"kind", budget->kind == Budget::Kind::kWindow ? "window" : "duration"},
            {"from_seconds", budget->least.ns / 1'000'000'000},
            {"to_seconds", seconds(budget->most)},
            {"text", valid(budget->text.text)}};
  }

  Json objective(const Objective& each) const {
    const char* scope = each.scope == Objective::Scope::kGlobal      ? "global"
                        : each.scope == Objective::Scope::kComponent ? "component"
                                                                     : "scenario";
    return {{"scope", scope},          {"subject", text(each.subject)},   {"rto", target(each.rto)},
            {"rpo", target(each.rpo)}, {"priority", text(each.priority)}, {"at", range(each.range)}};
  }

  Json contact(const Contact& each) const {
    Json fields = Json::array();
    for (const auto& [label, value] : each.fields) fields.push_back({{"label", valid(label)}, {"value", text(value)}});
    return {{"role", text(each.role)}, {"external", each.external}, {"fields", fields}, {"at", range(each.range)}};
  }

  Json metrics(const MetricsTable& table) const {
    return {{"title", text(table.title)},
            {"fillable", table.fillable},
            {"metrics", list(table.metrics, [this](const Metric& each) {
               return Json{{"name", text(each.name)},
                           {"target", text(each.target)},
                           {"target_seconds", seconds(each.target_duration)},
                           {"actual", text(each.actual)},
                           {"description", text(each.description)}};
             })}};
  }

  Json placeholders(const std::vector<Placeholder>& all) const {
    return list(all, [this](const Placeholder& each) {
      return Json{{"text", valid(each.text)}, {"name", each.name}, {"at", range(each.range)}};
    });
  }

  Json procedure(const Procedure& each) const {
    Json json;
    json["kind"] = name_of(each.kind);
    json["id"] = each.id;
    json["number"] = each.number;
    json["title"] = text(each.title);
    json["trigger"] = text(each.trigger);
    json["symptoms"] = texts(each.symptoms);
    json["impact"] = texts(each.impact);
    json["causes"] = texts(each.causes);
    json["prerequisites"] = texts(each.prerequisites);
    json["attributes"] = attributes(each.attributes);
    json["expected_time"] = target(each.expected_time);
    json["expected_loss"] = target(each.expected_loss);
    json["phases"] = list(each.phases, [this](const Phase& phase) {
      return Json{{"kind", name_of(phase.kind)},
                  {"title", text(phase.title)},
                  {"budget", budget(phase.budget)},
                  {"condition", valid(phase.condition)}};
    });
    json["options"] = list(each.options, [this](const Option& option) {
      return Json{{"group", option.group},
                  {"letter", option.letter},
                  {"title", text(option.title)},
                  {"budget", budget(option.budget)},
                  {"phase", option.phase}};
    });
    json["steps"] = list(each.steps, [this](const Step& step) { return this->step(step); });
    json["at"] = range(each.range);
    return json;
  }

  Json step(const Step& step) const {
    Json json;
    json["id"] = step.id;
    json["number"] = step.number;
    json["kind"] = name_of(step.kind);
    json["title"] = text(step.title);
    json["phase"] = step.phase;
    json["option"] = step.option ? Json(*step.option) : Json(nullptr);
    json["budget"] = budget(step.budget);
    json["condition"] = valid(step.condition);
    json["text"] = valid(step.text);
    json["details"] = texts(step.details);
    json["pieces"] = list(step.pieces, [this](const Piece& piece) {
      Json result{{"kind", piece.kind == Piece::Kind::kInput ? "input" : "commands"},
                  {"title", valid(piece.title)},
                  {"text", valid(piece.text)},
                  {"at", range(piece.range)}};
      if (piece.kind == Piece::Kind::kInput) result["program"] = valid(piece.program);
      if (piece.group > 0) result["group"] = piece.group, result["alternative"] = piece.alternative;
      return result;
    });
    json["variables"] = list(step.variables, [this](const VariableUse& use) {
      return Json{{"name", use.name}, {"has_default", use.has_default}, {"at", range(use.range)}};
    });
    json["placeholders"] = placeholders(step.placeholders);
    json["hazards"] = list(step.hazards, [this](const Hazard& hazard) {
      return Json{{"kind", name_of(hazard.kind)}, {"reason", valid(hazard.reason)}, {"at", range(hazard.range)}};
    });
    json["annotations"] = annotations(step.annotations);
    json["sample_output_lines"] = step.sample_output.size();
    json["at"] = range(step.range);
    return json;
  }

  static Json annotations(const Annotations& a) {
    Json json = Json::object();
    const auto put = [&](const char* key, const std::string& value) {
      if (!value.empty()) json[key] = valid(value);
    };
    put("id", a.id);
    if (a.timeout) json["timeout_seconds"] = seconds(a.timeout);
    put("verify", a.verify);
    if (a.on_crash) json["on_crash"] = name_of(*a.on_crash);
    put("approve", a.approve);
    if (a.drill_skip) json["drill"] = "skip";
    if (a.retries > 0) json["retries"] = a.retries;
    put("parallel", a.parallel);
    put("compensate", a.compensate);
    put("target", a.target);
    put("fence", a.fence);
    for (const auto& [name, value] : a.env) json["env"][name] = valid(value);
    put("component", a.component);
    put("workdir", a.workdir);
    if (a.destructive) json["destructive"] = *a.destructive;
    if (a.interactive) json["interactive"] = *a.interactive;
    if (a.manual) json["manual"] = true;
    if (a.optional) json["optional"] = true;
    put("when", a.when);
    return json;
  }

  const Document& document_;
  std::vector<size_t> lines_;
};

}  // namespace

Json json_of(const Document& document) { return Writer(document).document(); }

Json json_of_range(const Document& document, SourceRange range) { return Writer(document).range(range); }

}  // namespace holdfast::runbook
