#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "recovery/restore.h"

namespace CLI {
class App;
}

namespace holdfast::cli {

class Context;

// The part of `restore` that puts one database, or tables of one, into a running server.
struct OneDatabaseOptions {
  std::string database, target_database, target_table, server, scratch;
  std::optional<std::string> deadline;
  std::vector<std::string> tables;
  bool replace = false, end_sessions = false, create_roles = false;
};
void add_one_database_options(CLI::App* command, OneDatabaseOptions& options);

// kUsage for options that make no sense together, or without --database.
Result<void> check_one_database(const CLI::App& command, const OneDatabaseOptions& options);

// `request`: the instant and the component. `validate_only`: proves that instant and
// server are right; `dry_run`: boots the instant, too, and looks. `at`: the instant as it was given.
Result<void> run_one_database(Context& context, const OneDatabaseOptions& options,
                              const recovery::RestoreRequest& request, bool validate_only, bool dry_run,
                              const std::optional<std::string>& at);

}  // namespace holdfast::cli
