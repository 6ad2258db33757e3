#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/percent.h"
#include "runbook/document_json.h"
#include "runbook/lint/lint.h"

// Findings as text, as JSON, and as SARIF 2.1.0.

namespace holdfast::runbook::lint {

using Json = nlohmann::ordered_json;

namespace {

// A document need not be UTF-8; JSON is.
std::string dump(const Json& json) { return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"; }

std::string counted(size_t count, const char* noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

Json region_of(const Document& document, SourceRange range) {
  Json region;
  region["startLine"] = std::max<uint32_t>(1, range.begin.line);
  region["startColumn"] = code_point_column(document, range.begin);
  if (range.begin < range.end) {
    region["endLine"] = range.end.line;
    region["endColumn"] = code_point_column(document, range.end);
  }
  return region;
}

Json sarif_rule(const RuleInfo& rule) {
  Json json;
  json["id"] = rule.id;
  json["shortDescription"]["text"] = rule.title;
  json["fullDescription"]["text"] = rule.why;
  json["help"]["text"] = rule.advice;
  json["defaultConfiguration"]["level"] = name_of(rule.severity);
  return json;
}

// A path as a URI reference (RFC 3986): one from the root gets its scheme.
std::string uri_of(std::string_view path) {
  return (path.starts_with('/') ? "file://" : "") + percent_encoded(path, "/");
}

Json sarif_result(const Document& document, const Finding& finding, bool suppressed) {
  Json json;
  json["ruleId"] = finding.rule->id;
  json["ruleIndex"] = finding.rule - rules().data();
  json["level"] = name_of(finding.rule->severity);
  json["message"]["text"] = finding.message;
  Json location;
  location["physicalLocation"]["artifactLocation"]["uri"] = uri_of(document.path);
  location["physicalLocation"]["region"] = region_of(document, finding.range);
  json["locations"] = Json::array({location});
  if (suppressed) json["suppressions"] = Json::array({Json{{"kind", "inSource"}}});
  return json;
}

}  // namespace

std::string text_report(const Document& document, const LintResult& result) {
  std::string text;
  for (const Finding& finding : result.findings) {
    text += fmt::format("{}:{}:{}: {}: {} [{}]\n", document.path, finding.range.begin.line,
                        code_point_column(document, finding.range.begin), name_of(finding.rule->severity),
                        finding.message, finding.rule->id);
    text += fmt::format("    why: {}\n    do:  {}\n", finding.rule->why, finding.rule->advice);
  }
  text +=
      fmt::format("{}: {}, {}, {}", document.path, counted(result.count(Severity::kError), "error"),
                  counted(result.count(Severity::kWarning), "warning"), counted(result.count(Severity::kNote), "note"));
  if (!result.suppressed.empty()) text += fmt::format("; {} ignored with a reason", result.suppressed.size());
  return text + "\n";
}

Json json_report(const Document& document, const LintResult& result) {
  const auto list = [&](const std::vector<Finding>& findings) {
    Json array = Json::array();
    for (const Finding& finding : findings)
      array.push_back({{"rule", finding.rule->id},
                       {"severity", name_of(finding.rule->severity)},
                       {"message", finding.message},
                       {"why", finding.rule->why},
                       {"advice", finding.rule->advice},
                       {"at", json_of_range(document, finding.range)}});
    return array;
  };
  Json json;
  json["path"] = document.path;
  json["errors"] = result.count(Severity::kError);
  json["warnings"] = result.count(Severity::kWarning);
  json["notes"] = result.count(Severity::kNote);
  json["findings"] = list(result.findings);
  json["ignored"] = list(result.suppressed);
  return json;
}

std::string sarif_report(const std::vector<Reviewed>& reviews, const std::string& version) {
  Json driver;
  driver["name"] = "holdfast";
  driver["version"] = version;
  driver["rules"] = Json::array();
  for (const RuleInfo& rule : rules()) driver["rules"].push_back(sarif_rule(rule));
  Json run;
  run["tool"]["driver"] = std::move(driver);
  run["columnKind"] = "unicodeCodePoints";
  run["results"] = Json::array();
  for (const auto& [document, result] : reviews) {
    for (const Finding& finding : result.findings) run["results"].push_back(sarif_result(document, finding, false));
    for (const Finding& finding : result.suppressed) run["results"].push_back(sarif_result(document, finding, true));
  }
  Json sarif;
  sarif["$schema"] = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";
  sarif["version"] = "2.1.0";
  sarif["runs"] = Json::array({run});
  return dump(sarif);
}

}  // namespace holdfast::runbook::lint
