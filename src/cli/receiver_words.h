#pragma once

#include <string>

#include "cli/context.h"

namespace holdfast::cli {

// Why a receiver has nothing to receive: a line of its words, or the event in the log where it
// is to say nothing.
void tell_trouble(Context& context, const std::string& time, const std::string& trouble);

}  // namespace holdfast::cli
