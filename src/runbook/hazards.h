#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runbook/shell/invocation.h"
#include "runbook/step.h"

namespace holdfast::runbook {

// Of a script, with "$tmp" of "tmp=$(mktemp)" read as the name of a temporary file.
std::vector<shell::Invocation> invocations_of(const shell::Script& script);

struct Effect {
  HazardKind kind;
  std::string reason;  // "docker volume rm deletes a volume and what is in it"
};

// What a program does beyond looking: deletes, stops, promotes, waits for a person. Knows
// the usual tools of this field; a program that it does not know does nothing.
std::vector<Effect> effects_of(const shell::Invocation& invocation);
std::vector<Effect> effects_of_sql(const std::string& sql);
// Of "> FILE" with nothing that writes to it.
std::vector<Effect> effects_of_redirections(const shell::Command& command);

// A flag for whoever acts: not one that npm keeps to itself, nor "--dry-run=false".
bool asks_for(const shell::Invocation& invocation, std::string_view flag);
// Where cp, mv and rsync write; "" for other programs.
std::string copy_target(const shell::Invocation& invocation);
// "main.old", "data-backup": a copy beside the data.
bool is_aside(std::string_view path);

// The name says that the value is a secret: GITHUB_TOKEN, DB_PASSWORD, ENCRYPTION_KEY.
bool is_secret_name(const std::string& name);

// Fills Step::hazards from its commands, SQL and variables.
void find_hazards(Step& step);

}  // namespace holdfast::runbook
