#include "engine/launcher.h"

#include <unistd.h>

#include <charconv>
#include <optional>

#include "base/filesystem.h"
#include "crypto/digest.h"
#include "engine/state.h"

namespace holdfast::engine {
namespace {
constexpr size_t kKeyDigits = 32;
constexpr Duration kQuestionTimeout = Duration::hours(1);  // of when, target and fence: they only look
constexpr mode_t kStrictMask = 0077;

// Runs the script of a question, "$0". A pipeline whose last command succeeds says no when an earlier one failed, as
// with pipefail, but for one that died of the closed pipe (141): `list | grep -q name` ends `list` as soon as the name
// is found. It is looked at before each next command, and at the end of the script and of its functions.
constexpr const char* kQuestion = R"(holdfast_pipeline() {
  [ "${@: -1}" = 0 ] || return 0
  local status
  for status; do [ "$status" = 0 ] || [ "$status" = 141 ] || exit "$status"; done
}
trap 'holdfast_pipeline "${PIPESTATUS[@]}"' DEBUG RETURN EXIT
. "$0")";

// What a step is told, verifications and compensations take as long as they take,
// unless somebody gave a time for the step itself.
std::optional<Duration> timeout_of(const Step& step, const std::string& id) {
  if (id == step.id) return step.timeout;
  for (const std::string_view suffix : {kWhenSuffix, kTargetSuffix, kFenceSuffix}) {
    if (id == step.id + std::string(suffix)) return kQuestionTimeout;
  }
  return std::nullopt;
}
}  // namespace

std::vector<std::pair<std::string, std::string>> own_environment() {
  std::vector<std::pair<std::string, std::string>> found;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; entry++) {
    const std::string text = *entry;
    const size_t equals = text.find('=');
    if (equals != std::string::npos) found.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  return found;
}

mode_t own_file_mask() {
  // umask() tells by setting; other threads may be making files.
  const auto status = read_file(real_file_system(), "/proc/self/status");
  constexpr std::string_view kLabel = "Umask:\t";
  const std::string_view text = status.ok() ? as_text(*status) : std::string_view();
  const size_t at = text.find(kLabel);
  if (at == std::string_view::npos) return kStrictMask;
  unsigned mask = kStrictMask;
  std::from_chars(text.data() + at + kLabel.size(), text.data() + text.size(), mask, 8);
  return static_cast<mode_t>(mask);
}

std::string idempotency_key(const std::string& run, const std::string& id) {
  return to_hex(crypto::sha256(as_bytes(run + "/" + id))).substr(0, kKeyDigits);
}

std::vector<std::string> Launcher::argv(const Step& step, const std::string& id, const std::string& script) const {
  // A step's own commands (verify, undo, ...) are always for a shell.
  const bool itself = id == step.id;
  if (itself && step.kind == StepKind::kSql) return {settings_.program, "__sql", script};
  if (itself && step.language == "python") return {"python3", script};
  if (itself && step.language == "sh") return {"sh", "-eu", script};
  if (!itself && id != step.id + std::string(kUndoSuffix)) return {"bash", "-euTc", kQuestion, script};
  // A command that fails ends the step: nobody watches each line at three in the morning.
  return {"bash", "-euo", "pipefail", script};
}

AttemptOrder Launcher::order(const Step& step, const std::string& id, int attempt, const std::string& script) const {
  AttemptOrder order;
  order.argv = argv(step, id, script);
  std::map<std::string, std::string> environment(settings_.environment.begin(), settings_.environment.end());
  if (!settings_.config.empty()) environment["HOLDFAST_CONFIG"] = settings_.config;
  if (!settings_.repository.empty()) environment["HOLDFAST_REPOSITORY"] = settings_.repository;
  for (const auto& [name, value] : settings_.variables) environment[name] = value;
  for (const auto& [name, value] : step.environment) environment[name] = value;
  for (const NamedSecret& secret : settings_.secrets) {
    environment[secret.name] = as_text(secret.value.reveal());
    order.secrets.push_back({secret.name, secret.value.clone()});
  }
  for (const NamedSecret& secret : settings_.inherited) {
    order.secrets.push_back({secret.name, secret.value.clone()});
  }
  if (const auto sql = settings_.sql.find(step.component); step.kind == StepKind::kSql && sql != settings_.sql.end()) {
    environment["HOLDFAST_SQL_CONNECTION"] = sql->second.conninfo;
    if (!sql->second.password.empty()) {
      environment["PGPASSWORD"] = as_text(sql->second.password.reveal());
      order.secrets.push_back({"password of " + step.component, sql->second.password.clone()});
    }
  }
  environment["HOLDFAST_RUN_ID"] = settings_.run;
  environment["HOLDFAST_STEP_ID"] = id;
  environment["HOLDFAST_ATTEMPT"] = std::to_string(attempt);
  environment["HOLDFAST_IDEMPOTENCY_KEY"] = idempotency_key(id);
  environment["HOLDFAST_DRILL"] = settings_.drill ? "1" : "";
  order.environment.assign(environment.begin(), environment.end());
  order.working_directory = directory_of(step, settings_.working_directory);
  order.file_mask = settings_.file_mask;
  order.timeout = timeout_of(step, id);
  return order;
}

}  // namespace holdfast::engine
