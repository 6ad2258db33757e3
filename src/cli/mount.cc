#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "base/places.h"
#include "cli/commands.h"
#include "cli/mount_fs.h"
#include "cli/program.h"

namespace holdfast::cli {

namespace {

struct MountCommand {
  MountOptions options;
  bool daemon = false;
};

// What is mounted on what a component captures would be in its next backup.
Result<void> check_unprotected(const recovery::StackConfig& stack, const std::string& directory) {
  FileSystem& fs = real_file_system();
  for (const recovery::ComponentConfig& component : stack.components) {
    std::vector<std::string> places = {component.postgres.data_directory, component.redis.data_directory};
    if (component.kind == "files" && !component.files.one_file_system) places = component.files.paths;
    for (const std::string& place : places) {
      if (place.empty() || !lies_in(fs, directory, place)) continue;
      return make_error(ErrorCode::kRefused, "{} lies in {}, which component {} protects: the mount would be captured",
                        directory, place, component.name)
          .with_hint("mount it elsewhere");
    }
  }
  return {};
}

Result<void> serve(Context& context, const MountOptions& options, const std::function<void(size_t points)>& ready) {
  auto workspace = TRY(context.open());
  TRY(check_unprotected(workspace->stack(), options.directory));
  TRY(workspace->hold_for_reading("mount"));
  recovery::PointBrowser browser(*workspace);
  const size_t points = TRY(browser.points()).size();
  // From here on these signals are libfuse's, which takes only those that nobody handles.
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) signal(number, SIG_DFL);
  return serve_mount(browser, workspace->repository(), options, [&] { ready(points); });
}

// In the background process, once it serves: a session and standard streams of its own.
void detach(int ready_pipe) {
  setsid();
  const int nothing = open("/dev/null", O_RDWR);
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) dup2(nothing, stream);
  if (nothing > STDERR_FILENO) close(nothing);
  const char ready = 1;
  if (write(ready_pipe, &ready, 1) != 1) return;
  close(ready_pipe);
}

// Forks before anything is open, for threads do not live through a fork, and ends
// this process once the other one serves, or with the other's exit status.
Result<void> serve_in_background(Context& context, const MountOptions& options) {
  int ends[2];
  if (pipe(ends) != 0) return Error::from_errno(errno, "pipe");
  const pid_t child = fork();
  if (child < 0) return Error::from_errno(errno, "fork");
  if (child == 0) {
    close(ends[0]);
    return serve(context, options, [&](size_t) { detach(ends[1]); });
  }
  close(ends[1]);
  char ready = 0;
  const bool serving = read(ends[0], &ready, 1) == 1;
  close(ends[0]);
  if (serving) {
    context.set_document("mount", {{"directory", options.directory}, {"pid", child}});
    context.say("serving at {} as process {}; 'fusermount3 -u {}' ends it", options.directory, child,
                options.directory);
    return {};
  }
  int status = 0;
  waitpid(child, &status, 0);
  // The child has said why.
  std::_Exit(WIFEXITED(status) && WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : exit_status(ErrorCode::kInternal));
}

Result<void> run(Context& context, const MountCommand& command) {
  MountOptions options = command.options;
  options.directory = absolute_path(options.directory);
  const auto info = TRY(real_file_system().stat(options.directory));
  if (!S_ISDIR(info.st_mode)) return make_error(ErrorCode::kUsage, "{} is not a directory", options.directory);
  if (!TRY(is_empty_directory(real_file_system(), options.directory)))
    return make_error(ErrorCode::kRefused, "{} is not empty: what is in it would be hidden", options.directory)
        .with_hint("mount on an empty directory");
  if (command.daemon) return serve_in_background(context, options);
  return serve(context, options, [&](size_t points) {
    context.say("serving {} point{} at {}; Ctrl-C or 'fusermount3 -u' ends it", points, points == 1 ? "" : "s",
                options.directory);
    std::fflush(stdout);
  });
}

}  // namespace

void add_mount(Program& program) {
  auto mount = std::make_shared<MountCommand>();
  CLI::App* command = program.command("mount", "Browse the points as a read-only file system (FUSE).");
  command->add_option("directory", mount->options.directory, "an empty directory to mount on")
      ->type_name("DIR")
      ->required();
  command->add_flag("-d,--daemon", mount->daemon, "go to the background once it is mounted");
  command->add_flag("--allow-other", mount->options.allow_other,
                    "let other users in (needs user_allow_other in /etc/fuse.conf)");
  program.examples(command,
                   "holdfast mount /mnt/points\n"
                   "ls /mnt/points/latest/files\n"
                   "cp /mnt/points/points/2026-03-01T09-30-00Z-3f0a91c2/files/srv/lost .\n"
                   "holdfast mount -d /mnt/points; fusermount3 -u /mnt/points");
  program.on(command, [mount](Context& context) { return run(context, *mount); });
}

}  // namespace holdfast::cli
