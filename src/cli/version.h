#pragma once

namespace holdfast::cli {

constexpr const char* kVersion = "0.1.0";

}  // namespace holdfast::cli
