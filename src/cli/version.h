#pragma once

#include "recovery/program_version.h"

namespace holdfast::cli {

constexpr const char* kVersion = recovery::kProgramVersion;

}  // namespace holdfast::cli
