#include "recovery/stack_life.h"

#include <algorithm>
#include <thread>

#include "base/filesystem.h"
#include "servers/wait.h"

namespace holdfast::servers {
namespace {

constexpr size_t kNumbersBeforeTheFirstPoint = 20;
constexpr Duration kNearEnough = Duration::milliseconds(2);  // documents give milliseconds

// {0}: the scratch directory.
constexpr const char* kComponents = R"(  - name: cache
    kind: redis
    connection: unix://{0}/redis/redis.sock
  - name: data
    kind: files
    paths: [{0}/files]
)";

int64_t microseconds(Time time) { return time.ns / 1000; }

const nlohmann::json* component_of(const nlohmann::json& components, const std::string& name) {
  for (const nlohmann::json& component : components) {
    if (component.value("component", "") == name) return &component;
  }
  return nullptr;
}

Error differs(Time instant, const SequenceState& state, const std::string& what) {
  return make_error(ErrorCode::kVerifyFailed, "{}: PostgreSQL has {}, Redis {}, the file {}: {}",
                    format_rfc3339(instant), state.postgres, state.redis, state.file, what);
}

}  // namespace

Result<std::unique_ptr<StackLife>> StackLife::begin(uint64_t seed) {
  std::unique_ptr<StackLife> life(new StackLife(seed));
  RigOptions options;
  options.more_components = kComponents;
  life->rig_ = TRY(Rig::create(options));
  const Rig& rig = *life->rig_;
  for (const char* name : {"redis", "files"}) TRY(make_server_directory(rig.scratch() + "/" + name));
  life->file_ = rig.scratch() + "/files/sequence";
  life->redis_ = redis_test::RedisServer::start(rig.scratch() + "/redis", {"--unixsocketperm", "777"});
  life->receiver_ = TRY(BackgroundProgram::start({holdfast_program(), "--config", rig.config(), "log", "receive"},
                                                 rig.scratch() + "/log-receive.log"));
  TRY(life->rig_->server().exec("create table public.sequence (number bigint primary key)"));
  TRY(life->live(kNumbersBeforeTheFirstPoint, false));
  TRY(life->live(1, true));
  life->steps_before_first_point_ = life->steps_.size();
  life->first_ = system_clock().now();
  return life;
}

// Another file in its place, as programs do that want one whole.
Result<void> StackLife::write_file(int64_t number) {
  const std::string next = file_ + ".next";
  CommandOptions command = as_server_user({"sh", "-c", "cat > \"$0\" && mv \"$0\" \"$1\"", next, file_});
  command.input = std::to_string(number);
  TRY(run_command_checked(command));
  return {};
}

Result<void> StackLife::write_one(postgres::ServerSession& database, redis::ServerSession& cache) {
  Clock& clock = system_clock();
  const std::string number = std::to_string(steps_.size() + 1);
  SequenceStep& step = steps_.emplace_back();
  step.begun = clock.now();
  TRY(database.exec("insert into public.sequence values ($1::bigint)", {number}));
  step.committed = clock.now();
  step.sent = clock.now();
  TRY(cache.command({"SET", "sequence", number}));
  if (steps_.size() % kNumbersPerFile != 0) return {};
  while (TRY(cache.command({"WAIT", "1", "1000"})).integer < 1) {
    if (!receiver_->running())
      return make_error(ErrorCode::kServer, "the receiver of Redis has ended: {}", receiver_->output());
  }
  step.confirmed = clock.now();
  step.file_begun = clock.now();
  TRY(write_file(static_cast<int64_t>(steps_.size())));
  step.file_done = clock.now();
  return {};
}

Result<void> StackLife::write(size_t numbers, const std::atomic<bool>& goes_on) {
  auto database = TRY(rig_->server().connect());
  auto cache = redis_->connect();
  for (size_t i = 0; i < numbers || goes_on; i++) TRY(write_one(*database, *cache));
  return {};
}

Result<void> StackLife::wait_until_stored() {
  stored_until_ = system_clock().now();
  TRY(rig_->wait_until_stored());
  auto cache = redis_->connect();
  TRY(cache->command({"SET", "later", "1"}));
  const bool stored = wait_until([&] {
    auto reached = cache->command({"WAIT", "1", "1000"});
    return reached.ok() && reached.value().integer >= 1;
  });
  if (stored) return {};
  return make_error(ErrorCode::kTimeout, "the commands of Redis are not stored: {}", receiver_->output());
}

Result<void> StackLife::live(size_t numbers, bool capture) {
  Result<void> wrote, captured;
  {
    std::atomic<bool> goes_on = capture;
    std::jthread writer([&] { wrote = write(numbers, goes_on); });
    if (capture) captured = rig_->run({"backup"});
    goes_on = false;
    writer.join();
  }
  TRY(std::move(wrote));
  TRY(std::move(captured));
  return wait_until_stored();
}

Time StackLife::random_instant() {
  const size_t steps = steps_.size() - steps_before_first_point_;
  const SequenceStep& step = steps_[steps_before_first_point_ + random_() % steps];
  const Time instant = step.begun + Duration::microseconds(static_cast<int64_t>(random_() % 5000));
  return std::clamp(instant, first_, stored_until_);
}

int64_t StackLife::last_by(Time SequenceStep::* when, Time instant) const {
  int64_t last = 0;
  for (size_t i = 0; i < steps_.size(); i++) {
    const Time time = steps_[i].*when;
    if (time != Time{} && microseconds(time) <= microseconds(instant)) last = static_cast<int64_t>(i) + 1;
  }
  return last;
}

Result<Duration> StackLife::capture_took(const std::string& point) {
  const auto document = TRY(run_holdfast_json(rig_->holdfast({"points"})));
  for (const nlohmann::json& each : document["points"]) {
    if (each.value("id", "") != point) continue;
    const nlohmann::json* data = component_of(each["components"], "data");
    if (data != nullptr) return Duration::microseconds(static_cast<int64_t>(data->value("took_seconds", 0.0) * 1e6));
  }
  return make_error(ErrorCode::kNotFound, "there is no point {} of the files", point);
}

Result<SequenceState> StackLife::restored_state(const std::string& directory) {
  SequenceState state;
  PostgresOptions options = rig_->server().options();
  options.settings["archive_mode"] = "off";
  auto server = TRY(PrivatePostgres::adopt(directory + "/db", options));
  TRY(server->start_and_promote());
  {
    auto session = TRY(server->connect());
    auto rows = TRY(session->exec("select count(*), coalesce(max(number), 0) from public.sequence"));
    state.postgres = std::stoll(std::string(rows.at(0, 1)));
    if (rows.at(0, 0) != rows.at(0, 1))
      return make_error(ErrorCode::kVerifyFailed, "{} numbers up to {} are in PostgreSQL", rows.at(0, 0),
                        rows.at(0, 1));
  }
  const std::string sockets = server->socket_directory();
  server->kill();
  server.reset();
  TRY(remove_tree(real_file_system(), sockets));
  const auto redis = redis_test::RedisServer::start(directory + "/cache");
  state.redis = std::stoll(redis->run({"GET", "sequence"}));
  const Bytes file = TRY(read_file(real_file_system(), directory + "/data" + file_, 100));
  state.file = std::stoll(std::string(as_text(file.view())));
  return state;
}

Result<void> StackLife::compare(Time instant, const SequenceState& state, Time files_from, Time files_until) {
  const auto within = [&](const char* what, int64_t found, int64_t least, int64_t most) -> Result<void> {
    if (least <= found && found <= most) return {};
    return differs(instant, state, fmt::format("{} was between {} and {} then", what, least, most));
  };
  // Each by itself: all that was acknowledged by then, nothing that was begun later.
  TRY(within("PostgreSQL", state.postgres, last_by(&SequenceStep::committed, instant),
             last_by(&SequenceStep::begun, instant)));
  TRY(within("Redis", state.redis, last_by(&SequenceStep::confirmed, instant), last_by(&SequenceStep::sent, instant)));
  TRY(within("the file", state.file, last_by(&SequenceStep::file_done, files_from),
             last_by(&SequenceStep::file_begun, files_until)));
  // Together: nothing has what the one before it lacks.
  if (state.redis > state.postgres) return differs(instant, state, "Redis is ahead of PostgreSQL");
  if (state.file > state.redis && files_until <= instant) return differs(instant, state, "the file is ahead of Redis");
  return {};
}

Result<std::string> StackLife::recover_and_compare(Time instant) {
  const std::string directory = fmt::format("{}/aside{}", rig_->scratch(), ++restored_);
  const auto report =
      TRY(run_holdfast_json(rig_->holdfast({"restore", "--at", format_rfc3339(instant), "--to", directory})));
  const nlohmann::json* data = component_of(report["components"], "data");
  if (data == nullptr) return make_error(ErrorCode::kVerifyFailed, "no files were restored");
  const Time files_from = TRY(parse_time(data->value("instant", ""), instant));
  const Duration took = TRY(capture_took(data->value("point", "")));
  // What it says of how far the components are apart is so.
  const auto spread = Duration::microseconds(static_cast<int64_t>(report.value("spread_seconds", 0.0) * 1e6));
  const Duration apart = instant - files_from;
  if (apart.ns < 0 || spread > apart + kNearEnough || apart > spread + kNearEnough)
    return make_error(ErrorCode::kVerifyFailed, "a spread of {} is stated, the files are {} from {}",
                      format_duration(spread), format_duration(apart), format_rfc3339(instant));
  const SequenceState state = TRY(restored_state(directory));
  TRY(compare(instant, state, files_from, files_from + took + kNearEnough));
  TRY(remove_tree(real_file_system(), directory));
  return fmt::format("{}: PostgreSQL {}, Redis {}, the file {} of {} before", format_rfc3339(instant), state.postgres,
                     state.redis, state.file, format_duration(spread));
}

}  // namespace holdfast::servers
