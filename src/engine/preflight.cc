#include "engine/preflight.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <system_error>

#include "base/units.h"
#include "engine/restore_words.h"
#include "runbook/shell/parser.h"

namespace holdfast::engine {
namespace {

constexpr uint64_t kRoomForJournal_bytes = 32 * kMiB;

bool is_builtin(const std::string& word) {
  static const std::set<std::string> kBuiltins = {
      ".",       ":",         "[",        "[[",     "alias",   "bg",      "break",  "cd",      "command", "continue",
      "declare", "dirs",      "echo",     "eval",   "exec",    "exit",    "export", "false",   "fg",      "getopts",
      "hash",    "jobs",      "kill",     "let",    "local",   "mapfile", "popd",   "printf",  "pushd",   "pwd",
      "read",    "readarray", "readonly", "return", "set",     "shift",   "shopt",  "source",  "test",    "time",
      "times",   "trap",      "true",     "type",   "typeset", "ulimit",  "umask",  "unalias", "unset",   "wait",
      "caller",  "disown",    "builtin",  "enable", "help",    "history", "logout", "suspend"};
  return kBuiltins.contains(word);
}

bool on_path(const std::string& program, std::string_view search) {
  while (!search.empty()) {
    const size_t end = std::min(search.find(':'), search.size());
    const std::string candidate = join_path(search.substr(0, end), program);
    if (end > 0 && ::access(candidate.c_str(), X_OK) == 0) return true;
    search.remove_prefix(std::min(end + 1, search.size()));
  }
  return false;
}

class Inspector {
 public:
  Inspector(FileSystem& fs, const PreflightRequest& request) : fs_(fs), request_(request) {}

  void look_at(const Plan& plan, const Step& step) {
    if (!step.skipped.empty()) return;
    if (request_.look_for_programs) look_at_programs(step);
    if (request_.look_for_programs && !step.workdir.empty() && step.kind != StepKind::kManual)
      need_directory(step.id, directory_of(step, request_.working_directory),
                     "--assume-programs, when an earlier step makes it");
    if (!is_overridden(step)) look_at_stack(plan, step);
    if (request_.unattended) look_at_people(step);
    if (step.destructive() && !is_overridden(step)) destroys_ = true;
  }

  void look_at_run() {
    need_directory("", request_.working_directory, "--workdir DIR says where steps run");
    const auto free = fs_.free_bytes(nearest_existing(request_.runs));
    if (free.ok() && *free < kRoomForJournal_bytes) {
      add("", fmt::format("only {} are free for the journal in {}", format_bytes(*free), request_.runs),
          "make room, or give --runs DIR");
    }
    if (!destroys_ || !request_.open_repository) return;
    const auto opened = request_.open_repository();
    if (!opened.ok()) {
      add("", "steps destroy, and the repository can't be opened: " + opened.error().message(),
          "--config FILE names the stack; --override STEP=REASON does without a proven recovery point");
    }
  }

  std::vector<Obstacle> take() { return std::move(found_); }

 private:
  void add(const std::string& step, std::string problem, std::string hint) {
    found_.push_back({step, std::move(problem), std::move(hint)});
  }

  void need_directory(const std::string& step, const std::string& directory, std::string hint) {
    std::error_code unlike;
    if (!std::filesystem::is_directory(directory, unlike))
      add(step, fmt::format("the folder {} does not exist{}", directory, step.empty() ? ", where steps run" : ""),
          std::move(hint));
  }

  void look_at_stack(const Plan& plan, const Step& step) {
    const std::string other =
        other_stack(plan, step, {request_.config, request_.repository, request_.working_directory, request_.variables});
    if (other.empty()) return;
    add(step.id,
        fmt::format("destroys, and its restore names another stack than the one whose point is proven: {}", other),
        fmt::format("--config FILE for the run, none in the document; or --override {}=REASON", step.id));
  }

  bool is_overridden(const Step& step) const { return request_.overrides.contains(step.id); }

  std::string nearest_existing(std::string path) const {
    for (;;) {
      const auto there = exists(fs_, path);
      if (path == "/" || path == "." || !there.ok() || *there) return path;
      path = parent_path(path);
    }
  }

  // Of what the step runs, and of the commands that say whether it may begin and how it went.
  void look_at_programs(const Step& step) {
    std::set<std::string> seen;
    if (step.kind == StepKind::kShell && step.language == "python") need(step, "python3", "");
    if (step.kind == StepKind::kShell && step.language != "python") look_at_script(step, step.script, "", seen);
    look_at_script(step, step.when, " (when=)", seen);
    if (step.kind != StepKind::kManual) look_at_script(step, step.verify, " (verify=)", seen);
    look_at_script(step, step.compensate, " (compensate=)", seen);
    if (is_overridden(step)) return;
    if (step.destructive()) look_at_script(step, step.target, " (target=)", seen);
    look_at_script(step, step.fence, " (fence=)", seen);
  }

  void look_at_script(const Step& step, const std::string& text, std::string_view where, std::set<std::string>& seen) {
    const shell::Script script = shell::parse(text);
    for (const shell::Command& command : script.commands) {
      if (command.words.empty() || command.compound) continue;  // "for", "case": no programs
      size_t at = 0;
      while (command.word(at) == "sudo" || command.word(at) == "time" || command.word(at) == "exec") at++;
      const std::string& program = command.word(at);
      const bool literal = at < command.words.size() && command.words[at].literal();
      const bool defined =
          std::find(script.functions.begin(), script.functions.end(), program) != script.functions.end();
      if (!literal || program.empty() || program.starts_with('-') || defined || is_builtin(program)) continue;
      if (seen.insert(program).second) need(step, program, where);
    }
  }

  void need(const Step& step, const std::string& program, std::string_view where) {
    if (program.find('/') == std::string::npos) {
      if (!on_path(program, request_.search_path))
        add(step.id, fmt::format("{} is not installed{}", program, where), "install it, or add its folder to PATH");
      return;
    }
    const std::string directory = directory_of(step, request_.working_directory);
    const std::string path = program.starts_with('/') ? program : join_path(directory, program);
    const auto there = exists(fs_, path);
    if (there.ok() && *there) return;
    const bool embedded =
        std::find_if(request_.embedded_files.begin(), request_.embedded_files.end(), [&](const std::string& file) {
          return base_name(file) == base_name(program);
        }) != request_.embedded_files.end();
    add(step.id, fmt::format("{} does not exist{}", path, where),
        embedded ? "the document has its text: put it there first" : "--workdir DIR says where steps run");
  }

  void look_at_people(const Step& step) {
    if (step.kind == StepKind::kManual)
      add(step.id, "is done by a person", fmt::format("--skip {}=REASON, or run it attended", step.id));
    if (!step.approve.empty()) add(step.id, "waits for the approval of " + step.approve, "run it attended");
    if (is_overridden(step)) return;
    if (step.destructive() && step.target.empty() && request_.target_host.empty()) {
      add(step.id, "destroys, and nobody says which host it is meant for",
          "--target HOST, or target=\"COMMAND\" in the document");
    }
    if (step.promotes() && step.fence.empty()) {
      add(step.id, "promotes, and nothing proves that the old primary is fenced",
          fmt::format("fence=\"COMMAND\" in the document, or --override {}=REASON", step.id));
    }
  }

  FileSystem& fs_;
  const PreflightRequest& request_;
  std::vector<Obstacle> found_;
  bool destroys_ = false;
};

}  // namespace

std::vector<Obstacle> find_obstacles(FileSystem& fs, const Plan& plan, const PreflightRequest& request) {
  Inspector inspector(fs, request);
  for (const Step& step : plan.steps) inspector.look_at(plan, step);
  inspector.look_at_run();
  return inspector.take();
}

}  // namespace holdfast::engine
