#include "engine/supervised_runner.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <vector>

namespace holdfast::engine {
namespace {

constexpr Duration kReadyWait = Duration::seconds(30);
constexpr Duration kReattachedPause = Duration::milliseconds(20);

// The step's end, if its supervisor has just told it.
std::optional<AttemptEnd> told_end(Channel& channel) {
  if (!channel.open()) return std::nullopt;
  pollfd watched{channel.descriptor(), POLLIN, 0};
  if (::poll(&watched, 1, 0) <= 0) return std::nullopt;
  auto message = channel.receive(kReadyWait);
  channel.close();  // it says one thing, or it has gone
  if (!message.ok()) return std::nullopt;
  auto end = AttemptEnd::from_json(Json::parse(*message, nullptr, false));
  return end.ok() ? std::optional<AttemptEnd>(*end) : std::nullopt;
}

// The descriptor pins the process while its environment is read.
void kill_if_ours(pid_t pid, const std::string& key) {
  const int fd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  if (fd < 0) return;
  if (has_in_environment(pid, "HOLDFAST_IDEMPOTENCY_KEY", key)) {
    ::syscall(SYS_pidfd_send_signal, fd, SIGKILL, nullptr, 0);
  }
  ::close(fd);
}

}  // namespace

Result<ProcessIdentity> SupervisedRunner::prepare(const AttemptFiles& files, const std::string& script) {
  FileSystem& fs = real_file_system();
  TRY(make_directories(fs, files.directory));
  auto file = TRY(fs.open(files.script(), {.write = true, .create = true, .exclusive = true, .mode = 0700}));
  TRY(file->write_at(0, as_bytes(script)));
  TRY(file->close());
  Channel channel = TRY(server_.supervisor(files.directory));
  const std::string message = TRY_CONTEXT(channel.receive(kReadyWait), "the supervisor");
  const Json json = Json::parse(message, nullptr, false);
  if (!json.is_object()) return make_error(ErrorCode::kInternal, "the supervisor said no JSON");
  if (json.contains("error")) {
    return Error(static_cast<ErrorCode>(json.value("code", 0)), json.value("error", ""));
  }
  const ProcessIdentity identity = TRY(ProcessIdentity::from_json(json));
  channels_.insert_or_assign(files.directory, std::move(channel));
  return identity;
}

Result<void> SupervisedRunner::go(const AttemptFiles& files, const AttemptOrder& order) {
  return channels_.at(files.directory).send(order.encode());
}

void SupervisedRunner::abandon(const AttemptFiles& files) {
  const auto found = channels_.find(files.directory);
  if (found == channels_.end()) return;
  found->second.hang_up(kReadyWait);
  channels_.erase(found);
}

Result<AttemptReport> SupervisedRunner::look(const AttemptFiles& files, const ProcessIdentity& supervisor) {
  using State = AttemptReport::State;
  FileSystem& fs = real_file_system();
  const auto channel = channels_.find(files.directory);
  if (channel != channels_.end()) {
    if (auto end = told_end(channel->second)) return AttemptReport{State::kEnded, end};
    if (channel->second.open()) return AttemptReport{State::kRunning, std::nullopt};
  }
  if (auto end = TRY(read_status(fs, files))) return AttemptReport{State::kEnded, end};
  const Liveness liveness = liveness_of(supervisor);
  if (liveness == Liveness::kElsewhere) return AttemptReport{State::kElsewhere, std::nullopt};
  if (liveness == Liveness::kAlive) {
    reattached_ = true;
    return AttemptReport{State::kRunning, std::nullopt};
  }
  // It may have written its status between the two looks.
  if (auto end = TRY(read_status(fs, files))) return AttemptReport{State::kEnded, end};
  const bool this_boot = supervisor.boot == ProcessIdentity::of_self().boot;
  if (this_boot && !TRY(exists(fs, files.began()))) return AttemptReport{State::kVoid, std::nullopt};
  reattached_ = true;
  const State state = session_members(supervisor).empty() ? State::kUnknown : State::kOrphaned;
  return AttemptReport{state, std::nullopt};
}

Result<void> SupervisedRunner::stop(const ProcessIdentity& supervisor, const std::string& key) {
  if (liveness_of(supervisor) == Liveness::kDead) {
    for (const pid_t orphan : session_members(supervisor)) kill_if_ours(orphan, key);
    return {};
  }
  // The descriptor pins the process: its number can't become another's in between.
  const int fd = static_cast<int>(::syscall(SYS_pidfd_open, supervisor.pid, 0));
  if (fd < 0) return {};
  const bool same = liveness_of(supervisor) == Liveness::kAlive;
  const long sent = same ? ::syscall(SYS_pidfd_send_signal, fd, SIGTERM, nullptr, 0) : 0;
  const int why = errno;
  ::close(fd);
  if (sent != 0) return Error::from_errno(why, "can't stop the step's supervisor");
  return {};
}

void SupervisedRunner::wait(Duration at_most) {
  std::vector<pollfd> watched;
  for (const auto& [directory, channel] : channels_) {
    if (channel.open()) watched.push_back({channel.descriptor(), POLLIN, 0});
  }
  if (also_wait_for_ >= 0) watched.push_back({also_wait_for_, POLLIN, 0});
  if (reattached_) at_most = std::min(at_most, kReattachedPause);
  reattached_ = false;
  const auto wait_ms = static_cast<int>(std::clamp<int64_t>(at_most.in_milliseconds(), 0, 60'000));
  ::poll(watched.data(), watched.size(), wait_ms);
}

}  // namespace holdfast::engine
