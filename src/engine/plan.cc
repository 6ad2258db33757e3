#include "engine/plan.h"

#include <algorithm>
#include <array>

#include "base/filesystem.h"
#include "base/json_number.h"

namespace holdfast::engine {
namespace {

constexpr std::array<std::string_view, 5> kOnCrashNames = {"ask", "retry", "skip", "fail", "probe"};
constexpr std::array<std::string_view, 3> kKindNames = {"shell", "sql", "manual"};

template <typename Enum, size_t N>
Enum enum_of(const std::array<std::string_view, N>& names, const std::string& name) {
  const auto found = std::find(names.begin(), names.end(), name);
  return static_cast<Enum>(found == names.end() ? 0 : found - names.begin());
}

// Only what is said is written, so that a journal stays readable.
void put(Json& json, const char* key, const std::string& value) {
  if (!value.empty()) json[key] = value;
}
void put(Json& json, const char* key, const std::optional<Duration>& value) {
  if (value) json[key] = value->in_milliseconds();
}

std::optional<Duration> duration_at(const Json& json, const char* key) {
  if (!json.contains(key)) return std::nullopt;
  return Duration::milliseconds(whole_number<int64_t>(json, key));
}

void put(Json& json, const RestoreWords& words) {
  put(json, "point", words.point);
  put(json, "at", words.at);
  put(json, "lsn", words.lsn);
  put(json, "xid", words.xid);
  put(json, "timeline", words.timeline);
  put(json, "restore_point", words.restore_point);
  put(json, "restore_config", words.config);
  put(json, "restore_repository", words.repository);
  if (words.immediate) json["immediate"] = true;
  if (words.exclusive) json["exclusive"] = true;
  if (!words.unknown.empty()) json["unknown"] = words.unknown;
}

void take(const Json& json, RestoreWords& words) {
  const auto text = [&](const char* key) { return json.value(key, std::string()); };
  words.point = text("point");
  words.at = text("at");
  words.lsn = text("lsn");
  words.xid = text("xid");
  words.timeline = text("timeline");
  words.restore_point = text("restore_point");
  words.config = text("restore_config");
  words.repository = text("restore_repository");
  words.immediate = json.value("immediate", false);
  words.exclusive = json.value("exclusive", false);
  words.unknown = json.value("unknown", std::vector<std::string>());
}

Json json_of(const WantedPoint& wanted) {
  Json json = Json::object();
  put(json, wanted);
  if (!wanted.components.empty()) json["components"] = wanted.components;
  return json;
}

WantedPoint wanted_of(const Json& json) {
  WantedPoint wanted;
  take(json, wanted);
  wanted.components = json.value("components", std::vector<std::string>());
  return wanted;
}

Json json_of(const Step& step) {
  Json json = {{"id", step.id}, {"title", step.title}, {"kind", step_kind_name(step.kind)}, {"line", step.line}};
  put(json, "number", step.number);
  put(json, "language", step.language);
  put(json, "script", step.script);
  put(json, "prose", step.prose);
  put(json, "phase", step.phase);
  put(json, "window_end_ms", step.window_end);
  put(json, "expected_ms", step.expected);
  if (step.expected_is_rest) json["expected_is_rest"] = true;
  put(json, "timeout_ms", step.timeout);
  json["on_crash"] = on_crash_name(step.on_crash);
  json["retries"] = step.retries;
  json["optional"] = step.optional;
  put(json, "parallel", step.parallel);
  put(json, "approve", step.approve);
  put(json, "component", step.component);
  put(json, "workdir", step.workdir);
  put(json, "verify", step.verify);
  put(json, "when", step.when);
  put(json, "compensate", step.compensate);
  put(json, "target", step.target);
  put(json, "fence", step.fence);
  put(json, step);
  put(json, "restored_by", step.restored_by);
  for (const WantedPoint& wanted : step.also_restored_from) json["also_restored_from"].push_back(json_of(wanted));
  put(json, "skipped", step.skipped);
  if (step.other_option) json["other_option"] = true;
  if (!step.environment.empty()) json["environment"] = step.environment;
  if (!step.secrets.empty()) json["secrets"] = step.secrets;
  Json hazards = Json::array();
  for (const Hazard& hazard : step.hazards) hazards.push_back({{"kind", hazard.kind}, {"reason", hazard.reason}});
  json["hazards"] = std::move(hazards);
  return json;
}

Step step_of(const Json& json) {
  const auto text = [&](const char* key) { return json.value(key, std::string()); };
  Step step;
  step.id = json.at("id").get<std::string>();
  step.title = text("title");
  step.kind = enum_of<StepKind>(kKindNames, text("kind"));
  step.line = whole_number_or<uint32_t>(json, "line", 0u);
  step.number = text("number");
  step.language = text("language");
  step.script = text("script");
  step.prose = text("prose");
  step.phase = text("phase");
  step.window_end = duration_at(json, "window_end_ms");
  step.expected = duration_at(json, "expected_ms");
  step.expected_is_rest = json.value("expected_is_rest", false);
  step.timeout = duration_at(json, "timeout_ms");
  step.on_crash = enum_of<OnCrash>(kOnCrashNames, text("on_crash"));
  step.retries = whole_number_or<int>(json, "retries", 0);
  step.optional = json.value("optional", false);
  step.parallel = text("parallel");
  step.approve = text("approve");
  step.component = text("component");
  step.workdir = text("workdir");
  step.verify = text("verify");
  step.when = text("when");
  step.compensate = text("compensate");
  step.target = text("target");
  step.fence = text("fence");
  take(json, step);
  step.restored_by = text("restored_by");
  for (const Json& wanted : json.value("also_restored_from", Json::array()))
    step.also_restored_from.push_back(wanted_of(wanted));
  step.skipped = text("skipped");
  step.other_option = json.value("other_option", false);
  if (json.contains("environment")) step.environment = json.at("environment").get<std::map<std::string, std::string>>();
  if (json.contains("secrets")) step.secrets = json.at("secrets").get<std::vector<std::string>>();
  for (const Json& hazard : json.at("hazards")) {
    step.hazards.push_back({hazard.at("kind").get<std::string>(), hazard.at("reason").get<std::string>()});
  }
  return step;
}

void put(Json& json, const char* key, const std::optional<Objective>& objective) {
  if (!objective) return;
  json[key] = {{"text", objective->text}};
  put(json[key], "most_ms", objective->most);
}

std::optional<Objective> objective_at(const Json& json, const char* key) {
  if (!json.contains(key)) return std::nullopt;
  return Objective{duration_at(json.at(key), "most_ms"), json.at(key).at("text").get<std::string>()};
}

SharedBudget budget_of(const Json& json) {
  return {json.at("title").get<std::string>(), Duration::milliseconds(whole_number<int64_t>(json, "most_ms")),
          json.at("steps").get<std::vector<std::string>>()};
}

}  // namespace

std::string_view on_crash_name(OnCrash on_crash) { return kOnCrashNames[static_cast<size_t>(on_crash)]; }
std::string_view step_kind_name(StepKind kind) { return kKindNames[static_cast<size_t>(kind)]; }

std::string directory_of(const Step& step, const std::string& working_directory) {
  if (step.workdir.empty()) return working_directory;
  return step.workdir.starts_with('/') ? step.workdir : join_path(working_directory, step.workdir);
}

bool RestoreWords::instant_is_known() const {
  if (unknown.empty()) return true;
  const bool says_instant = !at.empty() || !lsn.empty() || !xid.empty() || !restore_point.empty();
  return says_instant && unknown == std::vector<std::string>{"--point"};
}

std::vector<WantedPoint> Step::wanted_points() const {
  std::vector<WantedPoint> wanted = {{*this, {}}};
  if (!component.empty()) wanted.front().components = {component};
  wanted.insert(wanted.end(), also_restored_from.begin(), also_restored_from.end());
  return wanted;
}

bool Step::has(std::string_view hazard) const {
  return std::any_of(hazards.begin(), hazards.end(), [&](const Hazard& one) { return one.kind == hazard; });
}

const Step* Plan::find(const std::string& id) const {
  const auto found = std::find_if(steps.begin(), steps.end(), [&](const Step& step) { return step.id == id; });
  return found == steps.end() ? nullptr : &*found;
}

Json Plan::to_json() const {
  Json json = {{"version", kVersion},
               {"document", document},
               {"document_sha256", document_sha256},
               {"procedure", procedure},
               {"title", title}};
  put(json, "rto", rto);
  put(json, "rpo", rpo);
  json["choices"] = choices;
  json["warnings"] = warnings;
  json["steps"] = Json::array();
  for (const Step& step : steps) json["steps"].push_back(json_of(step));
  for (const SharedBudget& each : budgets)
    json["budgets"].push_back({{"title", each.title}, {"most_ms", each.most.in_milliseconds()}, {"steps", each.steps}});
  return json;
}

Result<Plan> Plan::from_json(const Json& json) {
  try {
    if (whole_number<int>(json, "version") > kVersion) {
      return make_error(ErrorCode::kNewerFormat, "the run was planned by a newer holdfast");
    }
    Plan plan;
    plan.document = json.at("document").get<std::string>();
    plan.document_sha256 = json.at("document_sha256").get<std::string>();
    plan.procedure = json.at("procedure").get<std::string>();
    plan.title = json.at("title").get<std::string>();
    plan.choices = json.at("choices").get<std::map<std::string, std::string>>();
    plan.warnings = json.at("warnings").get<std::vector<std::string>>();
    plan.rto = objective_at(json, "rto");
    plan.rpo = objective_at(json, "rpo");
    for (const Json& step : json.at("steps")) plan.steps.push_back(step_of(step));
    for (const Json& each : json.value("budgets", Json::array())) plan.budgets.push_back(budget_of(each));
    if (std::any_of(plan.budgets.begin(), plan.budgets.end(), [](const auto& each) { return each.steps.empty(); }))
      return make_error(ErrorCode::kInvalidData, "not a plan: a budget of no step");
    return plan;
  } catch (const nlohmann::json::exception& exception) {
    return make_error(ErrorCode::kInvalidData, "not a plan: {}", exception.what());
  }
}

}  // namespace holdfast::engine
