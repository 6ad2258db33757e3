#include "base/subprocess.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "base/filesystem.h"
#include "base/secret_variables.h"

extern char** environ;

namespace holdfast {

namespace {

constexpr Duration kTermGrace = Duration::seconds(2);
constexpr Duration kExitPoll = Duration::milliseconds(20);  // where the kernel has no pidfd
constexpr Duration kStopPoll = Duration::milliseconds(50);
constexpr size_t kErrorTailBytes = 2000;

// A descriptor that closes itself.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() { reset(); }
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    reset();
    fd_ = std::exchange(other.fd_, -1);
    return *this;
  }
  int get() const { return fd_; }
  bool open() const { return fd_ >= 0; }
  void reset() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

 private:
  int fd_ = -1;
};

struct Pipe {
  Descriptor read_end, write_end;
};

Result<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) < 0) return Error::from_errno(errno, "can't create a pipe");
  return Pipe{Descriptor(ends[0]), Descriptor(ends[1])};
}

// Everything that the child needs, made before the fork: after it, in a process
// with threads, no memory may be allocated.
struct Launch {
  std::string program;
  std::vector<char*> argv;
  std::vector<std::string> environment_texts;
  std::vector<char*> environment;
  const CommandOptions* options = nullptr;
  Pipe input, output, error_output, exec_error;
};

std::vector<std::string> merged_environment(const CommandOptions& options) {
  std::vector<std::string> merged;
  for (char** entry = environ; entry && *entry; entry++) {
    const std::string_view text = *entry;
    const std::string_view name = text.substr(0, text.find('='));
    const bool replaced = std::any_of(options.environment.begin(), options.environment.end(),
                                      [&](const auto& added) { return added.first == name; });
    const bool dropped = std::find(options.without.begin(), options.without.end(), name) != options.without.end();
    const bool secret = !options.with_secret_variables && is_secret_variable(name);
    if (!replaced && !dropped && !secret) merged.emplace_back(text);
  }
  for (const auto& [name, value] : options.environment) merged.push_back(name + "=" + value);
  return merged;
}

Result<std::string> find_program(const std::string& name, const std::vector<std::string>& environment) {
  if (name.find('/') != std::string::npos) return name;
  std::string_view search = "/usr/local/bin:/usr/bin:/bin";
  for (const auto& entry : environment) {
    if (entry.starts_with("PATH=")) search = std::string_view(entry).substr(5);
  }
  while (!search.empty()) {
    const size_t end = std::min(search.find(':'), search.size());
    const std::string candidate = join_path(search.substr(0, end), name);
    if (end > 0 && ::access(candidate.c_str(), X_OK) == 0) return candidate;
    search.remove_prefix(std::min(end + 1, search.size()));
  }
  return make_error(ErrorCode::kNotFound, "the program {} was not found", name)
      .with_hint("install it, or add its folder to PATH");
}

Result<Launch> prepare(const CommandOptions& options) {
  CHECK(!options.argv.empty());
  Launch launch;
  launch.options = &options;
  launch.environment_texts = merged_environment(options);
  launch.program = TRY(find_program(options.argv[0], launch.environment_texts));
  for (const auto& argument : options.argv) launch.argv.push_back(const_cast<char*>(argument.c_str()));
  launch.argv.push_back(nullptr);
  for (auto& entry : launch.environment_texts) launch.environment.push_back(entry.data());
  launch.environment.push_back(nullptr);
  launch.input = TRY(make_pipe());
  launch.output = TRY(make_pipe());
  launch.error_output = TRY(make_pipe());
  launch.exec_error = TRY(make_pipe());
  return launch;
}

// Marks every descriptor above the standard three as close-on-exec: not all in
// the process need be ours.
void mark_close_on_exec() {
  if (::syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) == 0) return;
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  const auto end = static_cast<int>(std::min<rlim_t>(limit.rlim_cur, 65536));
  for (int fd = 3; fd < end; fd++) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
}

// Moves a descriptor out of 0..2, where the dup2 calls would overwrite it.
int moved_up(int fd) { return fd > 2 ? fd : ::fcntl(fd, F_DUPFD_CLOEXEC, 3); }

bool become_user(const CommandOptions& options) {
  if (options.uid || options.gid) {
    if (::geteuid() == 0 && ::setgroups(0, nullptr) < 0) return false;
    if (options.gid && ::setresgid(*options.gid, *options.gid, *options.gid) < 0) return false;
    if (options.uid && ::setresuid(*options.uid, *options.uid, *options.uid) < 0) return false;
  }
  return true;
}

// Runs in the child; only async-signal-safe calls. Never returns.
[[noreturn]] void run_child(const Launch& launch) {
  ::setpgid(0, 0);
  const int input = moved_up(launch.input.read_end.get());
  const int output = moved_up(launch.output.write_end.get());
  const int error_output = moved_up(launch.error_output.write_end.get());
  const int report = moved_up(launch.exec_error.write_end.get());
  ::dup2(input, STDIN_FILENO);
  ::dup2(output, STDOUT_FILENO);
  ::dup2(error_output, STDERR_FILENO);
  mark_close_on_exec();

  // The C library tells other threads of a new account by a signal whose handler has to be
  // there still: under the thread sanitizer a child has such a thread.
  const std::string& directory = launch.options->working_directory;
  if (become_user(*launch.options) && (directory.empty() || ::chdir(directory.c_str()) == 0)) {
    plain_signals();
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::execve(launch.program.c_str(), launch.argv.data(), launch.environment.data());
  }
  const int why = errno;
  [[maybe_unused]] const ssize_t written = ::write(report, &why, sizeof why);
  ::_exit(127);
}

Result<pid_t> start(Launch& launch) {
  sigset_t all, before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);  // no handler of ours may run in the child
  const pid_t pid = ::fork();
  if (pid == 0) run_child(launch);
  const int why = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return Error::from_errno(why, fmt::format("can't start {}", launch.options->argv[0]));
  ::setpgid(pid, pid);  // whoever is first; a kill of the group must not come too early
  launch.input.read_end.reset();
  launch.output.write_end.reset();
  launch.error_output.write_end.reset();
  launch.exec_error.write_end.reset();

  int exec_errno = 0;
  ssize_t got = 0;
  do {
    got = ::read(launch.exec_error.read_end.get(), &exec_errno, sizeof exec_errno);
  } while (got < 0 && errno == EINTR);
  if (got != sizeof exec_errno) return pid;
  ::waitpid(pid, nullptr, 0);
  return Error::from_errno(exec_errno, fmt::format("can't run {}", launch.program));
}

// Writes without the SIGPIPE that a reader's early end would raise.
ssize_t write_quietly(int fd, const char* data, size_t size) {
  sigset_t pipe_signal, before, pending;
  sigemptyset(&pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  sigpending(&pending);
  const bool was_pending = sigismember(&pending, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
  const ssize_t put = ::write(fd, data, size);
  const int why = errno;
  if (put < 0 && why == EPIPE && !was_pending) {
    const timespec at_once{};
    ::sigtimedwait(&pipe_signal, nullptr, &at_once);
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = why;
  return put;
}

// One stream that is read up to a limit; what is beyond is counted and dropped.
class Collector {
 public:
  Collector(Descriptor fd, size_t limit_bytes) : fd_(std::move(fd)), limit_bytes_(limit_bytes) {
    ::fcntl(fd_.get(), F_SETFL, O_NONBLOCK);
  }
  int fd() const { return fd_.get(); }
  bool open() const { return fd_.open(); }

  // Takes all that is there now.
  void drain() {
    std::array<char, 65536> buffer;
    while (fd_.open()) {
      const ssize_t got = ::read(fd_.get(), buffer.data(), buffer.size());
      if (got < 0 && errno == EINTR) continue;
      if (got < 0 && errno == EAGAIN) return;
      if (got <= 0) {
        fd_.reset();
      } else {
        const size_t kept = std::min(static_cast<size_t>(got), limit_bytes_ - text_.size());
        text_.append(buffer.data(), kept);
        dropped_bytes_ += static_cast<size_t>(got) - kept;
        // A program that never stops talking must not keep us from the deadline.
        if (static_cast<size_t>(got) < buffer.size() || dropped_bytes_ > 0) return;
      }
    }
  }

  std::string take() {
    if (dropped_bytes_ > 0) text_ += fmt::format("\n[{} more bytes were dropped]\n", dropped_bytes_);
    return std::move(text_);
  }

 private:
  Descriptor fd_;
  const size_t limit_bytes_;
  std::string text_;
  size_t dropped_bytes_ = 0;
};

// The running program: feeds it, listens to it, ends it at the deadline.
class Running {
 public:
  Running(pid_t pid, Launch& launch)
      : pid_(pid),
        options_(*launch.options),
        input_(std::move(launch.input.write_end)),
        output_(std::move(launch.output.read_end), options_.output_limit_bytes),
        error_output_(std::move(launch.error_output.read_end), options_.output_limit_bytes),
        deadline_(system_clock().monotonic() + options_.deadline) {
    ::fcntl(input_.get(), F_SETFL, O_NONBLOCK);
#ifdef SYS_pidfd_open
    exit_watch_ = Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
#endif
    if (options_.input.empty()) input_.reset();
  }

  Result<CommandOutcome> wait() {
    while (!finished()) {
      escalate();
      poll_once();
    }
    // Left-overs of the group hold nothing of ours once the deadline has passed.
    // The leader is a zombie until we reap it, so the group's number is still ours.
    if (timed_out_) ::kill(-pid_, SIGKILL);
    output_.drain();
    error_output_.drain();
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) continue;
    if (stopped_) return make_error(ErrorCode::kInterrupted, "{} was stopped", options_.argv[0]);
    if (timed_out_) {
      return make_error(ErrorCode::kTimeout, "{} did not end within {}", options_.argv[0],
                        format_duration(options_.deadline));
    }
    CommandOutcome outcome;
    outcome.exit_status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    outcome.output = output_.take();
    outcome.error_output = error_output_.take();
    return outcome;
  }

 private:
  bool exited() const {
    siginfo_t info{};
    return ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT | WNOHANG) == 0 && info.si_pid == pid_;
  }

  // A daemon that the program leaves behind may hold the pipes: the program's own
  // end is what counts. After the deadline whoever holds them gets the grace time.
  bool finished() const {
    if (!exited()) return false;
    return !timed_out_ || killed_ || (!output_.open() && !error_output_.open());
  }

  void escalate() {
    const Duration now = system_clock().monotonic();
    if (!timed_out_ && options_.stop != nullptr && *options_.stop) {
      stopped_ = true;
      deadline_ = now;
    }
    if (now < deadline_) return;
    if (!timed_out_) {
      timed_out_ = true;
      ::kill(-pid_, SIGTERM);
      deadline_ = now + kTermGrace;
    } else {
      killed_ = true;
      ::kill(-pid_, SIGKILL);
      deadline_ = now + kTermGrace;
    }
  }

  int timeout_ms() const {
    Duration left = deadline_ - system_clock().monotonic();
    const bool blind = !exit_watch_.open() || (timed_out_ && exited());
    if (blind) left = std::min(left, kExitPoll);
    if (options_.stop != nullptr && !timed_out_) left = std::min(left, kStopPoll);
    return static_cast<int>(std::clamp<int64_t>(left.in_milliseconds() + 1, 0, 1'000'000));
  }

  void poll_once() {
    // A negative descriptor is skipped by poll. A watch that would fire for ever
    // (the leader has ended, its group has not) is left out.
    const bool watch = exit_watch_.open() && !(timed_out_ && exited());
    std::array<pollfd, 4> fds = {{{output_.fd(), POLLIN, 0},
                                  {error_output_.fd(), POLLIN, 0},
                                  {input_.get(), POLLOUT, 0},
                                  {watch ? exit_watch_.get() : -1, POLLIN, 0}}};
    if (::poll(fds.data(), fds.size(), timeout_ms()) <= 0) return;
    if (fds[0].revents) output_.drain();
    if (fds[1].revents) error_output_.drain();
    if (fds[2].revents) feed();
  }

  void feed() {
    const ssize_t put = write_quietly(input_.get(), options_.input.data() + fed_, options_.input.size() - fed_);
    if (put < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (put > 0) fed_ += static_cast<size_t>(put);
    // A program may end, or close its input, before it has read everything.
    if (put < 0 || fed_ == options_.input.size()) input_.reset();
  }

  const pid_t pid_;
  const CommandOptions& options_;
  Descriptor input_, exit_watch_;
  Collector output_, error_output_;
  Duration deadline_;
  size_t fed_ = 0;
  bool timed_out_ = false, killed_ = false, stopped_ = false;
};

std::string tail_of(const std::string& text) {
  std::string tail = text.size() > kErrorTailBytes ? text.substr(text.size() - kErrorTailBytes) : text;
  while (!tail.empty() && (tail.back() == '\n' || tail.back() == ' ')) tail.pop_back();
  return tail;
}

}  // namespace

std::string shell_quoted(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? "'\\''" : std::string(1, c);
  return quoted + "'";
}

// Asks the kernel: the sigaction of glibc refuses the two signals that it keeps to
// itself, and its posix_spawn may have left us those ignored. All zero is the
// default action in the kernel's structure, whose largest has 4 words.
void plain_signals() {
  const std::array<unsigned long, 8> plain{};
  for (int number = 1; number < NSIG; number++) {
    ::syscall(SYS_rt_sigaction, number, plain.data(), nullptr, size_t{NSIG / 8});
  }
}

Result<CommandOutcome> run_command(const CommandOptions& options) {
  Launch launch = TRY(prepare(options));
  const pid_t pid = TRY(start(launch));
  return Running(pid, launch).wait();
}

Result<CommandOutcome> run_command_checked(const CommandOptions& options) {
  CommandOutcome outcome = TRY(run_command(options));
  if (outcome.exit_status == 0) return outcome;
  const std::string tail = tail_of(outcome.error_output);
  return make_error(ErrorCode::kSubprocess, "{} ended with status {}{}{}", options.argv[0], outcome.exit_status,
                    tail.empty() ? "" : ": ", tail);
}

}  // namespace holdfast
