#pragma once

#include <string>

namespace holdfast::engine {

// `holdfast __supervise DIR`: owns one attempt of a step. Standard input is the
// socket to the engine that started it (docs/engine.md, "How an attempt is
// started"). Returns the exit status of this process; how the step ended stands
// in DIR/status.
int supervise(const std::string& directory);

}  // namespace holdfast::engine
