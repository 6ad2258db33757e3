#include "cli/program.h"

#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <regex>
#include <string_view>
#include <thread>
#include <vector>

#include "base/errors.h"
#include "base/log.h"
#include "cli/drill.h"
#include "cli/help.h"
#include "cli/option_values.h"
#include "cli/sentence.h"
#include "cli/signals.h"
#include "cli/terminal.h"
#include "cli/version.h"
#include "recovery/drill_registry.h"
#include "recovery/scratch_sweep.h"
#include "recovery/stack.h"

namespace holdfast::cli {

namespace {

constexpr size_t kWidestHelp = 100;

// Calls `bark` when it has not been destroyed within `limit`.
class Watchdog {
 public:
  Watchdog(Duration limit, std::function<void()> bark)
      : thread_([this, limit, bark = std::move(bark)] {
          std::unique_lock lock(mutex_);
          if (!ended_.wait_for(lock, std::chrono::nanoseconds(limit.ns), [this] { return over_; })) bark();
        }) {}
  ~Watchdog() {
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    ended_.notify_all();
    thread_.join();
  }
  Watchdog(const Watchdog&) = delete;

 private:
  std::mutex mutex_;
  std::condition_variable ended_;
  bool over_ = false;
  std::thread thread_;  // the last: it uses the others
};

// Outermost context first, as one line; the hint stands on a line of its own.
std::string message_of(const Error& error) {
  std::string text;
  for (auto context = error.context().rbegin(); context != error.context().rend(); ++context) text += *context + ": ";
  return printable(one_line(text + error.message()));
}

Json error_document(const Error& error) {
  Json document = {{"code", std::string(error_name(error.code()))},
                   {"exit_status", exit_status(error.code())},
                   {"message", message_of(error)}};
  if (!error.hint().empty()) document["hint"] = error.hint();
  if (error.retryable()) document["retryable"] = true;
  if (error.data_loss()) document["data_loss"] = true;
  return document;
}

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(command->get_name());
  return names;
}

std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* level = &app; level != nullptr; level = level->get_parent()) {
    for (const CLI::Option* option : level->get_options()) {
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    }
  }
  return names;
}

// The parser's words for a value that is no number, or none in the range.
std::string in_our_words(const std::string& message) {
  static const std::regex no_number(R"(could not convert: (\S+) = ([^]*))");
  static const std::regex out_of_range(R"((\S+): Value ([^]*) not in range (\d+) to (\d+))");
  constexpr size_t kLongest = 200;  // beyond it a regular expression may take much of the stack
  if (message.size() > kLongest) return message;
  std::smatch part;
  if (std::regex_match(message, part, no_number))
    return fmt::format("{} wants a number, not '{}'", part.str(1), part.str(2));
  if (std::regex_match(message, part, out_of_range))
    return fmt::format("{} wants a number from {} to {}, not '{}'", part.str(1), part.str(3), part.str(4), part.str(2));
  return message;
}

// Disaster is being recovered from, or a server waits: nothing else is done first.
bool is_urgent(const std::string& command) {
  for (const std::string_view word : {"restore", "runbook", "wal"})
    if (command == word || command.starts_with(std::string(word) + " ")) return true;
  return false;
}

// What commands that were killed left on this machine.
void sweep_leftovers() {
  recovery::sweep_scratch(real_file_system(), system_clock(), drill_registry());
  if (const auto swept = recovery::sweep_drills(real_file_system(), system_clock(), drill_registry()); !swept.ok())
    log_warn("drill.not_swept", {{"error", swept.error().text()}});
}

}  // namespace

Program::Program() : root_("Disaster recovery: protect, prove and restore PostgreSQL, Redis and files.", "holdfast") {
  root_.set_help_flag();
  root_.require_subcommand(1);
  root_.fallthrough();
  root_.footer(
      "holdfast init         # find a database, write holdfast.yaml\n"
      "holdfast backup       # take a recovery point\n"
      "holdfast points       # list what can be restored\n"
      "holdfast restore --at '10 minutes ago' --to /srv/restored");
  add_global_options();
}

void Program::add_global_options() {
  GlobalOptions& options = context_.options();
  const auto text = [&](const char* name, std::optional<std::string>& out, const char* type, const char* description) {
    root_.add_option(name, out, description)->type_name(type)->group("Global options");
  };
  text("--config", options.overrides.config, "FILE",
       "the stack's file (else $HOLDFAST_CONFIG, ./holdfast.yaml, /etc/holdfast/holdfast.yaml)");
  text("--repository", options.overrides.repository, "DIR", "location of the repository, instead of the file's");
  text("--passphrase", options.overrides.passphrase, "REF",
       "where its passphrase is: file:PATH, env:NAME or exec:COMMAND");
  text("--stack", options.overrides.stack, "NAME",
       "without a file: whose points, where the repository has several stacks'");
  root_
      .add_option("--threads", options.overrides.threads,
                  "workers (default: as many as cores); a restore may use two threads for each")
      ->type_name("N")
      ->check(CLI::Range(1, 256).description(""))
      ->group("Global options");
  root_.add_flag("--json", options.json, "one JSON document on standard output (docs/json.md)")
      ->group("Global options");
  root_.add_flag("-q,--quiet", options.quiet, "only results and errors: no progress, no notes")
      ->group("Global options");
  root_.add_flag("-v,--verbose", options.verbose, "say more of what is done (events on standard error)")
      ->group("Global options");
  root_.add_flag("-h,--help", help_, "show help and end")->group("Global options");
  root_.add_flag("--version", version_, "show the version and end")->group("Global options");
}

CLI::App* Program::command(const std::string& name, const std::string& summary, CLI::App* parent) {
  CLI::App* added = (parent == nullptr ? &root_ : parent)->add_subcommand(name, summary);
  added->set_help_flag();
  added->fallthrough();
  return added;
}

void Program::on(CLI::App* command, Run run) {
  // Of a command and one below it the one below runs, though the other is called, too.
  command->callback([this, command, run = std::move(run)] {
    if (command->get_subcommands().empty()) run_ = run;
  });
}

CLI::App* Program::chosen() {
  CLI::App* app = &root_;
  while (!app->get_subcommands().empty()) app = app->get_subcommands().front();
  return app;
}

int Program::finish(const Result<void>& result) {
  if (context_.json()) {
    Json document = context_.document().value_or(Json::object());
    if (!result.ok()) document["error"] = error_document(result.error());
    if (!document.empty())
      context_.write(document.dump(context_.compact() ? -1 : 2, ' ', false, Json::error_handler_t::replace) + "\n");
  } else if (!result.ok()) {
    std::fflush(stdout);
    const size_t width = width_of_lines(STDERR_FILENO);
    std::fputs(sentence("holdfast: " + message_of(result.error()), width).c_str(), stderr);
    if (!result.error().hint().empty())
      std::fputs(sentence("hint: " + printable(result.error().hint()), width).c_str(), stderr);
  }
  // A buffer that could not be written is dropped: only the mark of it stays.
  const bool written = std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
  if (!result.ok()) return exit_rule_ ? exit_rule_(result.error()) : exit_status(result.error().code());
  if (written) return 0;
  const Error unwritten = make_error(ErrorCode::kIo, "standard output could not be written");
  return exit_rule_ ? exit_rule_(unwritten) : exit_status(unwritten.code());
}

// "runbook lint"; "" of the program itself.
std::string Program::path_of(const CLI::App& app) const {
  std::string path;
  for (const CLI::App* level = &app; level != &root_; level = level->get_parent())
    path = path.empty() ? level->get_name() : level->get_name() + " " + path;
  return path;
}

int Program::show_help() {
  CLI::App* app = chosen();
  const std::string path = path_of(*app);
  const size_t width = std::min(terminal_width(STDOUT_FILENO), kWidestHelp);
  context_.write(help_text(describe(*app, path), global_options(root_), width));
  return 0;
}

bool Program::names_no_command() {
  const auto remaining = root_.remaining(true);
  return !remaining.empty() && !remaining.front().starts_with('-') && !command_names(*chosen()).empty();
}

int Program::parse_failure(const CLI::ParseError& error) {
  const CLI::App& app = *chosen();
  const std::string path = path_of(app);
  const std::string see = fmt::format("see 'holdfast{}{} --help'", path.empty() ? "" : " ", path);
  const auto remaining = root_.remaining(true);
  if (!remaining.empty()) {
    const std::string& word = remaining.front();
    const bool option = word.starts_with('-') && word.size() > 1;
    const bool command = !option && !command_names(app).empty();
    const std::string nearest = option    ? recovery::nearest_word(word.substr(0, word.find('=')), option_names(app))
                                : command ? recovery::nearest_word(word, command_names(app))
                                          : "";
    return finish(make_error(ErrorCode::kUsage, "{} '{}'",
                             option    ? "unknown option"
                             : command ? "unknown command"
                                       : "unexpected argument",
                             word)
                      .with_hint(nearest.empty() ? see : fmt::format("did you mean '{}'? {}", nearest, see)));
  }
  if (app.get_require_subcommand_min() > 0) {
    return finish(make_error(ErrorCode::kUsage, "a command is missing: {}", fmt::join(command_names(app), ", "))
                      .with_hint(std::string(see)));
  }
  std::string message = error.what();
  if (message.size() > 1 && std::isupper(static_cast<unsigned char>(message[0])) &&
      std::islower(static_cast<unsigned char>(message[1]))) {
    message[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(message[0])));
  }
  return finish(make_error(ErrorCode::kUsage, "{}", in_our_words(message)).with_hint(std::string(see)));
}

Result<void> Program::within(Duration limit, const std::string& what, const std::function<Result<void>()>& work) {
  const Watchdog watchdog(limit, [&] {
    const int status = finish(
        make_error(ErrorCode::kTimeout, "{} has not ended within {}", what, format_duration(limit)).with_retryable());
    std::fflush(nullptr);
    std::_Exit(status);
  });
  return work();
}

int Program::run(int argc, char** argv) {
  help_ = argc == 1;
  // "help" and "help COMMAND", as of other programs; nothing else is called so.
  std::vector<char*> words(argv, argv + argc);
  if (argc > 1 && std::string_view(argv[1]) == "help") {
    help_ = true;
    words.erase(words.begin() + 1);
    argc--;
  }
  argv = words.data();
  // To PostgreSQL a small exit status of restore_command means "no such file",
  // even where the command line itself could not be read.
  bool wal = false;
  for (int i = 1; i < argc; i++) {
    // Options may stand between the two.
    if (wal && std::string_view(argv[i]) == "get") set_exit_status([](const Error&) { return kRestoreCommandTrouble; });
    wal = wal || std::string_view(argv[i]) == "wal";
  }
  bool json_failures = false;
  for (int i = 1; i < argc && std::string_view(argv[i]) != "--"; i++) {
    const std::string_view argument = argv[i];
    help_ = help_ || argument == "--help" || argument == "-h";
    version_ = version_ || argument == "--version";
    // What is wrong with the command line itself is told as JSON too.
    const bool format = argument == "--format" && i + 1 < argc && std::string_view(argv[i + 1]) == "json";
    if (argument == "--json" || format || argument == "--format=json") json_failures = true;
  }
  if (version_) {
    context_.write(fmt::format("holdfast {}\n", kVersion));
    return 0;
  }
  std::vector<std::string> arguments(argv + 1, argv + argc);
  if (!help_) {
    auto checked = check_option_values(root_, std::move(arguments));
    if (!checked.ok()) {
      context_.options().json = json_failures;
      return finish(std::move(checked).error());
    }
    arguments = std::move(*checked);
  }
  try {
    std::reverse(arguments.begin(), arguments.end());  // as the parser wants them
    root_.parse(std::move(arguments));
  } catch (const CLI::ParseError& error) {
    if (help_ && !names_no_command()) return show_help();
    context_.options().json = json_failures;
    return parse_failure(error);
  }
  if (help_) return show_help();
  if (context_.options().verbose) set_log_level(LogLevel::kInfo);
  stop_on_signals();
  CHECK(run_ != nullptr);
  try {
    if (!is_urgent(path_of(*chosen()))) sweep_leftovers();
    return finish(run_(context_));
  } catch (const std::exception& exception) {
    // Nothing of ours throws: a library's exception got past its adapter.
    return finish(make_error(ErrorCode::kInternal, "{}", exception.what()));
  }
}

}  // namespace holdfast::cli
