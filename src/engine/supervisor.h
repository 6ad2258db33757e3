#pragma once

#include <string>

namespace holdfast::engine {

// Owns one attempt of a step, in a process that ForkServer made. Standard input is the
// socket to the engine (docs/engine.md, "How an attempt is started"). Returns the exit
// status of this process; how the step ended stands in DIRECTORY/status.
int supervise(const std::string& directory);

}  // namespace holdfast::engine
