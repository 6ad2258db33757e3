#include "source/postgres/drilled_cluster.h"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <functional>

#include "base/places.h"
#include "base/tail.h"
#include "source/postgres/aside.h"
#include "source/postgres/materialise.h"
#include "source/postgres/server_checks.h"
#include "source/postgres/superuser.h"

namespace holdfast::postgres {

using source::Check;

namespace {

constexpr const char* kPort = "5432";  // of the socket's name only: nothing listens on TCP
constexpr size_t kLongestSocketDirectory = 90;
constexpr size_t kLogTailBytes = 3000;
constexpr Duration kStopDeadline = Duration::seconds(300);

constexpr const char* kNewestTransaction =
    "select to_char(pg_last_xact_replay_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";

// Calls `take` with each line, without its line feed.
void for_each_line(std::string_view text, const std::function<void(std::string_view)>& take) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    take(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

std::string_view trimmed(std::string_view line) {
  while (!line.empty() && line.front() == ' ') line.remove_prefix(1);
  while (!line.empty() && (line.back() == ' ' || line.back() == '\r')) line.remove_suffix(1);
  return line;
}

// A check that could not be made has not passed. What ends the drill is an error still.
Result<Check> settled(std::string name, Result<Check> made) {
  if (made.ok()) return made;
  const ErrorCode code = made.error().code();
  if (code == ErrorCode::kInterrupted || code == ErrorCode::kTimeout) return made;
  Check check(name);
  check.add(std::move(name), made.error().text());
  check.words = "could not be made";
  return check;
}

// What the server needs of an installation that does not lie where the system's programs do.
// Neither the whole of it nor what else its directory holds: that may be somebody's home.
std::vector<std::string> server_programs(FileSystem& fs, const std::string& bin_directory) {
  const std::string prefix = parent_path(bin_directory);
  const std::string share = join_path(prefix, "share");
  std::vector<std::string> needed = {join_path(bin_directory, "postgres"), join_path(prefix, "lib"),
                                     join_path(prefix, "lib64"), join_path(share, "postgresql")};
  const auto own = exists(fs, join_path(share, "postgresql.conf.sample"));
  if (own.ok() && *own) needed.push_back(share);
  return needed;
}

}  // namespace

void take_amcheck_output(std::string_view output, Check& check) {
  std::string object;
  for_each_line(output, [&](std::string_view line) {
    const std::string_view words = trimmed(line);
    if (words.empty()) return;
    if (line.front() != ' ' && words.ends_with(':')) {
      object = words.substr(0, words.size() - 1);
    } else {
      check.add(object.empty() ? "pg_amcheck" : object, std::string(words));
    }
  });
}

void take_checksums_output(std::string_view output, Check& check) {
  for_each_line(output, [&](std::string_view line) {
    constexpr std::string_view kFailure = "checksum verification failed in file \"";
    const size_t at = line.find(kFailure);
    if (at == std::string_view::npos) return;
    const std::string_view rest = line.substr(at + kFailure.size());
    const size_t quote = std::min(rest.find('"'), rest.size());
    check.add(std::string(rest.substr(0, quote)),
              "checksum verification failed" + std::string(rest.substr(std::min(quote + 1, rest.size()))));
  });
}

DrilledCluster::DrilledCluster(const source::World& world, repo::Repository& repository, const repo::Snapshot& snapshot,
                               const ResolvedTarget& target, const DrillOptions& options, SnapshotSource source)
    : world_(world),
      repository_(repository),
      snapshot_(snapshot),
      target_(target),
      options_(options),
      source_(std::move(source)) {
  connection_.data_directory = path("data");
}

Result<std::unique_ptr<DrilledCluster>> DrilledCluster::create(const source::World& world, repo::Repository& repository,
                                                               const repo::Snapshot& snapshot,
                                                               const ResolvedTarget& target,
                                                               const DrillOptions& options) {
  SnapshotSource source = TRY(snapshot_source(snapshot));
  std::unique_ptr<DrilledCluster> cluster(
      new DrilledCluster(world, repository, snapshot, target, options, std::move(source)));
  if (cluster->path("s").size() > kLongestSocketDirectory) {
    return make_error(ErrorCode::kConfig, "{} is too long a path for a server's socket", cluster->path("s"))
        .with_hint("choose a shorter one with --scratch DIR");
  }
  const std::string found = TRY(find_bin_directory(cluster->source_.major, options.bin_directory));
  // Where the program lies, and not a link to it: it looks for its files from there.
  cluster->bin_directory_ = parent_path(resolved_path(join_path(found, "postgres")));
  return cluster;
}

Result<void> DrilledCluster::make_directories_for_server() {
  for (const char* name : {"s", "spaces"}) {
    TRY(world_.fs.make_directory(path(name), 0700));
    if (options_.user.uid && ::chown(path(name).c_str(), *options_.user.uid, *options_.user.gid) != 0)
      return Error::from_errno(errno, path(name));
  }
  return {};
}

Result<void> DrilledCluster::restore() {
  TRY(make_directories_for_server());
  MaterialiseOptions options;
  options.to = path("data");
  options.restore_command = TRY(stage_wal(world_.fs, repository_, snapshot_, target_, path("wal")));
  options.action = AfterRecovery::kPromote;
  options.archiving_off = true;
  options.uid = options_.user.uid;
  options.gid = options_.user.gid;
  for (const SnapshotTablespace& space : source_.tablespaces)
    options.tablespaces[space.oid] = join_path(path("spaces"), space.oid);
  auto report = materialise(world_, repository_, snapshot_, target_, options);
  if (!report.ok()) return with_scratch_hint(std::move(report).error());
  restored_bytes_ = report->bytes;
  return {};
}

IsolationOptions DrilledCluster::server_command() const {
  IsolationOptions command;
  command.argv = {join_path(bin_directory_, "postgres"),
                  "-D",
                  path("data"),
                  "-k",
                  path("s"),
                  "-p",
                  kPort,
                  "-c",
                  "listen_addresses="};
  auto settings = settings_aside(source_.major, path("data"), options_.directory);
  // A recovery is timed as it would be.
  std::erase_if(settings, [](const auto& setting) { return setting.first == "fsync"; });
  for (const auto& [name, value] : settings) {
    command.argv.emplace_back("-c");
    command.argv.push_back(name + "=" + value);
  }
  command.environment = {{"PATH", bin_directory_ + ":/usr/local/bin:/usr/bin:/bin"}, {"LANG", "C"}, {"PWD", "/"}};
  if (const char* libraries = std::getenv("LD_LIBRARY_PATH"))
    command.environment.emplace_back("LD_LIBRARY_PATH", libraries);
  command.directory = options_.directory;
  command.programs = server_programs(world_.fs, bin_directory_);
  command.working_directory = path("s");
  command.log_path = path("log");
  command.uid = options_.user.uid;
  command.gid = options_.user.gid;
  return command;
}

Result<void> DrilledCluster::boot() {
  until_ = world_.clock.monotonic() + options_.deadline;
  TRY(write_access_files(world_.fs, options_.directory));
  role_ = TRY(login_superuser(world_.fs, path("data")));
  connection_.conninfo = aside_conninfo(path("s"), kPort, role_);
  server_ = TRY(IsolatedProcess::start(world_.fs, server_command()));
  TRY(options_.on_server(server_->pid()));
  const RecoveringServer recovering{connection_, [this] { return server_->running(); }, [this] { return log_tail(); }};
  TRY(wait_for_end_of_recovery(world_, recovering, target_, until_, "the drill"));
  return learn_of_server();
}

Result<void> DrilledCluster::learn_of_server() {
  auto session = TRY(ServerSession::connect(connection_));
  server_version_ = session->parameter("server_version");
  const Rows newest = TRY(session->exec(kNewestTransaction));
  if (newest.size() == 1 && !newest.is_null(0, 0))
    newest_transaction_ = TRY(parse_time(newest.at(0, 0), world_.clock.now()));
  const Rows disabled =
      TRY(session->exec("update pg_subscription set subenabled = false where subenabled returning subname"));
  subscriptions_disabled_ = disabled.size();
  return {};
}

CommandOptions DrilledCluster::tool(std::vector<std::string> argv) const {
  CommandOptions command;
  command.argv = std::move(argv);
  command.argv[0] = join_path(bin_directory_, command.argv[0]);
  command.environment = {{"PGHOST", path("s")},      {"PGPORT", kPort}, {"PGUSER", role_},
                         {"PGDATABASE", "postgres"}, {"LC_ALL", "C"},   {"PGOPTIONS", kNoLibraries}};
  command.without = client_variables();
  command.uid = options_.user.uid;
  command.gid = options_.user.gid;
  command.working_directory = path("s");
  command.deadline = std::max(left(), Duration::seconds(1));
  command.stop = &world_.progress.stop;
  return command;
}

// Why a program can't be run; "" when it can.
std::string DrilledCluster::why_not(const std::string& program) const {
  const std::string path = join_path(bin_directory_, program);
  if (::access(path.c_str(), X_OK) == 0) return "";
  if (errno == ENOENT) return program + " is not installed";
  return Error::from_errno(errno, "can't run " + path).message();
}

Result<Check> DrilledCluster::amcheck() {
  if (source_.major < kFirstMajorWithAmcheck)
    return Check::skipped("amcheck", fmt::format("PostgreSQL {} has no pg_amcheck", source_.major));
  const std::vector<std::string> argv = amcheck_command(world_.threads);
  if (const std::string problem = why_not(argv[0]); !problem.empty()) return Check::skipped("amcheck", problem);
  const CommandOutcome outcome = TRY(run_command(tool(argv)));
  Check check("amcheck");
  check.words = "pg_amcheck of all tables and B-tree indexes, each row against them";
  take_amcheck_output(outcome.output, check);
  if (outcome.exit_status != 0 && check.findings_total == 0)
    check.add("pg_amcheck", fmt::format("ended with status {}: {}", outcome.exit_status, outcome.error_output));
  return check;
}

Result<Check> DrilledCluster::page_checksums() {
  if (!source_.checksums) return Check::skipped("page checksums", "the cluster has none");
  TRY(stop());
  if (const std::string problem = why_not("pg_checksums"); !problem.empty())
    return Check::skipped("page checksums", problem);
  const CommandOutcome outcome = TRY(run_command(tool({"pg_checksums", "--check", "-D", path("data")})));
  Check check("page checksums");
  check.words = "pg_checksums of all pages";
  take_checksums_output(outcome.error_output, check);
  if (outcome.exit_status != 0 && check.findings_total == 0)
    check.add("pg_checksums", fmt::format("ended with status {}: {}", outcome.exit_status, outcome.error_output));
  return check;
}

Result<void> DrilledCluster::verify(std::vector<Check>& made) {
  ServerChecks checks(connection_, [this] { return left(); }, world_.progress.stop);
  world_.progress.phase = "comparing row counts";
  made.push_back(target_.as_captured
                     ? checks.row_counts(source_)
                     : Check::skipped("row counts", "rows may have come and gone since they were counted at capture"));
  made.push_back(TRY(settled("relation files", checks.relation_files())));
  world_.progress.phase = "checking tables and indexes";
  made.push_back(TRY(settled("amcheck", amcheck())));
  made.push_back(TRY(settled("indexes", checks.indexes())));
  world_.progress.phase = "proving constraints";
  made.push_back(TRY(settled("constraints", checks.constraints())));
  world_.progress.phase = "running assertions";
  if (options_.assertions.empty())
    made.push_back(Check::skipped("assertions", "the stack has none"));
  else
    made.push_back(TRY(settled("assertions", checks.assertions(options_.assertions))));
  world_.progress.phase = "checking page checksums";
  made.push_back(TRY(settled("page checksums", page_checksums())));
  return {};
}

Result<void> DrilledCluster::stop() {
  if (!server_) return {};
  auto ended = server_->end(SIGINT, kStopDeadline, world_.clock);
  server_.reset();
  return std::move(ended).context("stopping the server");
}

std::string DrilledCluster::log_tail() const { return tail_of_log(world_.fs, path("log"), kLogTailBytes); }

}  // namespace holdfast::postgres
