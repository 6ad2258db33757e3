#include "servers/program.h"

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>

#include "servers/scratch.h"
#include "servers/wait.h"

namespace holdfast::servers {
namespace {

[[noreturn]] void become(const std::vector<std::string>& words, const std::string& log) {
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  setsid();
  const int in = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  dup2(in, 0);
  dup2(out, 1);
  dup2(out, 2);
  const ServerUser user = server_user();
  if (user.uid && (setgroups(0, nullptr) != 0 || setgid(*user.gid) != 0 || setuid(*user.uid) != 0)) _exit(126);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (chdir("/") != 0) _exit(126);
  execvp(argv[0], argv.data());
  _exit(127);
}

}  // namespace

std::string holdfast_program() {
  const char* other = getenv("HOLDFAST_PROGRAM");
  return reachable(other != nullptr ? other : HOLDFAST_PROGRAM);
}

Result<CommandOutcome> run_holdfast(const std::vector<std::string>& words, Duration deadline) {
  std::vector<std::string> argv = {holdfast_program()};
  argv.insert(argv.end(), words.begin(), words.end());
  return run_command(as_server_user(std::move(argv), deadline));
}

Result<nlohmann::json> run_holdfast_json(std::vector<std::string> words, Duration deadline) {
  words.push_back("--json");
  std::string line = "holdfast";
  for (const std::string& word : words) line += " " + word;
  const auto outcome = TRY(run_holdfast(words, deadline));
  if (outcome.exit_status != 0) {
    return make_error(ErrorCode::kSubprocess, "{} ended with {}: {}{}", line, outcome.exit_status, outcome.output,
                      outcome.error_output);
  }
  auto document = nlohmann::json::parse(outcome.output, nullptr, false);
  if (document.is_discarded()) {
    return make_error(ErrorCode::kInvalidData, "{} printed what is not JSON: {}", line, outcome.output);
  }
  return document;
}

Result<std::unique_ptr<BackgroundProgram>> BackgroundProgram::start(std::vector<std::string> argv,
                                                                    const std::string& log) {
  const pid_t pid = fork();
  if (pid < 0) return Error::from_errno(errno, "fork");
  if (pid == 0) become(argv, log);
  return std::unique_ptr<BackgroundProgram>(new BackgroundProgram(pid, log));
}

BackgroundProgram::~BackgroundProgram() { kill(); }

bool BackgroundProgram::running() {
  if (pid_ == -1) return false;
  if (waitpid(pid_, &status_, WNOHANG) != pid_) return true;
  pid_ = -1;
  return false;
}

Result<int> BackgroundProgram::stop(Duration deadline) {
  if (running()) ::kill(pid_, SIGTERM);
  if (!wait_until([&] { return !running(); }, deadline)) {
    kill();
    return make_error(ErrorCode::kTimeout, "the program did not stop: {}", output());
  }
  return WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_);
}

void BackgroundProgram::kill() {
  if (!running()) return;
  ::kill(pid_, SIGKILL);
  waitpid(pid_, &status_, 0);
  pid_ = -1;
}

std::string BackgroundProgram::output() const {
  std::ifstream file(log_);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace holdfast::servers
