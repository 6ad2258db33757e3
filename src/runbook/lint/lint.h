#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "runbook/lint/rule.h"

namespace holdfast::runbook::lint {

// What the stack's configuration adds to what a document says.
struct StackFacts {
  struct Component {
    std::string name, kind;
    std::optional<Duration> rto, rpo;
    bool continuous = false;  // its log is followed: loss is bounded by seconds
  };
  std::vector<Component> components;
};

struct LintResult {
  std::vector<Finding> findings;    // in the order of the document
  std::vector<Finding> suppressed;  // what a comment with a reason silences
  size_t count(Severity severity) const;
};

// Applies every rule. Pure; takes time linear in the document but for a few rules that
// compare commands of one document with each other.
LintResult lint(const Document& document, const StackFacts* stack);

std::string text_report(const Document& document, const LintResult& result);
nlohmann::ordered_json json_report(const Document& document, const LintResult& result);
// SARIF 2.1.0, for code scanning: one run over all the documents.
struct Reviewed {
  Document document;
  LintResult result;
};
std::string sarif_report(const std::vector<Reviewed>& reviews, const std::string& version);

}  // namespace holdfast::runbook::lint
