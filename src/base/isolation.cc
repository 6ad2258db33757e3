#include "base/isolation.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "base/places.h"
#include "base/subprocess.h"
#include "base/workers.h"

// How a sealed process comes to its own view of the files. In new namespaces, still with
// the right to mount, it makes an empty file system in memory, binds into it the
// system's programs and libraries read-only, a few devices, and its own directory under
// the path that it has outside, and makes that its root (pivot_root). What was not bound
// does not exist for it: other sockets, other data, other processes. Then it gives up its
// rights and becomes the program.
//
// Between clone and exec, in a process with threads, no memory may be allocated: all that
// the child needs is made before.

namespace holdfast {

namespace {

constexpr Duration kPollInterval = Duration::milliseconds(20);

constexpr std::array kSystemDirectories = {"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc"};
constexpr std::array kDevices = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"};

// Where the child was when it could not go on. Told to the parent through a pipe.
enum class Step : int { kUsers, kMounts, kView, kRoot, kNetwork, kAccount, kParent, kStart };
struct Failure {
  Step step = Step::kStart;
  int why = 0;
};

std::string_view words_of(Step step) {
  switch (step) {
    case Step::kUsers: return "mapping its account into a user namespace";
    case Step::kMounts: return "making its mounts its own";
    case Step::kView: return "binding what it may see";
    case Step::kRoot: return "changing its root";
    case Step::kNetwork: return "setting up loopback";
    case Step::kAccount: return "becoming the account that it runs as";
    case Step::kParent: return "tying its life to ours";
    case Step::kStart: break;
  }
  return "starting it";
}

struct ViewItem {
  std::string from, to;  // `to` is below the new root; `from` is a link's target for links
  enum class Kind { kLink, kDirectory, kFile, kDevice } kind = Kind::kDirectory;
  std::vector<std::string> parents;  // of `to`, outermost first
};

std::vector<std::string> parents_of(const std::string& root, const std::string& path) {
  std::vector<std::string> parents;
  for (size_t at = path.find('/', 1); at != std::string::npos; at = path.find('/', at + 1))
    parents.push_back(root + path.substr(0, at));
  parents.push_back(root + path);
  return parents;
}

// All that the child needs, as it needs it.
struct Launch {
  const IsolationOptions* options = nullptr;
  std::string root;  // mount point of the new root
  std::vector<ViewItem> view;
  std::vector<std::string> own_parents;
  std::string own, proc, temporary;
  std::string uid_map, gid_map;  // "" : no user namespace
  std::vector<char*> argv, environment;
  std::vector<std::string> environment_texts;
  int log = -1, life = -1, report = -1;
};

[[noreturn]] void give_up(const Launch& launch, Step step) {
  const Failure failure{step, errno};
  [[maybe_unused]] const ssize_t written = ::write(launch.report, &failure, sizeof failure);
  ::_exit(127);
}

bool write_to(const char* path, const std::string& text) {
  const int fd = ::open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const int why = errno;
  ::close(fd);
  errno = why;
  return written;
}

bool map_account(const Launch& launch) {
  return write_to("/proc/self/setgroups", "deny") && write_to("/proc/self/uid_map", launch.uid_map) &&
         write_to("/proc/self/gid_map", launch.gid_map);
}

// What exists may be a file system of the machine's own, bound before, and read-only.
void make_parents(const std::vector<std::string>& parents) {
  for (const std::string& directory : parents) ::mkdir(directory.c_str(), 0755);
}

bool make_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  if (fd < 0) return false;
  ::close(fd);
  return true;
}

bool bind_read_only(const ViewItem& item) {
  make_parents(item.parents);
  if (item.kind == ViewItem::Kind::kFile && !make_file(item.to)) return false;
  if (::mount(item.from.c_str(), item.to.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0) return false;
  struct mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID;
  return ::syscall(SYS_mount_setattr, AT_FDCWD, item.to.c_str(), AT_RECURSIVE, &attributes, sizeof attributes) == 0;
}

bool bind_device(const ViewItem& item) {
  make_parents(item.parents);
  return make_file(item.to) && ::mount(item.from.c_str(), item.to.c_str(), nullptr, MS_BIND, nullptr) == 0;
}

bool make_view(const Launch& launch) {
  if (::mount("tmpfs", launch.root.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=16m") != 0) return false;
  ::mkdir((launch.temporary).c_str(), 0);
  ::chmod((launch.temporary).c_str(), 01777);
  for (const ViewItem& item : launch.view) {
    bool made = false;
    switch (item.kind) {
      case ViewItem::Kind::kLink: made = ::symlink(item.from.c_str(), item.to.c_str()) == 0; break;
      case ViewItem::Kind::kDirectory:
      case ViewItem::Kind::kFile: made = bind_read_only(item); break;
      case ViewItem::Kind::kDevice: made = bind_device(item); break;
    }
    if (!made) return false;
  }
  // Where /proc may not be mounted (a container that hides parts of it) it stays empty.
  ::mkdir(launch.proc.c_str(), 0555);
  ::mount("proc", launch.proc.c_str(), "proc", MS_NOSUID | MS_NODEV, nullptr);
  make_parents(launch.own_parents);
  return ::mount(launch.options->directory.c_str(), launch.own.c_str(), nullptr, MS_BIND, nullptr) == 0;
}

bool enter_view(const Launch& launch) {
  if (::chdir(launch.root.c_str()) != 0) return false;
  if (::syscall(SYS_pivot_root, ".", ".") != 0) return false;
  return ::umount2(".", MNT_DETACH) == 0 && ::chdir("/") == 0;
}

bool loopback_up() {
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return errno == EAFNOSUPPORT;
  struct ifreq request{};
  std::memcpy(request.ifr_name, "lo", 3);
  request.ifr_flags = IFF_UP;
  const bool up = ::ioctl(fd, SIOCSIFFLAGS, &request) == 0;
  const int why = errno;
  ::close(fd);
  errno = why;
  return up;
}

// A dump would hold the data, unencrypted, where nobody removes it: SIGQUIT makes Redis leave one.
// core(5): a limit of 1 keeps it from a program that takes dumps by a pipe, too.
bool leave_no_core_dump() {
  const struct rlimit none{1, 1}, nothing{0, 0};  // where the limit is 0 already, it can't be raised
  return ::setrlimit(RLIMIT_CORE, &none) == 0 || ::setrlimit(RLIMIT_CORE, &nothing) == 0;
}

bool become_account(const IsolationOptions& options) {
  if (options.uid || options.gid) {
    if (::setgroups(0, nullptr) != 0) return false;
    if (options.gid && ::setresgid(*options.gid, *options.gid, *options.gid) != 0) return false;
    if (options.uid && ::setresuid(*options.uid, *options.uid, *options.uid) != 0) return false;
  }
  return leave_no_core_dump() && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

// The first process of a namespace takes all others with it. Otherwise a server that is
// asked to quit at once ends its children.
bool die_with_parent(const Launch& launch, IsolationLevel level) {
  if (::prctl(PR_SET_PDEATHSIG, level == IsolationLevel::kSealed ? SIGKILL : SIGQUIT, 0, 0, 0) != 0) return false;
  // The parent may have died before that: then nobody holds the other end.
  struct pollfd life{launch.life, POLLIN, 0};
  errno = ECHILD;
  return ::poll(&life, 1, 0) == 0;
}

void take_standard_streams(const Launch& launch) {
  const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ::dup2(null, STDIN_FILENO);
  ::dup2(launch.log, STDOUT_FILENO);
  ::dup2(launch.log, STDERR_FILENO);
  ::syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC);
}

// Runs in the child; only system calls. Never returns.
[[noreturn]] void run_child(const Launch& launch, IsolationLevel level) {
  ::setsid();
  if (level != IsolationLevel::kNone && !launch.uid_map.empty() && !map_account(launch)) give_up(launch, Step::kUsers);
  if (level == IsolationLevel::kSealed) {
    if (::mount("none", "/", nullptr, MS_PRIVATE | MS_REC, nullptr) != 0) give_up(launch, Step::kMounts);
    if (!make_view(launch)) give_up(launch, Step::kView);
    if (!enter_view(launch)) give_up(launch, Step::kRoot);
  }
  if (level != IsolationLevel::kNone && !loopback_up()) give_up(launch, Step::kNetwork);
  if (!become_account(*launch.options)) give_up(launch, Step::kAccount);
  if (!die_with_parent(launch, level)) give_up(launch, Step::kParent);
  plain_signals();
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  take_standard_streams(launch);
  if (::chdir(launch.options->working_directory.c_str()) == 0)
    ::execve(launch.argv[0], launch.argv.data(), launch.environment.data());
  give_up(launch, Step::kStart);
}

// Unless it is there already. What a link leads to is bound under the link's own path.
Result<void> add_program(FileSystem& fs, Launch& launch, const std::string& path) {
  const std::string to = launch.root + path;
  const bool seen = std::any_of(launch.view.begin(), launch.view.end(),
                                [&](const ViewItem& item) { return to == item.to || to.starts_with(item.to + "/"); });
  if (seen) return {};
  const std::string there = resolved_path(path);
  const auto status = fs.stat(there);
  if (!status.ok()) return {};
  if (there == "/") return make_error(ErrorCode::kInternal, "a sealed process is not to see all of the machine");
  ViewItem item{there, to, ViewItem::Kind::kDirectory, parents_of(launch.root, path)};
  if (!S_ISDIR(status->st_mode)) {
    item.kind = ViewItem::Kind::kFile;
    item.parents.pop_back();
  }
  launch.view.push_back(std::move(item));
  return {};
}

Result<void> prepare_view(FileSystem& fs, Launch& launch) {
  const IsolationOptions& options = *launch.options;
  launch.root = join_path(options.directory, "root");
  TRY(make_directories(fs, launch.root));
  launch.own = launch.root + options.directory;
  launch.own_parents = parents_of(launch.root, options.directory);
  launch.proc = launch.root + "/proc";
  launch.temporary = launch.root + "/tmp";
  for (const std::string path : kSystemDirectories) {
    const auto status = fs.stat(path);
    if (!status.ok()) continue;
    ViewItem item{path, launch.root + path, ViewItem::Kind::kDirectory, parents_of(launch.root, path)};
    if (S_ISLNK(status->st_mode)) {
      item.kind = ViewItem::Kind::kLink;
      item.from = TRY(fs.read_link(path));
    }
    launch.view.push_back(std::move(item));
  }
  for (const std::string& path : options.programs) TRY(add_program(fs, launch, path));
  for (const std::string path : kDevices)
    launch.view.push_back({path, launch.root + path, ViewItem::Kind::kDevice, parents_of(launch.root, "/dev")});
  return {};
}

unsigned long flags_of(const Launch& launch, IsolationLevel level) {
  unsigned long flags = SIGCHLD;
  if (level == IsolationLevel::kNone) return flags;
  if (!launch.uid_map.empty()) flags |= CLONE_NEWUSER;
  flags |= CLONE_NEWNET;
  if (level == IsolationLevel::kSealed) flags |= CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS;
  return flags;
}

// One attempt. The failure's `why` is 0 when the program runs.
struct Attempt {
  pid_t pid = -1;
  Failure failure;
};

Result<Attempt> attempt(Launch& launch, IsolationLevel level) {
  std::array<int, 2> report{}, life{};
  if (::pipe2(report.data(), O_CLOEXEC) != 0) return Error::from_errno(errno, "can't create a pipe");
  if (::pipe2(life.data(), O_CLOEXEC) != 0) {
    const int why = errno;
    ::close(report[0]);
    ::close(report[1]);
    return Error::from_errno(why, "can't create a pipe");
  }
  launch.report = report[1];
  launch.life = life[0];
  sigset_t all, before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);  // no handler of ours may run in the child
  Attempt made;
  made.pid = static_cast<pid_t>(::syscall(SYS_clone, flags_of(launch, level), nullptr, nullptr, nullptr, nullptr));
  if (made.pid == 0) {
    ::close(life[1]);  // or nobody's death would be seen
    run_child(launch, level);
  }
  made.failure.why = made.pid < 0 ? errno : 0;
  made.failure.step = Step::kMounts;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ::close(report[1]);
  if (made.pid > 0) {
    ssize_t got = 0;
    do {
      got = ::read(report[0], &made.failure, sizeof made.failure);
    } while (got < 0 && errno == EINTR);
    if (made.failure.why != 0) ::waitpid(made.pid, nullptr, 0);
  }
  ::close(report[0]);
  ::close(life[0]);
  ::close(life[1]);
  return made;
}

Result<Launch> prepare(FileSystem& fs, const IsolationOptions& options) {
  CHECK(!options.argv.empty());
  Launch launch;
  launch.options = &options;
  TRY(prepare_view(fs, launch));
  if (::geteuid() != 0) {
    launch.uid_map = fmt::format("{0} {0} 1\n", ::geteuid());
    launch.gid_map = fmt::format("{0} {0} 1\n", ::getegid());
  }
  for (const std::string& argument : options.argv) launch.argv.push_back(const_cast<char*>(argument.c_str()));
  launch.argv.push_back(nullptr);
  for (const auto& [name, value] : options.environment) launch.environment_texts.push_back(name + "=" + value);
  for (std::string& text : launch.environment_texts) launch.environment.push_back(text.data());
  launch.environment.push_back(nullptr);
  return launch;
}

}  // namespace

std::string_view isolation_name(IsolationLevel level) {
  switch (level) {
    case IsolationLevel::kSealed: return "sealed";
    case IsolationLevel::kNetwork: return "network";
    case IsolationLevel::kNone: break;
  }
  return "none";
}

Result<std::unique_ptr<IsolatedProcess>> IsolatedProcess::start(FileSystem& fs, const IsolationOptions& options) {
  Launch launch = TRY(prepare(fs, options));
  const int log = ::open(options.log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (log < 0) return Error::from_errno(errno, options.log_path);
  launch.log = log;
  std::string why_not_more;
  auto outcome = [&]() -> Result<std::unique_ptr<IsolatedProcess>> {
    for (const IsolationLevel level : {IsolationLevel::kSealed, IsolationLevel::kNetwork, IsolationLevel::kNone}) {
      if (level < options.strictest) continue;
      const Attempt made = TRY(attempt(launch, level));
      if (made.failure.why == 0)
        return std::unique_ptr<IsolatedProcess>(new IsolatedProcess(made.pid, level, why_not_more));
      const std::string problem = fmt::format("{}: {}", words_of(made.failure.step), std::strerror(made.failure.why));
      if (made.pid > 0 && (made.failure.step == Step::kStart || level == IsolationLevel::kNone))
        return Error::from_errno(made.failure.why, fmt::format("can't run {}", options.argv[0]));
      why_not_more += fmt::format("{}{}: {}", why_not_more.empty() ? "" : "; ", isolation_name(level), problem);
    }
    return make_error(ErrorCode::kSubprocess, "can't run {}: {}", options.argv[0], why_not_more);
  }();
  ::close(log);
  return outcome;
}

IsolatedProcess::~IsolatedProcess() {
  if (!running()) return;
  // A PostgreSQL that is killed leaves its shared memory to the machine, unless that goes with a namespace.
  if (level_ == IsolationLevel::kSealed) {
    kill_and_reap();
    return;
  }
  ignore(end(SIGQUIT, kQuitPatience, system_clock()), "it is killed when it does not quit");
}

void IsolatedProcess::kill_and_reap() {
  ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) continue;
  ended_ = true;
}

bool IsolatedProcess::running() {
  if (!ended_) ended_ = ::waitpid(pid_, nullptr, WNOHANG) != 0;
  return !ended_;
}

Result<void> IsolatedProcess::end(int signal, Duration deadline, Clock& clock) {
  const Duration until = clock.monotonic() + deadline;
  if (running()) ::kill(pid_, signal);
  while (running()) {
    if (clock.monotonic() > until) {
      kill_and_reap();
      return make_error(ErrorCode::kTimeout, "process {} did not end within {}", pid_, format_duration(deadline));
    }
    clock.sleep(kPollInterval);
  }
  return {};
}

}  // namespace holdfast
