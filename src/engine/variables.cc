#include "engine/variables.h"

#include <algorithm>
#include <cctype>

namespace holdfast::engine {
namespace {

bool is_name(std::string_view text) {
  const auto fits = [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return std::isalnum(byte) != 0 || c == '_' || c == '-' || c == '.' || c == ' ';
  };
  return !text.empty() && std::all_of(text.begin(), text.end(), fits);
}

}  // namespace

bool is_secret_reference(const std::string& value) {
  return value.starts_with("env:") || value.starts_with("file:") || value.starts_with("exec:");
}

Result<void> set_variable(Variables& variables, const std::string& assignment) {
  const size_t equals = assignment.find('=');
  const std::string name = assignment.substr(0, equals);
  if (equals == std::string::npos || !is_name(name)) {
    return make_error(ErrorCode::kUsage, "--set takes NAME=VALUE")
        .with_hint("for a secret: NAME=env:VARIABLE, NAME=file:PATH or NAME=exec:COMMAND");
  }
  const std::string value = assignment.substr(equals + 1);
  variables.plain.erase(name);
  variables.secret.erase(name);
  (is_secret_reference(value) ? variables.secret : variables.plain)[name] = value;
  return {};
}

Result<void> settle_secrets(Variables& variables, const runbook::Plan& plan,
                            const std::vector<std::pair<std::string, std::string>>& environment) {
  for (const runbook::Input& input : plan.inputs) {
    if (variables.secret.contains(input.name) && input.kind == runbook::Input::Kind::kPlaceholder) {
      return make_error(ErrorCode::kRefused, "the placeholder {} would put a secret into the text of a script",
                        input.text)
          .with_hint("let the document use a variable there: \"$" + input.name + "\"");
    }
    if (!input.secret || input.kind != runbook::Input::Kind::kVariable) continue;
    if (variables.plain.contains(input.name)) {
      return make_error(ErrorCode::kRefused, "{} is a secret: its value may not stand on the command line", input.name)
          .with_hint(fmt::format("--set {0}=env:{0}, or file:PATH, or exec:COMMAND", input.name));
    }
    const bool inherited = std::any_of(environment.begin(), environment.end(),
                                       [&](const auto& entry) { return entry.first == input.name; });
    if (inherited && !variables.has(input.name)) variables.secret[input.name] = "env:" + input.name;
  }
  return {};
}

void take_document_values(Variables& variables, const runbook::Plan& plan) {
  for (const runbook::Input& input : plan.inputs) {
    const bool said = input.kind == runbook::Input::Kind::kVariable && input.known && !input.value.empty();
    if (said && !variables.has(input.name)) variables.plain[input.name] = input.value;
  }
}

Result<std::vector<NamedSecret>> resolve_secrets(const Variables& variables) {
  std::vector<NamedSecret> secrets;
  for (const auto& [name, reference] : variables.secret) {
    secrets.push_back({name, TRY_CONTEXT(resolve_secret(reference), "variable {}", name)});
    if (secrets.back().value.empty()) return make_error(ErrorCode::kUsage, "variable {}: {} is empty", name, reference);
  }
  return secrets;
}

}  // namespace holdfast::engine
