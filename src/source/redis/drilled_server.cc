#include "source/redis/drilled_server.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "base/tail.h"
#include "base/units.h"
#include "source/redis/file_sink.h"
#include "source/redis/materialise.h"
#include "source/redis/verify.h"

namespace holdfast::redis {
namespace {

using source::Check;

constexpr const char* kSocket = "redis.sock";
constexpr uint32_t kFewestDatabases = 16;
constexpr size_t kLogTailBytes = 1500;
constexpr Duration kPoll = Duration::milliseconds(20);
constexpr Duration kEndDeadline = Duration::seconds(30);

}  // namespace

DrilledServer::~DrilledServer() {
  if (data_ >= 0) ::close(data_);
}

Result<void> DrilledServer::restore() {
  MaterialiseOptions options;
  options.to = path("data");
  options.bin_directory = options_.bin_directory;
  options.uid = options_.uid;
  options.gid = options_.gid;
  options.folding = Folding::kRequired;  // it is booted from what they make together
  MaterialiseReport report = TRY(materialise(world_, repository_, log_, snapshot_, target_, options));
  restored_bytes_ = report.bytes_written;
  faults_ = std::move(report.faults);
  return {};
}

Result<std::unique_ptr<ByteSource>> DrilledServer::open_rdb() const {
  return std::unique_ptr<ByteSource>(TRY(FileSource::open(world_.fs, join_path(path("data"), kRdbName))));
}

IsolationOptions DrilledServer::server_command() const {
  IsolationOptions command;
  const std::string databases = std::to_string(std::max(kFewestDatabases, survey_.largest_db + 2));
  command.argv = {program_.path,
                  "--port",
                  "0",
                  "--unixsocket",
                  kSocket,
                  "--unixsocketperm",
                  "700",
                  "--dir",
                  ".",
                  "--dbfilename",
                  kRdbName,
                  "--save",
                  "",
                  "--appendonly",
                  "no",
                  "--enable-debug-command",
                  "yes",
                  "--databases",
                  databases,
                  "--maxmemory",
                  "0"};
  const auto more = values_of_any_size();
  command.argv.insert(command.argv.end(), more.begin(), more.end());
  command.environment = {{"PATH", "/usr/local/bin:/usr/bin:/bin"}, {"LANG", "C"}, {"PWD", "/"}};
  command.directory = options_.directory;
  command.programs = {program_.path};
  command.working_directory = path("data");
  command.log_path = path("log");
  command.uid = options_.uid;
  command.gid = options_.gid;
  return command;
}

Result<void> DrilledServer::boot() {
  until_ = world_.clock.monotonic() + options_.deadline;
  survey_ = TRY(survey_rdb([this] { return open_rdb(); }));
  program_ = TRY(find_program_for(survey_.summary, options_.bin_directory));
  data_ = ::open(path("data").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (data_ < 0) return Error::from_errno(errno, path("data"));
  server_ = TRY(IsolatedProcess::start(world_.fs, server_command()));
  TRY(options_.on_server(server_->pid()));
  return await_loaded();
}

Result<std::unique_ptr<ServerSession>> DrilledServer::connect() const {
  Connection connection;
  connection.socket = fmt::format("/proc/self/fd/{}/{}", data_, kSocket);
  SessionOptions session;
  session.deadline = std::max(left(), Duration::seconds(1));
  session.stop = &world_.progress.stop;
  return ServerSession::connect(connection, session);
}

Result<void> DrilledServer::await_loaded() {
  world_.progress.phase = "loading keys";
  while (true) {
    auto session = connect();
    if (session.ok()) {
      const auto reply = session.value()->ask({"PING"});
      if (reply.ok() && !reply.value().is_error()) return {};
    }
    if (!server_->running())
      return make_error(ErrorCode::kServer, "the server did not load its data; its log ends with: {}", log_tail());
    if (world_.progress.stop) return make_error(ErrorCode::kInterrupted, "the drill was stopped");
    if (left().ns <= 0)
      return make_error(ErrorCode::kTimeout, "the server did not load its data in time; its log ends with: {}",
                        log_tail());
    world_.clock.sleep(kPoll);
  }
}

Result<void> DrilledServer::verify(std::vector<Check>& made) {
  Check replay("replay");
  replay.words = fmt::format("{} of commands behind the snapshot", format_bytes(target_.replay_bytes()));
  for (const std::string& fault : faults_) replay.add("command", fault);
  made.push_back(std::move(replay));
  Check keys("keys");
  world_.progress.phase = "comparing keys";
  auto session = TRY(connect());
  const source::VerifyReport report = TRY(compare_with_rdb(world_, *session, [this] { return open_rdb(); }, survey_));
  keys.objects = report.checked_objects;
  keys.words = fmt::format(
      "type, time to live and digest of {} key{}, with the groups of streams; counts of databases; code of libraries",
      format_count(report.checked_objects), report.checked_objects == 1 ? "" : "s");
  for (const source::VerifyFinding& finding : report.findings) keys.add(finding.object, finding.problem);
  made.push_back(std::move(keys));
  return {};
}

Result<void> DrilledServer::stop() {
  if (!server_) return {};
  auto ended = server_->end(SIGTERM, kEndDeadline, world_.clock);
  server_.reset();
  return ended;
}

std::string DrilledServer::log_tail() const { return tail_of_log(world_.fs, path("log"), kLogTailBytes); }

}  // namespace holdfast::redis
