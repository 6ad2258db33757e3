#pragma once

#include <string>
#include <vector>

#include "runbook/shell/invocation.h"
#include "runbook/step.h"

namespace holdfast::runbook {

struct Effect {
  HazardKind kind;
  std::string reason;  // "docker volume rm deletes a volume and what is in it"
};

// What a program does beyond looking: deletes, stops, promotes, waits for a person. Knows
// the usual tools of this field; a program that it does not know does nothing.
std::vector<Effect> effects_of(const shell::Invocation& invocation);
std::vector<Effect> effects_of_sql(const std::string& sql);

// The name says that the value is a secret: GITHUB_TOKEN, DB_PASSWORD, ENCRYPTION_KEY.
bool is_secret_name(const std::string& name);

// Fills Step::hazards from its commands, SQL and variables.
void find_hazards(Step& step);

// The SQL that an invocation of psql, mysql and the like carries in an argument.
std::string sql_of(const shell::Invocation& invocation);
// Opens a prompt for a person: psql without a command, redis-cli without one, a shell.
bool opens_prompt(const shell::Invocation& invocation);

}  // namespace holdfast::runbook
