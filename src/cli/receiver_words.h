#pragma once

#include <string>

#include "cli/context.h"

namespace holdfast::cli {

// Why the receiver of a component has nothing to receive: a line of its words, at once, and an
// event where nobody sees these beside the log.
struct Trouble {
  std::string component, kind;
  std::string text;
};
void tell_trouble(Context& context, const std::string& time, const Trouble& trouble);

}  // namespace holdfast::cli
