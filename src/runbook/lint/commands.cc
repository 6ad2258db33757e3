#include <algorithm>
#include <map>
#include <set>

#include "runbook/clients.h"
#include "runbook/hazards.h"
#include "runbook/lint/context.h"
#include "runbook/phrases.h"
#include "runbook/step_builder.h"

// What single commands do that a recovery should not.

namespace holdfast::runbook::lint {

namespace {

std::string leaf_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// Scripts that the document itself contains: how they are called against what they read.
void check_embedded(const Context& context, Report& report) {
  for (const Run& run : context.runs) {
    if (run.file != nullptr) continue;
    for (const EmbeddedFile& file : context.document.embedded_files) {
      if (file.path.empty() || leaf_of(file.path.text) != run.invocation.program) continue;
      for (const std::string& arg : run.invocation.args) {
        const std::string flag = arg.substr(0, arg.find('='));
        const bool read = file.text.find(flag) != std::string::npos || file.text.find("getopts") != std::string::npos;
        if (flag.starts_with("--") && flag.size() > 2 && !read)
          report.add("unknown-script-flag", run.range,
                     run.invocation.program + " is called with " + flag + ", but the script (line " +
                         std::to_string(file.range.begin.line) + ") reads its arguments by position");
      }
      const std::string& written = run.invocation.path;
      const bool absolute = file.path.text.starts_with("/");
      if (absolute != written.starts_with("/") && written.find('/') != std::string::npos)
        report.add("script-path-mismatch", run.range,
                   "the script is created as " + file.path.text + " and called as " + written);
    }
  }
}

void check_npm(const Context& context, Report& report) {
  for (const Run& run : context.runs) {
    if (run.invocation.program != "npm" || run.invocation.args.size() < 2 ||
        (run.invocation.args[0] != "run" && run.invocation.args[0] != "run-script"))
      continue;
    const auto& args = run.invocation.args;
    const auto separator = std::find(args.begin(), args.end(), "--");
    for (auto arg = args.begin() + 2; arg < separator; ++arg)
      if (arg->starts_with("--") && *arg != "--silent" && *arg != "--if-present" && arg->find('=') != std::string::npos)
        report.add("npm-flag-without-separator", run.range,
                   "npm keeps " + *arg + " for itself: without '--' it never reaches the script");
    const bool silent = run.invocation.has("--silent") || run.invocation.has("-s");
    if (run.invocation.command->in_substitution && !silent)
      report.add("npm-banner-captured", run.range, "$(npm run ...) captures npm's own banner together with the result");
  }
}

// Posts, puts, deletes: not a look at a page.
bool sends(const shell::Invocation& curl) {
  const std::string method = curl.option("-X") + curl.option("--request");
  if (!method.empty()) return method != "GET" && method != "HEAD";
  return std::any_of(curl.args.begin(), curl.args.end(), [](const std::string& arg) {
    return arg == "-d" || arg == "-F" || arg == "-T" || arg.starts_with("--data") || arg.starts_with("--form") ||
           arg.starts_with("--json") || arg.starts_with("--upload-file") ||
           (arg.starts_with("-X") && arg != "-XGET" && arg != "-XHEAD");
  });
}

// What the page says is judged after this in the same step: by jq -e, by grep.
bool is_judged(const Context& context, const Run& page) {
  return std::any_of(context.runs.begin(), context.runs.end(), [&](const Run& run) {
    const bool judges =
        run.invocation.program == "grep" || run.invocation.program == "egrep" ||
        (run.invocation.program == "jq" && (run.invocation.has("-e") || run.invocation.has("--exit-status")));
    return judges && run.step == page.step && run.file == page.file && page.range.begin < run.range.begin;
  });
}

bool is_status_page(const std::string& url) {
  const size_t host = url.find("://");
  if (host == std::string::npos) return false;
  const std::string name = lower(url.substr(host + 3));
  const std::string domain = name.substr(0, name.find('/'));
  return domain.starts_with("status.") || domain.ends_with("status.com") || domain.ends_with("statuspage.io") ||
         name.substr(std::min(domain.size(), name.size())) == "/status";
}

void check_status_page(const Context& context, const Run& run, Report& report) {
  const std::vector<std::string> operands = run.invocation.operands();
  if (std::none_of(operands.begin(), operands.end(), is_status_page)) return;
  if (sends(run.invocation) || is_judged(context, run)) return;
  report.add("status-page-proves-nothing", run.range,
             "a status page answers 200 during an outage too: what it says has to be read");
}

// A script that looks at health once: a service that is just starting counts as down.
void check_retry(const Run& run, Report& report) {
  if (run.file == nullptr || !contains_any(lower(run.file->path.text), {"health", "check", "smoke"})) return;
  const bool probes =
      run.invocation.program == "curl" || (run.invocation.program == "docker-compose" && run.invocation.begins({"ps"}));
  const bool again = contains_any(run.file->text, {"--retry", "sleep ", "until "});
  if (probes && !again)
    report.add("check-without-retry", run.range, "one answer that is late or lost, and the check fails");
}

void check_curl(const Context& context, Report& report) {
  for (const Run& run : context.runs) {
    check_retry(run, report);
    if (run.invocation.program != "curl") continue;
    const bool weighs = run.invocation.has("-w") || run.invocation.has("--write-out") || run.says("/dev/null");
    const bool saves = run.invocation.has("-o") || run.invocation.has("-O") || run.invocation.has("--output") ||
                       run.invocation.has("--remote-name") || run.says("-slo");
    const bool fails = run.invocation.has("-f") || run.invocation.has("--fail") ||
                       run.invocation.has("--fail-with-body") || run.says("%{http_code}") || run.says("-sf") ||
                       run.says("-fs");
    if (!weighs && !fails)
      report.add("curl-without-fail", run.range,
                 saves ? "curl succeeds on 404 and 500: the server's error page is saved as if it were the file"
                       : "curl succeeds on 401 and 500: the step passes whatever the server says");
    const bool timed =
        run.invocation.has("-m") || run.invocation.has("--max-time") || run.invocation.has("--connect-timeout");
    if (!timed && (run.file != nullptr || run.invocation.command->in_loop))
      report.add("check-without-timeout", run.range,
                 "a server that accepts and never answers holds this check for ever");
    if (run.file != nullptr && run.says("localhost") && run.says("http"))
      report.add(
          "local-check-only", run.range,
          "the service is asked from its own host: what users see (DNS, load balancer, certificate) is not checked");
    check_status_page(context, run, report);
  }
}

void check_redis(const Context& context, Report& report) {
  for (const Run& run : context.runs)
    if (run.invocation.program == "redis-cli" && (run.says(" flushall") || run.says(" flushdb")))
      report.add("flush-whole-store", run.range, "this deletes queues, locks and sessions together with the cache");
  for (const Procedure* procedure : context.procedures) {
    for (const Step& step : procedure->steps) {
      for (const Piece& piece : step.pieces) {
        if (piece.kind != Piece::Kind::kInput || step.kind == StepKind::kRepl) continue;
        report.add("prompt-then-command", text_range(step, piece),
                   "'" + shortened(piece.text) + "' is typed into " + shortened(piece.program) +
                       ": pasted or run as a script it is a command of the shell");
        if (lower(piece.text).find("flush") != std::string::npos)
          report.add("flush-whole-store", text_range(step, piece),
                     "this deletes queues, locks and sessions together with the cache");
      }
    }
  }
}

void check_probes(const Context& context, Report& report) {
  for (const Procedure* procedure : context.procedures) {
    for (const Step& step : procedure->steps) {
      if (step.annotations.on_crash == OnCrash::kProbe && step.annotations.verify.empty())
        report.add("probe-without-verify", step.annotations.range,
                   "on_crash=probe without a verify command: a person is asked instead");
    }
  }
}

bool is_flag_value(const Run& run) { return run.invocation.has("--version") || run.invocation.has("--help"); }

void check_interaction(const Context& context, Report& report) {
  for (const Run& run : context.runs) {
    if (run.procedure == nullptr || run.procedure->kind == ProcedureKind::kReference || is_flag_value(run) ||
        run.step->annotations.manual || run.step->annotations.interactive == false)
      continue;
    const bool fed = std::any_of(run.step->pieces.begin(), run.step->pieces.end(), [&](const Piece& piece) {
      return piece.kind == Piece::Kind::kInput && run.text.starts_with(piece.program);
    });
    for (const Effect& effect : effects_of(run.invocation)) {
      if (effect.kind == HazardKind::kInteractive && !fed)
        report.add("interactive-command", run.range, effect.reason + ": the step waits for a person");
      if (effect.kind == HazardKind::kNeverEnds) report.add("never-ends", run.range, effect.reason);
    }
    if (run.says("-auto-approve") && run.says("destroy"))
      report.add("auto-approved-destruction", run.range,
                 "nobody is asked before " + run.invocation.program + " deletes infrastructure");
    // A shell is opened somewhere else, and the lines after it are meant for that shell.
    const bool opens = opens_prompt(run.invocation) && (run.invocation.remote || run.invocation.program == "ssh");
    if (!opens) continue;
    const auto& commands = run.step->script.commands;
    const bool more = std::any_of(commands.begin(), commands.end(), [&](const shell::Command& each) {
      return each.span.begin > run.invocation.span.end && !each.words.empty();
    });
    const bool shell_program =
        run.invocation.program == "sh" || run.invocation.program == "bash" || run.invocation.program == "ssh";
    if (more && shell_program)
      report.add(
          "commands-after-opened-shell", run.range,
          "the lines below are meant for the shell that this opens; run as a script they run here, after it has ended");
  }
}

void check_input(const Context& context, Report& report) {
  for (const Run& run : context.runs)
    if (run.invocation.loses_input)
      report.add("input-not-forwarded", run.range,
                 "without -i nothing of its input reaches " + run.invocation.program + " in the container");
}

void check_scaling(const Context& context, Report& report) {
  std::map<std::string, std::pair<std::string, uint32_t>> first;
  for (const Run& run : context.runs) {
    if (run.invocation.program != "kubectl" || !run.invocation.begins({"scale"})) continue;
    std::string target;
    for (const std::string& operand : run.invocation.operands())
      if (operand != "scale" && operand != "deployment" && operand != "statefulset")
        target = operand.substr(operand.rfind('/') + 1);
    const std::string replicas = run.invocation.option("--replicas");
    if (replicas.empty() || replicas == "0" || target.empty()) continue;
    const auto [known, added] = first.try_emplace(target, replicas, run.range.begin.line);
    if (!added && known->second.first != replicas)
      report.add("replica-count-conflict", run.range,
                 target + " is scaled to " + replicas + " here and to " + known->second.first + " in line " +
                     std::to_string(known->second.second));
    if (added && !contains_any(context.all_text, {"hpa", "autoscal", "keda"}))
      report.add("scale-fights-autoscaler", run.range,
                 "an autoscaler, if there is one, undoes this within seconds, and the count is forgotten at the next "
                 "deployment");
  }
  for (const Run& run : context.runs)
    if (run.invocation.program == "kubectl" && run.says("delete pod") && run.says("status.phase=failed"))
      report.add("restart-misses-crash-loops", run.range,
                 "a pod in CrashLoopBackOff is in phase Running: this selects none of those that matter");
}

void check_load(const Context& context, Report& report) {
  for (const Run& run : context.runs) {
    const std::string& program = run.invocation.program;
    const bool tool = program == "ab" || program == "wrk" || program == "k6" || program == "jmeter" ||
                      program == "locust" || program == "hey" || program == "vegeta" || program == "pgbench" ||
                      program == "redis-benchmark" || run.says("--benchmark") || run.says("load-test");
    if (tool && run.procedure != nullptr && (run.procedure->kind == ProcedureKind::kPostRecovery || run.in_scenario()))
      report.add("load-test-on-production", run.range,
                 "a load test on a system that has just recovered may bring it down again");
  }
}

void check_targets(const Context& context, Report& report) {
  const bool asserted = contains_any(context.all_text, {"current-context", "hostname", "pg_is_in_recovery",
                                                        "system_identifier", "whoami", "get-caller-identity"});
  if (asserted) return;
  for (const Procedure& procedure : context.document.scenarios)
    for (const Step& step : procedure.steps)
      for (const Hazard& hazard : step.hazards)
        if (hazard.kind == HazardKind::kIrreversible && step.annotations.target.empty()) {
          report.add("target-not-asserted", hazard.range,
                     "nothing proves that this is the host, cluster or database that is meant: " + hazard.reason);
          break;
        }
}

}  // namespace

void check_commands(const Context& context, Report& report) {
  check_embedded(context, report);
  check_npm(context, report);
  check_curl(context, report);
  check_redis(context, report);
  check_probes(context, report);
  check_interaction(context, report);
  check_input(context, report);
  check_scaling(context, report);
  check_load(context, report);
  check_targets(context, report);
}

}  // namespace holdfast::runbook::lint
