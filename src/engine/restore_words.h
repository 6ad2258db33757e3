#pragma once

#include <map>
#include <string>
#include <vector>

#include "engine/plan.h"
#include "engine/proofs.h"

namespace holdfast::engine {

// Gives each step that destroys the words of the restore that brings back what it destroys: its
// own, or that of a later step. `variables` are the plain values that steps have in their
// environment; a value that is still the shell's alone is listed as unknown.
void find_points(std::vector<Step>& steps, const std::map<std::string, std::string>& variables);

// The stack whose recovery points a run proves: absolute; "" when there is none.
struct StackInUse {
  std::string config, repository;
  std::string working_directory;                 // of the run's steps
  std::map<std::string, std::string> variables;  // the plain values that steps have in their environment
};
// "--config other.yaml": another stack that one of the restores behind a step that destroys names; "" when all
// name this one, or nobody but the shell knows which.
std::string other_stack(const Plan& plan, const Step& step, const StackInUse& stack);

// What the steps of a plan restore from, each once, in their order.
std::vector<WantedPoint> restores_of(const Plan& plan, const std::map<std::string, std::string>& variables);

// Of each step that restores, and each of its restores, the components that it is of; none: all of
// the stack.
std::map<std::string, std::vector<std::vector<std::string>>> restored_by_step(
    const Plan& plan, const std::map<std::string, std::string>& variables);

}  // namespace holdfast::engine
