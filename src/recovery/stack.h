#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "repo/collect.h"
#include "source/postgres/verify.h"

namespace holdfast::recovery {

// What one holdfast.yaml describes. docs/configuration.md is its reference.

// A program that a backup runs before or after it captures, such as one that makes an
// application hold still. No shell reads it.
struct BackupCommand {
  std::vector<std::string> argv;  // argv[0] is looked up in PATH
  Duration timeout = Duration::seconds(60);
};
struct BackupCommands {
  std::vector<BackupCommand> before, after;
};

// What becomes of a point when one of its components can't be captured.
enum class WhenAComponentFails { kCommitNothing, kCommitDegraded };

struct PostgresConfig {
  std::string connection;       // libpq string, no password in it
  std::string password;         // secret reference or ""
  std::string data_directory;   // "" : as the server says
  std::string method = "auto";  // auto | files | protocol
  std::string bin_directory;    // "" : looked for
  std::string slot;             // of `wal receive`; set to holdfast_<component> when not given
  bool synchronous = false;     // `wal receive` acknowledges flushes as a synchronous standby
  std::vector<postgres::Assertion> assertions;
};

struct RedisConfig {
  std::string connection = "redis://127.0.0.1:6379";  // as redis::parse_connection() reads it
  std::string user;                                   // of the ACL; "": as the address says
  std::string password;                               // secret reference or ""
  bool tls = false;                                   // also where the address does not say so
  std::string tls_ca, tls_cert, tls_key;              // files; "": the system's, none
  std::string data_directory;                         // where a restore puts it; "": must be said
  std::string bin_directory;                          // of redis-server, for restores; "": looked for
};

struct FilesConfig {
  std::vector<std::string> paths;
  std::vector<std::string> excludes;
  bool one_file_system = false;
};

struct ComponentConfig {
  std::string name;
  std::string kind;  // "postgres" | "redis" | "files"
  std::optional<Duration> rto, rpo;
  std::string priority;
  std::vector<std::string> after;  // components that a backup captures before this one
  BackupCommands commands;         // around the capture of this component
  PostgresConfig postgres;
  RedisConfig redis;
  FilesConfig files;
};

struct StackConfig {
  std::string path;  // of the file it came from, absolute; "" when there is none
  std::string stack;
  std::string repository;         // location
  std::string passphrase;         // secret reference
  bool repository_given = false;  // by a flag or a variable, whatever the file says
  bool passphrase_given = false;  // by a flag
  std::string file_passphrase;    // the file's, whatever flags and variables say; "" without a file
  int compression_level = 3;
  unsigned threads = 0;  // 0: as many as cores
  std::vector<ComponentConfig> components;
  unsigned parallel = 2;    // components that a backup captures at once, at most
  BackupCommands commands;  // around the capture of all
  WhenAComponentFails when_a_component_fails = WhenAComponentFails::kCommitNothing;
  repo::RetentionPolicy retention;
  Duration collection_grace = Duration::hours(24);

  // Null when the stack has no component of that name.
  const ComponentConfig* find(const std::string& component) const;
  std::vector<std::string> component_names() const;
  // The directory that the repository is; "" when its location is of another kind.
  std::string repository_directory() const;
  // `threads`, or the number of cores where that is 0.
  size_t effective_threads() const;
};

// Every error names file, line and key: "holdfast.yaml:12: unknown key 'pasphrase'
// in repository (did you mean 'passphrase'?)". Relative paths in the file are
// relative to its directory and come out absolute.
Result<StackConfig> load_stack(const std::string& path);
Result<StackConfig> parse_stack(const std::string& text, const std::string& path);

// The nearest of `known` to a mistyped word; "" when none is near.
std::string nearest_word(const std::string& word, const std::vector<std::string>& known);

}  // namespace holdfast::recovery
