#include "cli/drill_report.h"

#include "base/time.h"
#include "base/units.h"
#include "cli/present.h"
#include "cli/terminal.h"

namespace holdfast::cli {

namespace {

using nlohmann::json;

// Evidence is read as it was stored, perhaps by another version: what is not there is empty.
const json& at(const json& object, const char* key) {
  static const json kNothing;
  const auto found = object.find(key);
  return found == object.end() ? kNothing : *found;
}

std::string text(const json& object, const char* key) {
  const json& value = at(object, key);
  if (value.is_string()) return printable(one_line(value.get<std::string>()));
  return value.is_null() ? "-" : value.dump();
}

std::string seconds_text(const json& value) {
  if (!value.is_number()) return "-";
  return duration_text(Duration::from_seconds(value.get<double>()));
}

std::string size_text(const json& value) {
  return value.is_number_unsigned() ? format_bytes(value.get<uint64_t>()) : "-";
}

std::string met(const json& target, const json& actual) {
  if (!target.is_number() || !actual.is_number()) return "-";
  return actual.get<double>() <= target.get<double>() ? "met" : "MISSED";
}

void add_summary(engine::ReportDocument& report, const json& body) {
  const json& asked = at(body, "asked");
  std::vector<std::vector<std::string>> rows = {
      {"Result", text(body, "result")},
      {"Drill", text(body, "id")},
      {"Stack", text(body, "stack")},
      {"Began", text(body, "began")},
      {"Ended", text(body, "ended")},
      {"Run by", text(body, "who") + " on " + text(body, "host")},
      {"holdfast", text(body, "version")},
      {"Asked for", text(asked, "how") + (at(asked, "instant").is_null() ? "" : ", " + text(asked, "instant")) +
                        (at(asked, "point").is_null() ? "" : ", point " + text(asked, "point"))}};
  if (at(asked, "window").is_object())
    rows.push_back({"Drawn between", text(at(asked, "window"), "from") + " and " + text(at(asked, "window"), "until")});
  rows.push_back({"Everything removed", at(body, "destroyed") == true ? "yes" : "NO"});
  if (at(body, "problem") != "") rows.push_back({"Problem", text(body, "problem")});
  report.table({"", ""}, std::move(rows));
}

void add_objectives(engine::ReportDocument& report, const json& body) {
  report.heading(2, "Objectives and actuals");
  const bool recovered = has_recovered(body);
  static const json kUnknown;
  std::vector<std::vector<std::string>> rows;
  for (const json& component : at(body, "components")) {
    const json& objectives = at(component, "objectives");
    const json &rto = at(objectives, "rto_seconds"),
               &recovery = recovered ? at(objectives, "recovery_seconds") : kUnknown;
    const json &rpo = at(objectives, "rpo_seconds"), &loss = at(objectives, "loss_seconds");
    rows.push_back({text(component, "component"), "time to recover (RTO)", seconds_text(rto), seconds_text(recovery),
                    met(rto, recovery)});
    rows.push_back({text(component, "component"), "loss (RPO)", seconds_text(rpo), seconds_text(loss), met(rpo, loss)});
  }
  rows.push_back(
      {"all", "time to recover", "-", seconds_text(recovered ? at(body, "recovery_seconds") : kUnknown), "-"});
  report.table({"Component", "Objective", "Target", "Actual", ""}, std::move(rows));
}

void add_phases(engine::ReportDocument& report, const json& body) {
  report.heading(2, "Phases");
  std::vector<std::vector<std::string>> rows;
  for (const json& phase : at(body, "phases")) {
    std::vector<std::string> row = {text(phase, "phase"), seconds_text(at(phase, "seconds"))};
    std::string parts;
    for (const json& component : at(body, "components")) {
      const json& took = at(at(component, "seconds"), text(phase, "phase").c_str());
      if (took.is_number())
        parts += fmt::format("{}{} {}", parts.empty() ? "" : ", ", text(component, "component"), seconds_text(took));
    }
    row.push_back(parts);
    rows.push_back(std::move(row));
  }
  report.table({"Phase", "Took", "Of it"}, std::move(rows));
}

void add_component(engine::ReportDocument& report, const json& component) {
  report.heading(2, "Component " + text(component, "component"));
  std::vector<std::vector<std::string>> rows = {
      {"Kind", text(component, "kind")},
      {"Point", text(component, "point") + " of " + text(component, "point_time")},
      {"Recovered to", text(component, "instant")},
      {"How", text(component, "description")},
      {"Restored", size_text(at(component, "restored_bytes"))}};
  if (!at(component, "server_version").is_null()) rows.push_back({"Server", text(component, "server_version")});
  if (!at(component, "newest_transaction").is_null())
    rows.push_back({"Newest transaction", text(component, "newest_transaction")});
  if (const json& isolation = at(component, "isolation"); isolation.is_object()) {
    rows.push_back({"Isolation", text(isolation, "level") + "; network: " + text(isolation, "network") + "; as " +
                                     text(isolation, "account")});
    if (at(isolation, "why_not_more") != "") rows.push_back({"Why not more", text(isolation, "why_not_more")});
  }
  report.table({"", ""}, std::move(rows));
  rows.clear();
  for (const json& check : at(component, "checks"))
    rows.push_back({text(check, "check"), text(check, "outcome"), text(check, "words")});
  report.table({"Check", "Outcome", "What"}, std::move(rows));
  std::vector<std::string> findings;
  for (const json& check : at(component, "checks")) {
    for (const json& finding : at(check, "findings"))
      findings.push_back(text(check, "check") + ": " + text(finding, "object") + ": " + text(finding, "problem"));
  }
  report.list(std::move(findings));
}

}  // namespace

bool has_recovered(const json& body) {
  if (at(body, "result") == "passed") return true;
  bool late = false;
  for (const json& component : at(body, "components")) {
    for (const json& check : at(component, "checks")) {
      if (at(check, "outcome") != "failed") continue;
      if (at(check, "check") != "rto" && at(check, "check") != "rpo") return false;
      late = true;
    }
  }
  return late;
}

engine::ReportDocument report_of(const recovery::Evidence& evidence, const recovery::EvidenceChain& chain) {
  const json& body = evidence.body;
  engine::ReportDocument report(
      fmt::format("Drill of {}, {}: {}", text(body, "stack"), text(body, "began"), text(body, "result")));
  add_summary(report, body);
  add_objectives(report, body);
  add_phases(report, body);
  for (const json& component : at(body, "components")) add_component(report, component);
  report.heading(2, "Evidence");
  report.table({"", ""},
               {{"Record", std::to_string(evidence.sequence)},
                {"SHA-256 of this record", evidence.digest},
                {"SHA-256 of the one before", text(body, "previous")},
                {"SHA-256 of the newest", chain.digest()},
                {"Chain", chain.problems.empty() ? "holds, " + counted(chain.records.size(), "record") : "BROKEN"}});
  report.list(chain.problems);
  return report;
}

}  // namespace holdfast::cli
