#include "recovery/capture_commands.h"

#include <algorithm>
#include <cstdlib>

#include "base/log.h"
#include "base/secret_variables.h"
#include "base/subprocess.h"

namespace holdfast::recovery {

namespace {

constexpr size_t kOutputLimitBytes = 64 << 10;
constexpr size_t kLoggedBytes = 2000;
constexpr size_t kShortestSecret = 4;  // what is shorter stands in every text

// The end of what a program printed, for the log. Of more than was taken in, nothing: a
// secret may have been cut in two where the rest was dropped.
std::string words_of(const std::string& printed, const std::vector<Secret>& secrets) {
  if (printed.size() > kOutputLimitBytes) return "[more than is shown]";
  const std::string text = without_secrets(printed, secrets);
  const size_t end = text.find_last_not_of(" \n") + 1;
  return text.substr(end > kLoggedBytes ? end - kLoggedBytes : 0, std::min(end, kLoggedBytes));
}

// A variable that holds a secret goes to the command whose words name it.
void give_named_secrets(CommandOptions& options) {
  for (const std::string& name : secret_variables()) {
    const bool named = std::any_of(options.argv.begin(), options.argv.end(),
                                   [&](const std::string& word) { return word.find(name) != std::string::npos; });
    const char* value = std::getenv(name.c_str());
    if (named && value != nullptr) options.environment.emplace_back(name, value);
  }
}

}  // namespace

std::vector<Secret> known_secrets(const StackConfig& stack) {
  std::vector<std::string> references = {stack.passphrase};
  for (const ComponentConfig& component : stack.components) {
    references.push_back(component.postgres.password);
    references.push_back(component.redis.password);
  }
  std::vector<Secret> secrets;
  for (const std::string& reference : references) {
    if (reference.empty()) continue;
    auto secret = resolve_secret(reference);
    if (secret.ok()) secrets.push_back(std::move(secret).value());
  }
  return secrets;
}

std::string without_secrets(std::string text, const std::vector<Secret>& secrets) {
  constexpr std::string_view kInstead = "[secret]";
  std::vector<std::string_view> values;
  for (const Secret& secret : secrets) values.push_back(as_text(secret.reveal()));
  // One that stands within another would leave the rest of that.
  std::stable_sort(values.begin(), values.end(), [](auto a, auto b) { return a.size() > b.size(); });
  for (const std::string_view value : values) {
    if (value.size() < kShortestSecret) continue;
    for (size_t at = 0; (at = text.find(value, at)) != std::string::npos; at += kInstead.size())
      text.replace(at, value.size(), kInstead);
  }
  return text;
}

Result<void> CaptureCommands::run_before(const std::atomic<bool>& stop) {
  due_ = commands_.before.empty();
  for (const BackupCommand& command : commands_.before) {
    if (stop) return make_error(ErrorCode::kInterrupted, "the backup was stopped");
    due_ = true;
    TRY(run(command, "before_backup", &stop, false));
  }
  return {};
}

std::vector<std::string> CaptureCommands::run_after(bool captured) {
  std::vector<std::string> problems;
  if (!due_) return problems;
  due_ = false;
  for (const BackupCommand& command : commands_.after) {
    auto done = run(command, "after_backup", nullptr, captured);
    if (!done.ok()) problems.push_back(done.error().text());
  }
  return problems;
}

Result<void> CaptureCommands::run(const BackupCommand& command, const char* when, const std::atomic<bool>* stop,
                                  bool captured) {
  CommandOptions options;
  options.argv = command.argv;
  options.deadline = command.timeout;
  options.output_limit_bytes = kOutputLimitBytes;
  options.stop = stop;
  options.environment = {{"HOLDFAST_STACK", around_.stack}, {"HOLDFAST_COMPONENT", around_.name}};
  give_named_secrets(options);
  if (stop == nullptr) options.environment.emplace_back("HOLDFAST_CAPTURED", captured ? "yes" : "no");
  // Words of a command line may hold what is secret: only the program is named.
  const std::string& program = command.argv.front();
  auto outcome = run_command(options);
  if (!outcome.ok()) {
    log_warn("backup.command.failed", {{"when", std::string(when)},
                                       {"component", around_.name},
                                       {"program", program},
                                       {"error", outcome.error().text()}});
    return std::move(outcome).error().with_context(when);
  }
  const std::string output = words_of(outcome->output, secrets_);
  const std::string error_output = words_of(outcome->error_output, secrets_);
  log_event(outcome->exit_status == 0 ? LogLevel::kInfo : LogLevel::kWarn, "backup.command.ended",
            {{"when", std::string(when)},
             {"component", around_.name},
             {"program", program},
             {"status", int64_t{outcome->exit_status}},
             {"output", output},
             {"error_output", error_output}});
  if (outcome->exit_status == 0) return {};
  return make_error(ErrorCode::kSubprocess, "{}: {} ended with status {}{}{}", when, program, outcome->exit_status,
                    error_output.empty() ? "" : ": ", error_output);
}

}  // namespace holdfast::recovery
