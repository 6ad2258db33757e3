#include <algorithm>
#include <map>
#include <set>

#include "runbook/clients.h"
#include "runbook/hazards.h"
#include "runbook/lint/context.h"
#include "runbook/phrases.h"

// Secrets: how they are passed, rotated, and what a breach needs.

namespace holdfast::runbook::lint {

namespace {

bool is_breach(const Procedure& procedure) {
  return contains_any(lower(procedure.title.text), {"breach", "compromis", "security", "intrusion", "ransom"});
}

// ALTER ROLE app PASSWORD '...', CREATE USER ... IDENTIFIED BY '...'.
bool sets_password(const shell::Invocation& invocation) {
  const std::string sql = lower(sql_of(invocation));
  return contains_any(sql, {"password '", "password e'", "password $", "identified by"});
}

void check_arguments(const Context& context, Report& report) {
  for (const Run& run : context.runs) {
    for (const std::string& arg : run.invocation.args) {
      const std::string small = lower(arg);
      const bool literal =
          small.starts_with("--from-literal=") && is_secret_name(arg.substr(15, arg.find('=', 15) - 15));
      const bool header = small.starts_with("authorization:") && arg.find('$') != std::string::npos;
      const bool password =
          (small.starts_with("pass:") || (arg.starts_with("-p$") && run.invocation.program.starts_with("mysql")) ||
           small.starts_with("--password=")) &&
          arg.find('$') != std::string::npos;
      if (!literal && !header && !password) continue;
      SourceRange range = run.range;
      for (const shell::Word& word : run.invocation.command->words)
        if (word.value == arg) range = Context::where(run, word.span);
      report.add("secret-in-arguments", range,
                 "a secret stands in the arguments of " + run.invocation.program +
                     ": every process list and shell history shows it");
    }
    if (sets_password(run.invocation))
      report.add("secret-in-arguments", run.range,
                 "a password stands in the SQL that " + run.invocation.program +
                     " is given as an argument: every process list, and often the server's log, shows it");
    const bool redis = run.invocation.program == "redis-cli" && run.invocation.option("-a").starts_with("$");
    if (redis)
      report.add("secret-in-arguments", run.range,
                 "a secret stands in the arguments of redis-cli: every process list and shell history shows it");
  }
}

// age-keygen -o over the key that old files are encrypted with.
void check_new_keys(const Context& context, Report& report) {
  for (const Run& run : context.runs) {
    const std::string file = run.invocation.option("-o");
    if (run.invocation.program != "age-keygen" || file.empty() || !run.in_scenario()) continue;
    const bool kept = std::any_of(context.runs.begin(), context.runs.end(), [&](const Run& other) {
      const bool copies = other.invocation.program == "cp" || other.invocation.program == "mv";
      return copies && other.procedure == run.procedure && other.range.begin < run.range.begin &&
             other.text.find(file) != std::string::npos;
    });
    if (!kept)
      report.add("encryption-key-replaced", run.range,
                 "the new key takes the place of the old one in " + file +
                     ": what the old one has encrypted can't be read any more");
  }
}

void check_rotation(const Context& context, Report& report) {
  for (size_t index = 0; index < context.runs.size(); index++) {
    const Run& run = context.runs[index];
    if (run.invocation.program != "kubectl" || run.procedure == nullptr) continue;
    if (run.says("delete secret")) {
      for (size_t next = index + 1; next < context.runs.size() && context.runs[next].step == run.step; next++)
        if (context.runs[next].says("create secret"))
          report.add("secret-deleted-first", run.range,
                     "the secret is deleted before the new one exists: its other keys are lost, and pods that start "
                     "meanwhile fail");
    }
    if (!run.says("create secret")) continue;
    for (const std::string& arg : run.invocation.args) {
      const bool random = contains_any(arg, {"openssl rand", "/dev/urandom", "uuidgen", "pwgen"});
      const std::string name = arg.substr(arg.find("--from-literal=") == 0 ? 15 : 0, std::string::npos);
      const std::string key = lower(name.substr(0, name.find('=')));
      const bool encrypts = contains_any(key, {"encryption_key", "encrypt", "data_key", "master_key"});
      if (random && encrypts) {
        SourceRange range = run.range;
        for (const shell::Word& word : run.invocation.command->words)
          if (word.value == arg) range = Context::where(run, word.span);
        report.add("encryption-key-replaced", range,
                   "a new " + name.substr(0, name.find('=')) +
                       " makes all that the old one has encrypted unreadable, and the old one is kept nowhere");
      }
    }
    const bool restarts = std::any_of(
        context.runs.begin() + static_cast<std::ptrdiff_t>(index), context.runs.end(),
        [&](const Run& other) { return other.procedure == run.procedure && other.says("rollout restart"); });
    if (!restarts)
      report.add("rotation-without-restart", run.range,
                 "running pods keep the old secret until they are restarted, and nothing restarts them");
  }
}

void check_breach(const Context& context, Report& report) {
  for (const Procedure& procedure : context.document.scenarios) {
    if (!is_breach(procedure) || procedure.steps.empty()) continue;
    const auto tells = [](const Step& step) {
      return contains_any(lower(step.title.text), {"notify", "inform", "security team", "escalate", "page "});
    };
    const auto first = std::find_if(procedure.steps.begin(), procedure.steps.end(), tells);
    const bool late =
        first != procedure.steps.end() && first - procedure.steps.begin() >= 2 && first + 1 == procedure.steps.end();
    if (late)
      report.add("security-told-last", first->range,
                 "those who know what to keep and what to touch hear of it when all is done");
    const bool kept = std::any_of(context.runs.begin(), context.runs.end(), [&](const Run& run) {
      return run.procedure == &procedure &&
             contains_any(run.small, {"logs", "snapshot", "dump", "copy", "export", "tar "});
    });
    std::string words;
    for (const Step& step : procedure.steps) words += lower(step.title.text + " " + step.prose) + " ";
    for (const Step& step : procedure.steps)
      for (const Text& detail : step.details) words += lower(detail.text) + " ";
    if (!kept && !contains_any(words, {"evidence", "forensic", "preserve"}))
      report.add("no-evidence-kept", procedure.title.range,
                 "nothing is saved of logs, processes or disks before systems are changed");
  }
}

// What people change by hand after "kubectl edit configmap".
void check_configmaps(const Context& context, Report& report) {
  std::map<std::string, std::pair<std::string, uint32_t>> names;
  for (const Procedure* procedure : context.procedures) {
    for (const Step& step : procedure->steps) {
      std::string object;
      for (const Run& run : context.runs)
        if (run.step == &step && run.invocation.program == "kubectl" && run.invocation.begins({"edit", "configmap"}) &&
            run.invocation.operands().size() > 2)
          object = run.invocation.operands()[2];
      if (object.empty()) continue;
      for (const shell::Comment& comment : step.script.comments) {
        std::string name;
        for (size_t place = 0; place <= comment.text.size(); place++) {
          const char c = place < comment.text.size() ? comment.text[place] : ' ';
          if (std::isupper(static_cast<unsigned char>(c)) != 0 || c == '_') {
            name += c;
            continue;
          }
          if (name.find('_') != std::string::npos && name.size() > 4) {
            const SourceRange range = step.where(comment.span);
            const auto [known, added] = names.try_emplace(object, name, range.begin.line);
            if (!added && known->second.first != name)
              report.add("setting-name-conflict", range,
                         object + " is changed by " + name + " here and by " + known->second.first + " in line " +
                             std::to_string(known->second.second));
            if (contains_any(name, {"_URL", "PASSWORD", "_DSN"}))
              report.add("credentials-in-configmap", range,
                         name + " holds credentials, and a ConfigMap is readable by everybody who may list it");
          }
          name.clear();
        }
      }
    }
  }
}

}  // namespace

void check_secrets(const Context& context, Report& report) {
  check_arguments(context, report);
  check_new_keys(context, report);
  check_rotation(context, report);
  check_breach(context, report);
  check_configmaps(context, report);
}

}  // namespace holdfast::runbook::lint
