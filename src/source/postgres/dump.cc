#include "source/postgres/dump.h"

#include <unistd.h>

#include <thread>

#include "base/filesystem.h"
#include "base/percent.h"
#include "base/subprocess.h"
#include "source/postgres/private_server.h"

namespace holdfast::postgres {
namespace {

constexpr Duration kStopPoll = Duration::milliseconds(100);

std::string jobs_word(const DumpProgram& program) {
  return fmt::format("--jobs={}", std::max<size_t>(program.jobs, 1));
}

// Runs the program on a thread of its own, so that a wish to stop is seen meanwhile. The
// program then ends by itself: its server is gone for it.
Result<void> run(const DumpProgram& program, const Connection& connection, std::vector<std::string> argv,
                 const std::function<void()>& end) {
  CommandOptions command;
  command.argv = std::move(argv);
  command.deadline = program.deadline;
  command.output_limit_bytes = 1 << 20;
  if (!connection.data_directory.empty()) command.without = client_variables();
  if (!connection.password.empty())
    command.environment = {{"PGPASSWORD", std::string(as_text(connection.password.reveal()))}};
  Result<CommandOutcome> outcome = make_error(ErrorCode::kInternal, "the program was not run");
  std::atomic<bool> ended = false;
  bool stopped = false;
  {
    std::jthread runner([&] {
      outcome = run_command_checked(command);
      ended = true;
    });
    while (!ended) {
      if (program.stop != nullptr && *program.stop && !stopped) {
        stopped = true;
        end();
      }
      system_clock().sleep(kStopPoll);
    }
  }
  if (stopped) return make_error(ErrorCode::kInterrupted, "{} was stopped", base_name(command.argv[0]));
  TRY(std::move(outcome));
  return {};
}

}  // namespace

std::string conninfo_with(const std::string& conninfo, const std::string& keyword, const std::string& value) {
  // libpq takes the last of several values of one keyword, in both forms.
  if (conninfo.find("://") != std::string::npos) {
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
  auto found = find_bin_directory(major, preferred);
  if (!found.ok() && !preferred.empty()) found = find_bin_directory(major);
  const std::string directory = TRY(std::move(found));
  for (const char* name : {"pg_dump", "pg_restore"}) {
    if (::access(join_path(directory, name).c_str(), X_OK) == 0) continue;
    return make_error(ErrorCode::kNotFound, "there is no {} in {}", name, directory)
        .with_hint(fmt::format("install the package postgresql-client-{}", major));
  }
  return directory;
}

Result<void> dump_database(const DumpProgram& program, const Connection& connection, const std::string& database,
                           const std::string& schemas, const std::string& directory, const std::function<void()>& end) {
  std::vector<std::string> argv = {join_path(program.bin_directory, "pg_dump"),
                                   "--format=directory",
                                   "--compress=0",
                                   "--no-password",
                                   "--no-sync",
                                   "--no-subscriptions",
                                   jobs_word(program),
                                   "--file=" + directory,
                                   "--dbname=" + conninfo_with(connection.conninfo, "dbname", database)};
  if (!schemas.empty()) argv.push_back("--schema=" + schemas + "*");
  return run(program, connection, std::move(argv), end);
}

Result<void> load_dump(const DumpProgram& program, const Connection& connection, const std::string& directory,
                       const LoadOptions& options, const std::function<void()>& end) {
  const std::string place = conninfo_with(connection.conninfo, "application_name", options.application_name);
  std::vector<std::string> argv = {join_path(program.bin_directory, "pg_restore"), "--exit-on-error", "--no-password",
                                   jobs_word(program), "--dbname=" + conninfo_with(place, "dbname", options.database)};
  if (options.create) argv.emplace_back("--create");
  if (!options.tablespaces) argv.emplace_back("--no-tablespaces");
  argv.push_back(directory);
  return run(program, connection, std::move(argv), end);
}

}  // namespace holdfast::postgres
