#include "source/postgres/dump.h"

#include <unistd.h>

#include "base/filesystem.h"
#include "base/percent.h"
#include "base/subprocess.h"
#include "source/postgres/aside.h"
#include "source/postgres/private_server.h"

namespace holdfast::postgres {
namespace {

std::string jobs_word(const DumpProgram& program) {
  return fmt::format("--jobs={}", std::max<size_t>(program.jobs, 1));
}

Result<void> run(const DumpProgram& program, const Connection& connection, std::vector<std::string> argv) {
  CommandOptions command;
  command.argv = std::move(argv);
  command.deadline = program.deadline;
  command.output_limit_bytes = 1 << 20;
  command.stop = program.stop;
  if (!connection.data_directory.empty()) {
    command.without = client_variables();
    command.environment = {{"PGOPTIONS", kNoLibraries}};
  }
  if (!connection.password.empty())
    command.environment.emplace_back("PGPASSWORD", std::string(as_text(connection.password.reveal())));
  TRY(run_command_checked(command));
  return {};
}

}  // namespace

std::string conninfo_with(const std::string& conninfo, const std::string& keyword, const std::string& value) {
  // libpq takes the last of several values of one keyword, in both forms.
  if (conninfo.starts_with("postgresql://") || conninfo.starts_with("postgres://")) {
    const char joint = conninfo.find('?') == std::string::npos ? '?' : '&';
    return fmt::format("{}{}{}={}", conninfo, joint, keyword, percent_encoded(value));
  }
  std::string quoted;
  for (const char c : value) {
    if (c == '\'' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return fmt::format("{}{}{}='{}'", conninfo, conninfo.empty() ? "" : " ", keyword, quoted);
}

Result<std::string> find_dump_programs(int major, const std::string& preferred) {
  // That directory is for the cluster's major version, which the live server's need not be.
  const std::string directory = TRY(find_bin_directory(major, preferred, false));
  for (const char* name : {"pg_dump", "pg_restore"}) {
    if (::access(join_path(directory, name).c_str(), X_OK) == 0) continue;
    return make_error(ErrorCode::kNotFound, "there is no {} in {}", name, directory)
        .with_hint(fmt::format("install the package postgresql-client-{}", major));
  }
  return directory;
}

Result<void> dump_database(const DumpProgram& program, const Connection& connection, const std::string& database,
                           const std::string& schemas, const std::string& directory) {
  std::vector<std::string> argv = {join_path(program.bin_directory, "pg_dump"),
                                   "--format=directory",
                                   "--compress=0",
                                   "--no-password",
                                   "--no-sync",
                                   "--no-subscriptions",
                                   jobs_word(program),
                                   "--file=" + directory,
                                   "--dbname=" + conninfo_with(connection.conninfo, "dbname", database)};
  if (!schemas.empty()) {
    argv.push_back("--schema=" + schemas + "*");
    // Else the tables would join the publications that they were in.
    argv.emplace_back("--no-publications");
  }
  return run(program, connection, std::move(argv));
}

Result<void> load_dump(const DumpProgram& program, const Connection& connection, const std::string& directory,
                       const LoadOptions& options) {
  const std::string place = conninfo_with(connection.conninfo, "application_name", options.application_name);
  std::vector<std::string> argv = {join_path(program.bin_directory, "pg_restore"), "--exit-on-error", "--no-password",
                                   jobs_word(program), "--dbname=" + conninfo_with(place, "dbname", options.database)};
  if (options.create) argv.emplace_back("--create");
  if (!options.tablespaces) argv.emplace_back("--no-tablespaces");
  argv.push_back(directory);
  return run(program, connection, std::move(argv));
}

}  // namespace holdfast::postgres
