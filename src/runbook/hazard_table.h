#pragma once

#include <span>
#include <string_view>

#include "runbook/step.h"

namespace holdfast::runbook {

// One row of what is known of programs: one that has these operands and one of these flags
// does that. A program may have several rows.
struct KnownEffect {
  std::string_view program;
  std::string_view operands;  // the first ones, separated by blanks; behind "* " they may stand anywhere
  std::string_view flags;     // separated by blanks, one is enough; "" : none needed
  HazardKind kind;
  std::string_view reason;
};

// Lives as long as the program. What takes more than words to tell is in hazards.cc.
std::span<const KnownEffect> known_effects();

}  // namespace holdfast::runbook
