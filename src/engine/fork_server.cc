#include "engine/fork_server.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "engine/process_identity.h"
#include "engine/supervisor.h"

namespace holdfast::engine {
namespace {

constexpr size_t kMaxDirectory_bytes = 4096;  // PATH_MAX
constexpr std::string_view kTitle = "holdfast __supervise ";

// A message of a text and room for one descriptor.
struct Packet {
  Packet(char* text, size_t size) : part{text, size} {
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = &room;
    header.msg_controllen = sizeof room;
  }
  Packet(const Packet&) = delete;

  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> room{};
  iovec part;
  msghdr header{};
};

// The directory as one message, with the supervisor's end of its channel.
bool send_request(int server, const std::string& directory, int descriptor) {
  Packet packet(const_cast<char*>(directory.data()), directory.size());
  cmsghdr* header = CMSG_FIRSTHDR(&packet.header);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof descriptor);
  std::memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
  ssize_t sent = -1;
  do {
    sent = ::sendmsg(server, &packet.header, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent >= 0;
}

// The next request: its directory and descriptor; a descriptor of -1 when no more will come.
std::pair<std::string, int> receive_request() {
  std::string directory(kMaxDirectory_bytes, '\0');
  Packet packet(directory.data(), directory.size());
  ssize_t got = -1;
  do {
    got = ::recvmsg(STDIN_FILENO, &packet.header, MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  const cmsghdr* header = got > 0 ? CMSG_FIRSTHDR(&packet.header) : nullptr;
  if (header == nullptr || header->cmsg_type != SCM_RIGHTS) return {"", -1};
  int descriptor = -1;
  std::memcpy(&descriptor, CMSG_DATA(header), sizeof descriptor);
  directory.resize(static_cast<size_t>(got));
  return {std::move(directory), descriptor};
}

// Shows in `ps` which attempt this process owns. The kernel reads a command line that was
// overwritten up to its last byte on into the environment (proc(5), /proc/PID/cmdline), of
// which ForkServer::start() has made room enough.
void retitle(char* command_line, const std::string& directory) {
  if (environ == nullptr || environ[0] == nullptr) return;
  char* const end = environ[0] + std::strlen(environ[0]);
  const std::string title = supervisor_title(directory);
  const size_t room = static_cast<size_t>(end - command_line);
  std::memset(command_line, 0, room);
  std::memcpy(command_line, title.data(), std::min(title.size(), room - 1));
}

}  // namespace

std::string supervisor_title(const std::string& directory) { return std::string(kTitle) + directory; }

Result<void> ForkServer::start() {
  end();
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return Error::from_errno(errno, "can't create a socket");
  }
  Channel ours(ends[0]), theirs(ends[1]);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, theirs.descriptor(), STDIN_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK);
  // Of our environment it gets nothing: a step's comes with its order. This is room for titles.
  std::string name = "holdfast", mode = "__supervisors";
  std::string room = "TITLE=" + std::string(kTitle.size() + kMaxDirectory_bytes, ' ');
  char* argv[] = {name.data(), mode.data(), nullptr};
  char* environment[] = {room.data(), nullptr};
  pid_t pid = -1;
  const int why = ::posix_spawn(&pid, program_.c_str(), &actions, &attributes, argv, environment);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (why != 0) return Error::from_errno(why, "can't start the process that starts supervisors");
  server_ = std::move(ours);
  pid_ = pid;
  return {};
}

void ForkServer::end() {
  server_.close();
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);  // it holds nothing, and may have been stopped
  ::waitpid(std::exchange(pid_, -1), nullptr, 0);
}

Result<Channel> ForkServer::supervisor(const std::string& directory) {
  if (directory.size() > kMaxDirectory_bytes) return Error::from_errno(ENAMETOOLONG, directory);
  auto [ours, theirs] = TRY(Channel::pair());
  if (server_.open() && send_request(server_.descriptor(), directory, theirs.descriptor())) return std::move(ours);
  TRY(start());
  if (send_request(server_.descriptor(), directory, theirs.descriptor())) return std::move(ours);
  return Error::from_errno(errno, "can't reach the process that starts supervisors");
}

int serve_forks(char* command_line) {
  ::syscall(SYS_close_range, 3U, ~0U, 0);
  ::prctl(PR_SET_NAME, "holdfast");  // it was started as /proc/self/exe
  ::signal(SIGCHLD, SIG_IGN);        // the kernel reaps the supervisors: nobody waits for them
  for (;;) {
    const auto [directory, descriptor] = receive_request();
    if (descriptor < 0) return 0;
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::dup2(descriptor, STDIN_FILENO);
      ::close(descriptor);
      retitle(command_line, directory);
      ::_exit(supervise(directory));
    }
    Channel engine(descriptor);
    if (pid > 0) continue;
    const Error error = Error::from_errno(errno, "can't start a supervisor");
    const Json refusal{{"error", error.message()}, {"code", static_cast<int>(error.code())}};
    ignore(engine.send(refusal.dump()), "an engine that has gone needs no supervisor");
  }
}

}  // namespace holdfast::engine
