#pragma once

#include <string>

#include "runbook/model.h"

namespace holdfast::runbook {

// A document as a tree of lines, for people: what was understood, with line numbers, and
// at the end what was not.
std::string outline_text(const Document& document);

}  // namespace holdfast::runbook
