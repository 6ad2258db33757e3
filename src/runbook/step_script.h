#pragma once

#include <map>
#include <string>

#include "runbook/step.h"

namespace holdfast::runbook {

// The text that a shell runs for a step: its pieces, those of other alternatives left out, and
// the input of programs as here-documents. `alternatives[group]` is the one chosen (from 1);
// a group without an entry contributes nothing.
std::string step_script(const Step& step, const std::map<int, int>& alternatives);

// `text` with each placeholder and no variable replaced; variables reach a step by its environment.
std::string fill_placeholders(const Step& step, std::string text, const std::map<std::string, std::string>& values);

// The same for a command of an annotation.
std::string fill_command(std::string command, const std::map<std::string, std::string>& values);

}  // namespace holdfast::runbook
