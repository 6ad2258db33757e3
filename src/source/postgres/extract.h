#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "repo/point.h"
#include "repo/repository.h"
#include "source/postgres/connection.h"
#include "source/postgres/extract_source.h"
#include "source/postgres/target.h"
#include "source/source.h"

namespace holdfast::postgres {

// One database, or tables of one, from an instant into a running server. What is
// promised, and the order of steps: docs/one-database.md.
struct ExtractOptions {
  std::string database;             // at the instant
  std::vector<std::string> tables;  // as SQL names them; empty: the database
  std::string target_database;      // its new name; of tables: where they go
  std::string target_table;         // new name of the only table; "" : in place of the old
  bool replace = false;             // what is there is renamed and kept
  bool end_sessions = false;        // with a database to be replaced
  bool create_roles = false;
  bool look_only = false;         // boots the instant and looks; the live server is not written to
  std::string bin_directory;      // of the cluster's major; "" : looked for
  std::string scratch_directory;  // "" : $TMPDIR or /tmp
  std::string restore_command;
  Duration deadline = Duration::hours(24);  // for all of it; what is begun by then is taken back
};

struct ExtractReport {
  std::string what;    // "database shop", "table public.orders"
  std::string result;  // what it is called now (or would be)
  uint64_t bytes = 0;  // on disk, at the instant
  uint64_t rows_checked = 0, objects_checked = 0;
  std::vector<std::string> roles_made;  // or (look_only) that would be
  std::vector<std::string> swept;       // of dead runs
  std::vector<std::string> kept;        // what was there, as SQL writes its names
  std::vector<std::string> notes;
  struct Phase {
    std::string name;  // "boot", "dump", "load", "check", "place"
    Duration took;
  };
  std::vector<Phase> phases;
};

// Whether the live server would take it, without the instant: names, version, rights.
// Writes nothing. kAlreadyExists, kNotFound, kRefused, kMismatch, kPermission, kUnavailable.
Result<void> check_extract(source::World& world, const repo::Snapshot& snapshot, const Connection& live,
                           const ExtractOptions& options, Random& random);

// All of it. After an error the live server is as it was, except for what could not be
// dropped because it was away: that is logged, and the next extraction drops it.
Result<ExtractReport> extract(source::World& world, repo::Repository& repository, const repo::Snapshot& snapshot,
                              const ResolvedTarget& target, const Connection& live, const ExtractOptions& options,
                              Random& random);

}  // namespace holdfast::postgres
