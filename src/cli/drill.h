#pragma once

#include <string>

namespace holdfast::cli {

class Program;

void add_drill(Program& program);

// Where drills in progress are known, and what this machine has seen of evidence
// (recovery/drill_registry.h).
std::string drill_registry();

}  // namespace holdfast::cli
