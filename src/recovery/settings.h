#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/filesystem.h"
#include "recovery/stack.h"

namespace holdfast::recovery {

// What the command line says above the file and the environment.
struct Overrides {
  std::optional<std::string> config;      // path of the file
  std::optional<std::string> repository;  // location
  std::optional<std::string> passphrase;  // secret reference
  std::optional<std::string> stack;       // name, where there is no file to say it
  std::optional<unsigned> threads;
  std::optional<int> compression_level;
};

// getenv(3), replaceable for tests. Null: not set.
using EnvironmentLookup = std::function<const char*(const char*)>;

// The file to read: --config, $HOLDFAST_CONFIG, ./holdfast.yaml,
// /etc/holdfast/holdfast.yaml; the first of the last two that exists, as far as this account may
// see it. An empty text when there is none, or an empty one is named.
Result<std::string> find_stack_file(FileSystem& fs, const Overrides& overrides, const EnvironmentLookup& environment);

// The stack's settings with this precedence: flag, HOLDFAST_* variable, the
// seeds' variables (DB_*, BACKUP_ENCRYPTION_KEY), file. Without a file, a
// location and a passphrase are enough for whatever needs no component.
Result<StackConfig> settle_stack(FileSystem& fs, const Overrides& overrides, const EnvironmentLookup& environment);

// A secret reference as it was given, of file: with the absolute path. kUsage names `from`, never
// the value: that may be the secret itself.
Result<std::string> as_secret_reference(const std::string& reference, const char* from);

// Connection string in which `keyword` has this value, whatever it had before.
// Takes both forms of libpq ("host=... port=..." and postgresql://...).
std::string with_connection_keyword(const std::string& connection, const std::string& keyword,
                                    const std::string& value);

}  // namespace holdfast::recovery
