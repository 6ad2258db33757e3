#include "source/redis/private_server.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include "base/filesystem.h"
#include "base/log.h"
#include "base/secret_variables.h"
#include "base/subprocess.h"
#include "base/tail.h"

namespace holdfast::redis {
namespace {

constexpr const char* kProgram = "redis-server";
constexpr const char* kSocket = "redis.sock";
constexpr const char* kLog = "server.log";
constexpr size_t kLogTailBytes = 1500;
constexpr const char* kHowToHaveOne =
    "install the package redis-server (Debian, Ubuntu) or redis (Red Hat), or name its directory: bin_directory in "
    "holdfast.yaml, or HOLDFAST_REDIS_BIN";
constexpr int kOldestMajor = 7;  // PEXPIRETIME, an AOF in parts, counts of errors by kind
constexpr Duration kPoll = Duration::milliseconds(20);
constexpr Duration kUnbounded = Duration::hours(24 * 365);  // a server that has ended closes its connections

bool is_program(const std::string& path) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) && ::access(path.c_str(), X_OK) == 0;
}

std::string look_in_path() {
  const char* path = std::getenv("PATH");
  std::string_view rest = path != nullptr ? path : "";
  while (!rest.empty()) {
    const size_t colon = std::min(rest.find(':'), rest.size());
    const std::string candidate = join_path(rest.substr(0, colon), kProgram);
    if (colon > 0 && is_program(candidate)) return candidate;
    rest.remove_prefix(std::min(colon + 1, rest.size()));
  }
  return "";
}

// What each Redis loads: docs/redis.md.
int newest_rdb_of(int major, int minor) {
  if (major < 7) return 9;
  if (major > 7 || minor >= 4) return 12;
  return minor >= 2 ? 11 : 10;
}

// "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=..."
Result<ServerProgram> ask_version(const std::string& path) {
  CommandOptions command;
  command.argv = {path, "--version"};
  const std::string output = TRY(run_command_checked(command)).output;
  const size_t at = output.find("v=");
  ServerProgram program;
  program.path = path;
  int minor = 0;
  if (at == std::string::npos || std::sscanf(output.c_str() + at, "v=%d.%d", &program.major, &minor) != 2)
    return make_error(ErrorCode::kUnsupported, "{} does not say which version it is", path);
  program.version = output.substr(at + 2, output.find(' ', at) - at - 2);
  program.newest_rdb_version = newest_rdb_of(program.major, minor);
  return program;
}

Result<ServerProgram> check_version(ServerProgram program, const RdbSummary& rdb) {
  if (program.major >= kOldestMajor && program.newest_rdb_version >= rdb.version) return program;
  return make_error(ErrorCode::kMismatch, "{} is version {}, and RDB version {} wants {} or later", program.path,
                    program.version, rdb.version, rdb.version > newest_rdb_of(kOldestMajor, 0) ? "7.2" : "7.0")
      .with_hint("name the directory of a newer one: bin_directory in holdfast.yaml, or HOLDFAST_REDIS_BIN");
}

// In the child: nothing here may allocate.
[[noreturn]] void become_server(char* const* argv, char* const* environment, int directory, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);  // it died before the line above
  ::setsid();
  const int nothing = ::open("/dev/null", O_RDWR);
  for (int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(nothing, fd);
  if (::fchdir(directory) != 0) ::_exit(127);
  ::close_range(STDERR_FILENO + 1, ~0u, 0);
  plain_signals();
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::umask(077);
  ::execve(argv[0], argv, environment);
  ::_exit(127);
}

}  // namespace

namespace {

// Where to look, in order; of those after the first only when that has not what is needed.
std::vector<std::string> candidate_programs(const std::string& preferred) {
  const char* chosen = std::getenv("HOLDFAST_REDIS_BIN");
  if (chosen != nullptr && *chosen != '\0') return {join_path(chosen, kProgram)};
  std::vector<std::string> found;
  if (!preferred.empty()) found.push_back(join_path(preferred, kProgram));
  if (std::string path = look_in_path(); !path.empty()) found.push_back(std::move(path));
  return found;
}

Result<ServerProgram> find_program(const std::string& preferred, const RdbSummary* rdb) {
  std::optional<Error> first;
  for (const std::string& path : candidate_programs(preferred)) {
    auto program = is_program(path)
                       ? ask_version(path)
                       : make_error(ErrorCode::kNotFound, "there is no {} in {}", kProgram, parent_path(path))
                             .with_hint(kHowToHaveOne);
    if (program.ok() && rdb != nullptr) program = check_version(std::move(program).value(), *rdb);
    if (program.ok()) {
      if (first) log_warn("redis.programs.elsewhere", {{"problem", first->message()}, {"used", path}});
      return program;
    }
    if (!first) first = std::move(program).error();
  }
  if (first) return std::move(*first);
  return make_error(ErrorCode::kNotFound, "there is no {} in PATH", kProgram).with_hint(kHowToHaveOne);
}

}  // namespace

Result<ServerProgram> find_server_program(const std::string& preferred) { return find_program(preferred, nullptr); }

Result<ServerProgram> find_program_for(const RdbSummary& rdb, const std::string& preferred) {
  ServerProgram program = TRY(find_program(preferred, &rdb));
  if (rdb.modules.empty()) return program;
  return make_error(ErrorCode::kMismatch, "it holds data of the {} {}, which a private {} does not load",
                    rdb.modules.size() == 1 ? "module" : "modules", fmt::join(rdb.modules, ", "), kProgram);
}

std::vector<std::string> values_of_any_size() {
  constexpr const char* kNoLimit = "1099511627776";  // bytes
  return {"--proto-max-bulk-len", kNoLimit, "--client-query-buffer-limit", kNoLimit};
}

Result<std::unique_ptr<PrivateServer>> PrivateServer::start(source::World& world, Options options) {
  std::unique_ptr<PrivateServer> server(new PrivateServer(world, std::move(options)));
  TRY(server->spawn());
  TRY(server->await_loaded());
  return server;
}

PrivateServer::~PrivateServer() {
  stop();
  if (directory_ >= 0) ::close(directory_);
}

Result<void> PrivateServer::spawn() {
  directory_ = ::open(options_.directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (directory_ < 0) return Error::from_errno(errno, options_.directory);
  // All paths are relative to the directory that it is started in.
  std::vector<std::string> words = {options_.program.path,
                                    "--port",
                                    "0",
                                    "--unixsocket",
                                    kSocket,
                                    "--unixsocketperm",
                                    "700",
                                    "--dir",
                                    ".",
                                    "--logfile",
                                    kLog,
                                    "--dbfilename",
                                    "dump.rdb",
                                    "--save",
                                    "",
                                    "--daemonize",
                                    "no",
                                    "--databases",
                                    std::to_string(options_.databases),
                                    "--appendonly",
                                    options_.append_only ? "yes" : "no",
                                    "--appendfsync",
                                    "no",
                                    "--auto-aof-rewrite-percentage",
                                    "0",
                                    "--aof-load-truncated",
                                    "no",
                                    "--maxmemory",
                                    "0"};
  for (const auto& more : {values_of_any_size(), options_.arguments})
    words.insert(words.end(), more.begin(), more.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  std::vector<std::string> variables = environment_without_secrets();
  std::vector<char*> environment;
  for (std::string& variable : variables) environment.push_back(variable.data());
  environment.push_back(nullptr);
  sigset_t all, before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);  // no handler of ours may run in the child
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child == 0) become_server(argv.data(), environment.data(), directory_, parent);
  const int why = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (child < 0) return Error::from_errno(why, fmt::format("can't start {}", options_.program.path));
  process_ = child;
  log_debug("redis.private.started", {{"process", static_cast<int64_t>(child)}, {"directory", options_.directory}});
  return {};
}

bool PrivateServer::has_ended() {
  if (process_ != 0 && ::waitpid(process_, nullptr, WNOHANG) == process_) process_ = 0;
  return process_ == 0;
}

Result<std::unique_ptr<ServerSession>> PrivateServer::connect() {
  Connection connection;
  connection.socket = fmt::format("/proc/self/fd/{}/{}", directory_, kSocket);
  SessionOptions options;
  options.deadline = options_.deadline.value_or(kUnbounded);
  options.stop = &world_.progress.stop;
  return ServerSession::connect(connection, options);
}

Result<void> PrivateServer::await_loaded() {
  const Duration began = world_.clock.monotonic();
  while (!options_.deadline || world_.clock.monotonic() - began < *options_.deadline) {
    if (world_.progress.stop) return make_error(ErrorCode::kInterrupted, "stopped while a private server was loading");
    if (has_ended()) {
      return make_error(ErrorCode::kServer, "a private {} {} did not load what was restored; its log ends with: {}",
                        kProgram, options_.program.version, log_tail());
    }
    auto session = connect();
    if (session.ok()) {
      const auto reply = session.value()->ask({"PING"});
      if (reply.ok() && !reply.value().is_error()) return {};
    }
    world_.clock.sleep(kPoll);
  }
  return make_error(ErrorCode::kTimeout, "a private {} did not load what was restored within {}", kProgram,
                    format_duration(*options_.deadline));
}

Result<void> PrivateServer::save() {
  auto session = TRY(connect());
  TRY_CONTEXT(session->command({"SAVE"}), "saving in a private {}; its log ends with: {}", kProgram, log_tail());
  return {};
}

void PrivateServer::stop() {
  if (process_ == 0) return;
  ::kill(process_, SIGKILL);  // what it holds is wanted by nobody any more
  while (::waitpid(process_, nullptr, 0) < 0 && errno == EINTR) {
  }
  process_ = 0;
}

std::string PrivateServer::log_tail() const {
  return tail_of_log(real_file_system(), join_path(options_.directory, kLog), kLogTailBytes);
}

}  // namespace holdfast::redis
