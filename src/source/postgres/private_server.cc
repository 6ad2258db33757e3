#include "source/postgres/private_server.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <set>

#include "base/accounts.h"
#include "base/log.h"
#include "base/places.h"
#include "base/subprocess.h"
#include "base/tail.h"
#include "source/postgres/aside.h"
#include "source/postgres/materialise_plan.h"
#include "source/postgres/superuser.h"

namespace holdfast::postgres {
namespace {

constexpr const char* kPort = "5432";  // of the socket's name only: nothing listens on TCP
constexpr size_t kLongestSocketDirectory = 90;
constexpr size_t kLogTailBytes = 3000;

int major_of(const std::string& bin_directory) {
  CommandOptions command;
  command.argv = {join_path(bin_directory, "postgres"), "--version"};
  auto outcome = run_command_checked(command);
  if (!outcome.ok()) return 0;
  const size_t space = outcome.value().output.rfind("PostgreSQL) ");
  return space == std::string::npos ? 0 : std::atoi(outcome.value().output.c_str() + space + 12);
}

std::vector<std::string> candidate_directories(const std::string& preferred) {
  std::vector<std::string> found;
  if (const char* chosen = std::getenv("HOLDFAST_PG_BIN"); chosen && *chosen) found.emplace_back(chosen);
  if (!preferred.empty()) found.push_back(preferred);
  std::vector<std::pair<int, std::string>> installed;
  if (auto versions = real_file_system().list("/usr/lib/postgresql"); versions.ok()) {
    for (const DirectoryEntry& entry : versions.value()) {
      installed.emplace_back(std::atoi(entry.name.c_str()), "/usr/lib/postgresql/" + entry.name + "/bin");
    }
  }
  for (int major = 18; major >= 13; major--) installed.emplace_back(major, fmt::format("/usr/pgsql-{}/bin", major));
  std::stable_sort(installed.begin(), installed.end(), [](auto& a, auto& b) { return a.first > b.first; });
  for (auto& [major, directory] : installed) found.push_back(directory);
  const char* path = std::getenv("PATH");
  std::string_view rest = path ? path : "";
  while (!rest.empty()) {
    const size_t colon = rest.find(':');
    if (colon != 0) found.emplace_back(rest.substr(0, colon));
    rest = colon == std::string_view::npos ? std::string_view() : rest.substr(colon + 1);
  }
  return found;
}

bool is_executable(const std::string& path) { return access(path.c_str(), X_OK) == 0; }

}  // namespace

Result<std::string> find_bin_directory(int major, const std::string& preferred, bool should_be_there) {
  std::set<int> others;
  bool passed_over = false;
  for (const std::string& directory : candidate_directories(preferred)) {
    const bool complete =
        is_executable(join_path(directory, "postgres")) && is_executable(join_path(directory, "pg_ctl"));
    const int found = complete ? major_of(directory) : 0;
    if (complete && (major == 0 || found == major)) {
      if (passed_over && should_be_there)
        log_warn("postgres.programs.elsewhere", {{"bin_directory", preferred}, {"lacks", major}, {"used", directory}});
      return directory;
    }
    if (complete) others.insert(found);
    passed_over |= directory == preferred;
  }
  const std::string where = passed_over ? fmt::format("here, in bin_directory ({}) or elsewhere", preferred) : "here";
  if (major == 0) return make_error(ErrorCode::kNotFound, "there are no server programs of PostgreSQL {}", where);
  return make_error(ErrorCode::kMismatch, "it needs the server programs of PostgreSQL {}, and there are {} {}", major,
                    others.empty() ? "none" : fmt::format("those of {} alone", fmt::join(others, ", ")), where)
      .with_hint(
          fmt::format("install the package postgresql-{0} (Debian, Ubuntu) or postgresql{0}-server (Red Hat), or "
                      "name the directory of its programs: bin_directory in holdfast.yaml, or HOLDFAST_PG_BIN",
                      major));
}

Result<ServerUser> server_user(const std::string& path) {
  ServerUser user;
  if (geteuid() != 0) return user;
  struct stat status{};
  if (::stat(path.c_str(), &status) == 0 && status.st_uid != 0) {
    user.uid = status.st_uid;
    user.gid = status.st_gid;
    return user;
  }
  const auto account = find_account("postgres");
  if (!account) {
    return make_error(ErrorCode::kNotFound, "a PostgreSQL server can't run as root, and there is no user 'postgres'")
        .with_hint("run holdfast as the user that owns the data directory");
  }
  user.uid = account->uid;
  user.gid = account->gid;
  return user;
}

namespace {

Result<bool> gets_into(const ServerUser& user, const std::string& directory) {
  CommandOptions command;
  command.argv = {"/bin/sh", "-c", "cd \"$0\"", directory};
  command.working_directory = "/";
  command.uid = user.uid;
  command.gid = user.gid;
  return TRY(run_command(command)).exit_status == 0;
}

}  // namespace

Result<void> check_way_into(FileSystem& fs, const ServerUser& user, const std::string& scratch) {
  if (!user.uid) return {};
  std::string place = existing_part(fs, scratch);
  if (TRY(gets_into(user, place))) return {};
  while (place != "/" && !TRY(gets_into(user, parent_path(place)))) place = parent_path(place);
  return make_error(ErrorCode::kPermission, "the server will run as '{}', which can't get into {}",
                    account_label(*user.uid), place)
      .with_hint("let it through (chmod o+x on that directory), or name another with --scratch DIR");
}

PrivateServer::PrivateServer(Options options) : options_(std::move(options)) {
  connection_.data_directory = options_.data_directory;
}

PrivateServer::~PrivateServer() {
  if (running_) ignore(stop("immediate"), "nothing more can be done for a server that is thrown away");
}

Result<std::unique_ptr<PrivateServer>> PrivateServer::start(Options options) {
  if (options.socket_directory.size() > kLongestSocketDirectory) {
    return make_error(ErrorCode::kConfig, "{} is too long a path for a server's socket", options.socket_directory)
        .with_hint("set TMPDIR to a shorter path");
  }
  std::unique_ptr<PrivateServer> server(new PrivateServer(std::move(options)));
  server->role_ = TRY(login_superuser(real_file_system(), server->options_.data_directory));
  server->connection_.conninfo = aside_conninfo(server->options_.socket_directory, kPort, server->role_);
  const Options& given = server->options_;
  // A shell splits the value of pg_ctl's -o.
  std::string arguments =
      fmt::format("-k {} -p {} -c listen_addresses=''", shell_quoted(given.socket_directory), kPort);
  for (const auto& [name, value] : given.settings) arguments += " -c " + shell_quoted(name + "=" + value);
  CommandOptions command;
  command.argv = {join_path(given.bin_directory, "pg_ctl"),
                  "start",
                  "-w",
                  "-s",
                  "-t",
                  std::to_string(given.start_deadline.in_milliseconds() / 1000 + 1),
                  "-D",
                  given.data_directory,
                  "-l",
                  given.log_path,
                  "-o",
                  arguments};
  command.without = client_variables();
  command.with_secret_variables = !given.user.uid;  // then its restore_command is ours (booted_cluster.cc)
  command.uid = given.user.uid;
  command.gid = given.user.gid;
  command.working_directory = given.socket_directory;
  command.deadline = given.start_deadline + Duration::seconds(5);
  server->running_ = true;  // it may be half up when the command fails
  auto outcome = run_command_checked(command);
  if (!outcome.ok()) {
    return make_error(ErrorCode::kServer, "the server did not start on {}; its log ends with: {}", given.data_directory,
                      server->log_tail());
  }
  return server;
}

Result<void> PrivateServer::stop(const std::string& mode) {
  CommandOptions command;
  command.argv = {
      join_path(options_.bin_directory, "pg_ctl"), "stop", "-w", "-s", "-m", mode, "-D", options_.data_directory};
  command.uid = options_.user.uid;
  command.gid = options_.user.gid;
  command.working_directory = options_.socket_directory;
  running_ = false;
  TRY_CONTEXT(run_command_checked(command), "stopping the server on {}", options_.data_directory);
  return {};
}

Result<std::string> PrivateServer::run(std::vector<std::string> argv, Duration deadline) {
  CommandOptions command;
  const std::string own = join_path(options_.bin_directory, argv[0]);
  if (is_executable(own)) argv[0] = own;
  command.argv = std::move(argv);
  command.environment = {{"PGHOST", options_.socket_directory},
                         {"PGPORT", kPort},
                         {"PGUSER", role_},
                         {"PGDATABASE", "postgres"},
                         {"PGOPTIONS", kNoLibraries}};
  command.without = client_variables();
  command.uid = options_.user.uid;
  command.gid = options_.user.gid;
  command.working_directory = options_.socket_directory;
  command.deadline = deadline;
  return TRY(run_command_checked(command)).output;
}

bool PrivateServer::running() const { return !refuse_running(real_file_system(), options_.data_directory).ok(); }

std::string PrivateServer::log_tail() const {
  return tail_of_log(real_file_system(), options_.log_path, kLogTailBytes);
}

}  // namespace holdfast::postgres
