#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "engine/redactor.h"
#include "runbook/plan.h"

namespace holdfast::engine {

// The values that a run needs: plain ones as they are, secret ones as references
// (env:NAME, file:PATH, exec:COMMAND). Only this much is ever written down.
struct Variables {
  std::map<std::string, std::string> plain;
  std::map<std::string, std::string> secret;  // name -> reference

  bool has(const std::string& name) const { return plain.contains(name) || secret.contains(name); }
};

// "NAME=VALUE" as given by --set. A value that is a reference makes the variable secret.
// kUsage for what is no assignment.
Result<void> set_variable(Variables& variables, const std::string& assignment);

using Environment = std::vector<std::pair<std::string, std::string>>;

// Takes over what the environment has of a plan's secret inputs, as env: references, and
// refuses a plain value for one: it would stand in the list of processes and in the journal.
// A secret can't be put into the place of a placeholder: it would stand in the script.
Result<void> settle_secrets(Variables& variables, const runbook::Plan& plan, const Environment& environment);

// What the environment says of a plan's other variables, for the journal: which names,
// and of their values a salted digest. {"salt": ..., "values": {NAME: digest, or null when not set}}.
Json inherited_values(const runbook::Plan& plan, const Variables& variables, const Environment& environment,
                      Random& random);
// kRefused names the first variable that is not what it was when the run began.
Result<void> check_inherited(const Json& inherited, const Environment& environment);

// Values in the environment whose names say that they are secret, and that are long
// enough to be told from other text; and passwords in URLs (postgres://app:PASSWORD@db/shop).
std::vector<NamedSecret> secrets_in(const Environment& environment);

// Takes over what the document itself says of variables that nobody else sets.
void take_document_values(Variables& variables, const runbook::Plan& plan);

// The values behind the references. Errors name the variable and the reference.
Result<std::vector<NamedSecret>> resolve_secrets(const Variables& variables);

}  // namespace holdfast::engine
