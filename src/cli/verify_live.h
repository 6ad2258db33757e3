#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "recovery/live_verify.h"

namespace CLI {
class App;
}

namespace holdfast::cli {

class Context;

// The part of `verify` that looks at a database that lives.
struct VerifyLiveOptions {
  recovery::LiveVerifyRequest request;
  std::optional<std::string> recent;
};
void add_verify_live_options(CLI::App* command, VerifyLiveOptions& options);

// kUsage for options that make no sense together, or without --database.
Result<void> check_verify_live(const CLI::App& command);

Result<void> run_verify_live(Context& context, const VerifyLiveOptions& options);

}  // namespace holdfast::cli
