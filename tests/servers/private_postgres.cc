#include "servers/private_postgres.h"

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>

#include "base/filesystem.h"
#include "base/process_stat.h"
#include "servers/scratch.h"
#include "servers/shared_memory.h"
#include "servers/wait.h"

namespace holdfast::servers {
namespace {

bool is_program(const std::string& path) { return access(path.c_str(), X_OK) == 0; }

// Processes whose parent is `parent`, from /proc.
std::vector<pid_t> children_of(pid_t parent) {
  std::vector<pid_t> children;
  const auto entries = real_file_system().list("/proc");
  if (!entries.ok()) return children;
  for (const DirectoryEntry& entry : entries.value()) {
    if (entry.name.find_first_not_of("0123456789") != std::string::npos) continue;
    const auto stat = process_stat(entry.name);
    if (stat && stat->parent == parent) children.push_back(static_cast<pid_t>(std::stol(entry.name)));
  }
  return children;
}

bool is_gone(pid_t pid) { return ::kill(pid, 0) != 0 && errno == ESRCH; }

void redirect_output(const std::string& log) {
  const int in = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  dup2(in, 0);
  dup2(out, 1);
  dup2(out, 2);
}

void become_server_user() {
  const ServerUser user = server_user();
  if (!user.uid) return;
  if (setgroups(0, nullptr) != 0 || setgid(*user.gid) != 0 || setuid(*user.uid) != 0) _exit(126);
}

}  // namespace

std::optional<std::string> find_postgres(int major) {
  const std::string debian = fmt::format("/usr/lib/postgresql/{}/bin", major);
  if (is_program(debian + "/postgres")) return debian;
  const std::string fetched = fmt::format("{}/.cache/pg/{}", HOLDFAST_SOURCE_DIR, major);
  if (is_program(fetched + "/bin/postgres")) return reachable(fetched) + "/bin";
  return std::nullopt;
}

std::string client_directory() {
  for (int major = 18; major >= 13; major--) {
    const std::string directory = fmt::format("/usr/lib/postgresql/{}/bin", major);
    if (is_program(directory + "/psql")) return directory;
  }
  return "/usr/bin";
}

std::vector<int> postgres_majors() {
  std::vector<int> majors;
  for (int major = 13; major <= 18; major++) {
    if (find_postgres(major)) majors.push_back(major);
  }
  return majors;
}

PrivatePostgres::PrivatePostgres(std::string data_directory, PostgresOptions options, std::string bin_directory)
    : data_directory_(std::move(data_directory)),
      socket_directory_(data_directory_ + ".s"),
      options_(std::move(options)),
      bin_directory_(std::move(bin_directory)) {}

Result<std::unique_ptr<PrivatePostgres>> PrivatePostgres::adopt(const std::string& data_directory,
                                                                const PostgresOptions& options) {
  const auto bin = find_postgres(options.major);
  if (!bin) {
    return make_error(ErrorCode::kNotFound, "there is no PostgreSQL {} server", options.major)
        .with_hint("scripts/servers fetches it");
  }
  std::unique_ptr<PrivatePostgres> server(new PrivatePostgres(data_directory, options, *bin));
  if (!TRY(exists(real_file_system(), server->socket_directory_))) {
    TRY(make_server_directory(server->socket_directory_));
  }
  return server;
}

Result<std::unique_ptr<PrivatePostgres>> PrivatePostgres::create(const std::string& data_directory,
                                                                 const PostgresOptions& options) {
  auto server = TRY(adopt(data_directory, options));
  std::vector<std::string> argv = {server->bin_directory_ + "/initdb",
                                   "-D",
                                   data_directory,
                                   "-U",
                                   "postgres",
                                   "-A",
                                   "trust",
                                   "-E",
                                   "UTF8",
                                   "--locale=C",
                                   "-N",
                                   fmt::format("--wal-segsize={}", options.wal_segment_mib)};
  if (options.checksums) argv.push_back("--data-checksums");
  if (!options.checksums && options.major >= 18) argv.push_back("--no-data-checksums");
  TRY_CONTEXT(run_command_checked(as_server_user(argv)), "initdb of PostgreSQL {}", options.major);
  return server;
}

PrivatePostgres::~PrivatePostgres() {
  if (running()) kill();
}

std::vector<std::string> PrivatePostgres::command_line() const {
  std::map<std::string, std::string> settings = {{"listen_addresses", ""},
                                                 {"unix_socket_directories", socket_directory_},
                                                 {"port", "5432"},
                                                 {"fsync", "off"},
                                                 {"shared_buffers", "32MB"},
                                                 {"max_connections", "40"},
                                                 {"wal_level", "replica"},
                                                 {"max_wal_senders", "10"},
                                                 {"hot_standby", "on"},
                                                 {"logging_collector", "off"},
                                                 {"autovacuum_naptime", "5s"},
                                                 {"log_line_prefix", "%m [%p] "}};
  for (const auto& [name, value] : options_.settings) settings[name] = value;
  std::vector<std::string> argv = {bin_directory_ + "/postgres", "-D", data_directory_};
  for (const auto& [name, value] : settings) {
    argv.push_back("-c");
    argv.push_back(name + "=" + value);
  }
  return argv;
}

Result<void> PrivatePostgres::spawn() {
  const std::vector<std::string> words = command_line();
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const std::string log = log_path();
  const pid_t pid = fork();
  if (pid < 0) return Error::from_errno(errno, "fork");
  if (pid == 0) {
    setsid();
    become_server_user();
    prctl(PR_SET_PDEATHSIG, SIGQUIT);  // no server outlives its test
    redirect_output(log);
    setenv("LC_ALL", "C.UTF-8", 1);
    if (chdir("/") != 0) _exit(126);
    execv(argv[0], argv.data());
    _exit(127);
  }
  pid_ = pid;
  return {};
}

Result<void> PrivatePostgres::start(Duration deadline) {
  CHECK_MSG(pid_ == -1, "the server runs already");
  TRY(spawn());
  bool ended = false;
  const bool ready = wait_until(
      [&] {
        ended = reap();
        return ended || connect("postgres", Duration::seconds(5)).ok();
      },
      deadline);
  if (ended || !ready) {
    if (!ended) kill();
    return make_error(ErrorCode::kServer, "PostgreSQL {} on {} {}: {}", options_.major, data_directory_,
                      ended ? "ended" : "is not ready in time", log_tail());
  }
  return {};
}

Result<void> PrivatePostgres::start_and_promote(Duration deadline) {
  TRY(start(deadline));
  bool ended = false;
  const bool promoted = wait_until(
      [&] {
        ended = reap();
        if (ended) return true;
        auto answer = value("select pg_is_in_recovery()");
        return answer.ok() && answer.value() == "f";
      },
      deadline);
  if (ended || !promoted) {
    return make_error(ErrorCode::kServer, "PostgreSQL on {} {}: {}", data_directory_,
                      ended ? "ended" : "is still in recovery", log_tail());
  }
  return {};
}

bool PrivatePostgres::reap() {
  if (pid_ == -1) return true;
  if (waitpid(pid_, nullptr, WNOHANG) != pid_) return false;
  pid_ = -1;
  return true;
}

bool PrivatePostgres::running() { return !reap(); }

bool PrivatePostgres::wait_until_ended(Duration deadline) {
  return wait_until([&] { return reap(); }, deadline);
}

Result<void> PrivatePostgres::stop_with(int signal) {
  if (reap()) return {};
  ::kill(pid_, signal);
  if (wait_until_ended(Duration::seconds(300))) return {};
  kill();
  return make_error(ErrorCode::kTimeout, "PostgreSQL on {} did not stop: {}", data_directory_, log_tail());
}

Result<void> PrivatePostgres::stop() { return stop_with(SIGINT); }
Result<void> PrivatePostgres::stop_at_once() { return stop_with(SIGQUIT); }

void PrivatePostgres::kill() {
  if (pid_ == -1) return;
  const pid_t postmaster = pid_;
  ::kill(postmaster, SIGSTOP);  // it must not start others while its children are counted
  const std::vector<pid_t> children = children_of(postmaster);
  std::vector<pid_t> all = children;
  all.push_back(postmaster);
  const SharedMemory shared = SharedMemory::of(all);
  ::kill(postmaster, SIGKILL);
  for (const pid_t child : children) ::kill(child, SIGKILL);
  waitpid(postmaster, nullptr, 0);
  pid_ = -1;
  for (const pid_t child : children) {
    wait_until([&] { return is_gone(child); }, Duration::seconds(10));
  }
  shared.free();
}

std::string PrivatePostgres::conninfo(const std::string& database) const {
  return fmt::format("host={} port=5432 user=postgres dbname={}", socket_directory_, database);
}

Result<std::unique_ptr<postgres::ServerSession>> PrivatePostgres::connect(const std::string& database,
                                                                          Duration deadline) const {
  postgres::SessionOptions options;
  options.application_name = "test";
  options.deadline = deadline;
  return postgres::ServerSession::connect({conninfo(database), Secret(), {}}, options);
}

Result<std::string> PrivatePostgres::value(const std::string& sql, const std::string& database) const {
  return TRY(connect(database))->value(sql);
}

Result<void> PrivatePostgres::exec(const std::string& sql, const std::string& database) const {
  auto session = TRY(connect(database));
  TRY(session->exec(sql));
  return {};
}

// What pg_amcheck does with indexes, for PostgreSQL 13, whose amcheck knows no more.
Result<std::string> PrivatePostgres::check_indexes() {
  auto catalogue = TRY(connect());
  auto databases = TRY(catalogue->exec("select datname from pg_catalog.pg_database where datallowconn"));
  for (size_t row = 0; row < databases.size(); row++) {
    auto session = TRY(connect(std::string(databases.at(row, 0))));
    TRY(session->exec("create extension if not exists amcheck schema pg_catalog"));
    auto checked = session->exec(
        "select bt_index_check(c.oid, true) from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = "
        "i.indexrelid "
        "join pg_catalog.pg_am a on a.oid = c.relam where a.amname = 'btree' and i.indisvalid and c.relpersistence <> "
        "'t'");
    if (!checked.ok()) return checked.error().text();
  }
  return std::string();
}

Result<std::string> PrivatePostgres::amcheck() {
  if (options_.major < 14) return check_indexes();
  const auto outcome = TRY(
      run_command(as_server_user({client_directory() + "/pg_amcheck", "-h", socket_directory_, "-p", "5432", "-U",
                                  "postgres", "--all", "--install-missing", "--heapallindexed", "--no-strict-names"},
                                 Duration::seconds(300))));
  std::string said = outcome.output + outcome.error_output;
  if (outcome.exit_status != 0) return fmt::format("pg_amcheck ended with {}: {}", outcome.exit_status, said);
  return TRY(
      value("select coalesce(string_agg(indexrelid::regclass::text, ' '), '') "
            "from pg_catalog.pg_index where not indisvalid"));
}

std::string PrivatePostgres::log_tail(size_t bytes) const {
  std::ifstream file(log_path());
  std::string text((std::istreambuf_iterator<char>(file)), {});
  return text.size() > bytes ? text.substr(text.size() - bytes) : text;
}

}  // namespace holdfast::servers
