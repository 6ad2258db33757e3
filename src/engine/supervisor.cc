#include "engine/supervisor.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <optional>

#include "base/subprocess.h"
#include "base/time.h"
#include "engine/attempt.h"
#include "engine/channel.h"
#include "engine/output_file.h"
#include "engine/reserved_file.h"

namespace holdfast::engine {
namespace {

constexpr Duration kTermGrace = Duration::seconds(10);
constexpr Duration kKillPause = Duration::milliseconds(20);
constexpr Duration kOrderWait = Duration::hours(1);  // a person may have stopped the engine in between
constexpr int kCannotRun = 127;

// Why a child could not become the step's program.
struct StartFailure {
  int why;            // errno
  bool in_directory;  // it had come to where the step runs
};

// The step's process, from its start to the end of all that must end with it.
class SupervisedStep {
 public:
  SupervisedStep(const AttemptOrder& order, OutputFile& output) : order_(order), output_(output) {}

  // kSubprocess and others when the program can't be started.
  Result<void> start();
  // Until the step has ended and, when it was made to end, all below it too.
  AttemptEnd wait();
  // What the step left behind may hold its output: serves it until the last is gone.
  void linger();
  // Nothing more will be said.
  bool silent() const { return pipe_ < 0; }

 private:
  [[noreturn]] void run_child(int input, int output, int report);
  void poll_once(Duration at_most);
  void on_signals();
  void reap();
  void begin_end();
  void enforce();
  void kill_all(int signal_number);
  void drain();

  const AttemptOrder& order_;
  OutputFile& output_;
  int pipe_ = -1, signals_ = -1;
  pid_t pid_ = -1;
  std::optional<int> wait_status_;
  bool timed_out_ = false, stopped_ = false;
  std::optional<Duration> kill_at_;  // set once the step is made to end
  Duration began_, deadline_;
};

int memory_file(const std::string& content) {
  const int fd = ::memfd_create("input", MFD_CLOEXEC);
  if (fd < 0) return -1;
  for (size_t put = 0; put < content.size();) {
    const ssize_t count = ::write(fd, content.data() + put, content.size() - put);
    if (count <= 0) break;
    put += static_cast<size_t>(count);
  }
  ::lseek(fd, 0, SEEK_SET);
  return fd;
}

sigset_t watched_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGPIPE}) sigaddset(&set, number);
  return set;
}

void SupervisedStep::run_child(int input, int output, int report) {
  ::setpgid(0, 0);
  ::umask(order_.file_mask);
  ::dup2(input, STDIN_FILENO);
  ::dup2(output, STDOUT_FILENO);
  ::dup2(output, STDERR_FILENO);
  ::syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  std::vector<char*> argv, environment;
  for (const std::string& word : order_.argv) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  std::vector<std::string> texts;
  std::string path = "/usr/local/bin:/usr/bin:/bin";
  for (const auto& [name, value] : order_.environment) {
    texts.push_back(name + "=" + value);
    if (name == "PATH") path = value;
  }
  for (std::string& text : texts) environment.push_back(text.data());
  environment.push_back(nullptr);
  ::setenv("PATH", path.c_str(), 1);  // execvpe searches ours
  StartFailure failure{0, false};
  if (order_.working_directory.empty() || ::chdir(order_.working_directory.c_str()) == 0) {
    ::execvpe(argv[0], argv.data(), environment.data());
    failure.in_directory = true;
  }
  failure.why = errno;
  [[maybe_unused]] const ssize_t written = ::write(report, &failure, sizeof failure);
  ::_exit(kCannotRun);
}

Result<void> SupervisedStep::start() {
  const sigset_t set = watched_signals();
  signals_ = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  int output[2], report[2];
  const int input = order_.input.empty() ? ::open("/dev/null", O_RDONLY | O_CLOEXEC) : memory_file(order_.input);
  if (signals_ < 0 || input < 0 || ::pipe2(output, O_CLOEXEC) != 0 || ::pipe2(report, O_CLOEXEC) != 0) {
    return Error::from_errno(errno, "can't prepare the step's process");
  }
  began_ = system_clock().monotonic();
  if (order_.timeout) deadline_ = began_ + *order_.timeout;
  pid_ = ::fork();
  if (pid_ == 0) run_child(input, output[1], report[1]);
  if (pid_ < 0) return Error::from_errno(errno, "can't start a process");
  ::close(input);
  ::close(output[1]);
  ::close(report[1]);
  pipe_ = output[0];
  ::fcntl(pipe_, F_SETFL, O_NONBLOCK);
  StartFailure failure{0, false};
  const bool failed = ::read(report[0], &failure, sizeof failure) == sizeof failure;
  ::close(report[0]);
  if (!failed) return {};
  ::waitpid(pid_, nullptr, 0);
  return Error::from_errno(failure.why, failure.in_directory
                                            ? fmt::format("can't run {}", order_.argv[0])
                                            : fmt::format("can't go to {}, where it runs", order_.working_directory));
}

void SupervisedStep::drain() {
  std::array<char, 65536> buffer;
  // A bounded number of reads: a step that never stops talking must not keep us from its deadline.
  for (int reads = 0; pipe_ >= 0 && reads < 16; reads++) {
    const ssize_t got = ::read(pipe_, buffer.data(), buffer.size());
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
      ::close(std::exchange(pipe_, -1));
    } else {
      output_.write({buffer.data(), static_cast<size_t>(got)});
    }
  }
}

void SupervisedStep::reap() {
  int status = 0;
  for (pid_t ended = 0; (ended = ::waitpid(-1, &status, WNOHANG)) > 0;) {
    if (ended == pid_) wait_status_ = status;
  }
  // Who was killed had no time to say what may stay: a retry must not meet its remains.
  if (wait_status_ && WIFSIGNALED(*wait_status_)) begin_end();
}

void SupervisedStep::on_signals() {
  signalfd_siginfo info;
  while (::read(signals_, &info, sizeof info) == sizeof info) {
    if (info.ssi_signo == SIGTERM && !wait_status_ && !timed_out_) {
      stopped_ = true;
      begin_end();
    }
  }
  reap();
}

void SupervisedStep::poll_once(Duration at_most) {
  std::array<pollfd, 2> watched = {{{pipe_, POLLIN, 0}, {signals_, POLLIN, 0}}};
  const auto wait_ms = static_cast<int>(std::clamp<int64_t>(at_most.in_milliseconds() + 1, 0, 60'000));
  if (::poll(watched.data(), watched.size(), wait_ms) < 0) return;
  if (watched[0].revents != 0) drain();
  if (watched[1].revents != 0) on_signals();
}

void SupervisedStep::kill_all(int signal_number) {
  for (const pid_t pid : descendants_of(::getpid())) ::kill(pid, signal_number);
}

void SupervisedStep::begin_end() {
  if (kill_at_) return;
  kill_at_ = system_clock().monotonic() + kTermGrace;
  kill_all(SIGTERM);
}

void SupervisedStep::enforce() {
  const Duration now = system_clock().monotonic();
  if (!wait_status_ && !kill_at_ && order_.timeout && now >= deadline_) {
    timed_out_ = true;
    begin_end();
  }
  if (kill_at_ && now >= *kill_at_) kill_all(SIGKILL);
}

AttemptEnd SupervisedStep::wait() {
  for (;;) {
    enforce();
    const bool all_gone = wait_status_ && (!kill_at_ || descendants_of(::getpid()).empty());
    if (all_gone) break;
    Duration at_most = Duration::seconds(60);
    const Duration now = system_clock().monotonic();
    if (kill_at_) at_most = wait_status_ || now >= *kill_at_ ? kKillPause : *kill_at_ - now;
    if (!kill_at_ && order_.timeout) at_most = deadline_ - now;
    poll_once(at_most);
  }
  drain();
  AttemptEnd end;
  end.ended = system_clock().now();
  end.took = system_clock().monotonic() - began_;
  end.signal = WIFSIGNALED(*wait_status_) ? WTERMSIG(*wait_status_) : 0;
  end.exit_status = end.signal != 0 ? 128 + end.signal : WEXITSTATUS(*wait_status_);
  end.timed_out = timed_out_;
  end.stopped = stopped_;
  return end;
}

void SupervisedStep::linger() {
  if (silent()) return;
  while (!silent()) poll_once(Duration::seconds(60));
  output_.flush();
}

// A process of its own: nothing of the engine's terminal, descriptors or fate.
void settle_in() {
  if (::getsid(0) != ::getpid()) ::setsid();
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  ::prctl(PR_SET_DUMPABLE, 0);  // it holds secrets
  ::syscall(SYS_close_range, 3U, ~0U, 0);
  plain_signals();  // what the engine's parent ignored is not ignored in the steps
  const sigset_t set = watched_signals();
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  ::umask(0077);
}

Result<AttemptEnd> run_attempt(const AttemptFiles& files, OutputFile& output, SupervisedStep& step) {
  const int began = ::open(files.began().c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (began < 0) return Error::from_errno(errno, files.began());
  ::close(began);
  AttemptEnd end;
  if (auto started = step.start(); started.ok()) {
    end = step.wait();
  } else {
    end.exit_status = kCannotRun;
    end.failure = started.error().text();
    end.ended = system_clock().now();
  }
  // Else what is held back may be the beginning of a secret whose rest is still to come.
  if (step.silent()) output.flush();
  end.output_bytes = output.written_bytes();
  end.dropped_bytes = output.dropped_bytes();
  return end;
}

}  // namespace

int supervise(const std::string& directory) {
  settle_in();
  Channel engine(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3));
  ::close(STDIN_FILENO);
  ::open("/dev/null", O_RDWR);
  const AttemptFiles files{directory};
  auto status = ReservedFile::create(files.reserved(), files.status());
  auto output = OutputFile::create(files.output());
  if (!status.ok() || !output.ok()) {
    const Error& error = status.ok() ? output.error() : status.error();
    ignore(engine.send(Json{{"error", error.message()}, {"code", static_cast<int>(error.code())}}.dump()),
           "nobody else could be told");
    return 1;
  }
  if (!engine.send(ProcessIdentity::of_self().to_json().dump()).ok()) return 1;
  auto message = engine.receive(kOrderWait);
  // The engine went before it decided: nothing has happened. Nothing is tidied up either,
  // since the run may be somebody else's by now.
  if (!message.ok()) ::_exit(0);
  auto order = AttemptOrder::decode(*message);
  if (!order.ok()) return 1;
  output->redact(Redactor(order->secrets));

  SupervisedStep step(*order, *output);
  auto end = run_attempt(files, *output, step);
  if (!end.ok()) {
    AttemptEnd failed;
    failed.exit_status = kCannotRun;
    failed.failure = end.error().text();
    failed.ended = system_clock().now();
    end = failed;
  }
  const std::string text = end->to_json().dump(-1, ' ', false, Json::error_handler_t::replace);
  ignore(engine.send(text), "an engine that has gone reads the file");
  const bool written = status->publish(text).ok();
  engine.close();
  step.linger();
  return written ? 0 : 1;
}

}  // namespace holdfast::engine
