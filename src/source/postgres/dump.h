#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "source/postgres/connection.h"

namespace holdfast::postgres {

// pg_dump and pg_restore of one major version, run as programs. A password is given in
// their environment, never in argv. kSubprocess carries the end of what they said.
struct DumpProgram {
  std::string bin_directory;  // has pg_dump and pg_restore of the right major
  size_t jobs = 2;
  Duration deadline = Duration::hours(24);
  // While a program runs this is looked at; once set, the program is ended, and the result
  // is kInterrupted.
  const std::atomic<bool>* stop = nullptr;
};

// Directory with pg_dump and pg_restore of this major, looked for where
// find_bin_directory() looks. kMismatch when there are none.
Result<std::string> find_dump_programs(int major, const std::string& preferred);

// Writes a database to `directory`, which must not exist: a dump in PostgreSQL's directory
// format, uncompressed. `schemas`: only what is in those whose (plain) names begin so, and
// no publications; "" : all.
Result<void> dump_database(const DumpProgram& program, const Connection& connection, const std::string& database,
                           const std::string& schemas, const std::string& directory);

struct LoadOptions {
  std::string database;          // to be connected to; with `create`, any other one
  std::string application_name;  // by which the server tells whose sessions these are
  bool create = false;           // make the database of the dump, with all that belongs to it
  bool tablespaces = true;       // false: everything goes to the default tablespace
};
// Loads a dump; ends at the first error.
Result<void> load_dump(const DumpProgram& program, const Connection& connection, const std::string& directory,
                       const LoadOptions& options);

// A connection string in which `keyword` has this value, whatever it had before; both
// forms of libpq.
std::string conninfo_with(const std::string& conninfo, const std::string& keyword, const std::string& value);

}  // namespace holdfast::postgres
