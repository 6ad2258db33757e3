#include <algorithm>
#include <map>
#include <set>

#include "runbook/hazards.h"
#include "runbook/lint/context.h"
#include "runbook/phrases.h"

// The shell itself: what it does that its author did not mean.

namespace holdfast::runbook::lint {

namespace {

template <typename Visit>
void for_each_step(const Context& context, Visit visit) {
  for (const Procedure* procedure : context.procedures)
    for (const Step& step : procedure->steps) visit(*procedure, step);
}

void check_syntax(const Context& context, Report& report) {
  for_each_step(context, [&](const Procedure&, const Step& step) {
    if (step.kind == StepKind::kShell && !step.script.errors.empty())
      report.add("shell-syntax", step.where(step.script.errors.front().span), step.script.errors.front().message);
  });
  for (const EmbeddedFile& file : context.document.embedded_files) {
    const bool shell =
        file.text.starts_with("#!") && file.text.substr(0, file.text.find('\n')).find("sh") != std::string::npos;
    if (shell && !file.script.errors.empty())
      report.add("shell-syntax", file.where(file.script.errors.front().span), file.script.errors.front().message);
  }
}

void check_placeholders(const Context& context, Report& report) {
  for_each_step(context, [&](const Procedure& procedure, const Step& step) {
    for (const Placeholder& each : step.placeholders) {
      const bool angle = each.text.starts_with("<") && step.kind == StepKind::kShell;
      bool quoted = false;
      for (const shell::Command& command : step.script.commands)
        for (const shell::Word& word : command.words)
          quoted = quoted || (word.quoted && step.where(word.span).contains(each.range.begin));
      if (angle && !quoted) {
        report.add("placeholder-is-redirection", each.range,
                   "the shell takes " + each.text + " for redirections: it reads one file and overwrites another");
      } else if (procedure.kind != ProcedureKind::kReference) {
        report.add("placeholder-in-command", each.range,
                   each.text + " is left for the reader to fill in, at the worst moment");
      }
    }
  });
}

// Steps share no variables: each is a process of its own.
void check_variables(const Context& context, Report& report) {
  std::set<std::string> defined;
  for (const VariableDefinition& each : context.document.variables) defined.insert(each.name.text);
  for (const Procedure* procedure : context.procedures) {
    std::map<std::string, const Step*> before;
    for (const Step& step : procedure->steps) {
      for (const VariableUse& use : step.variables) {
        if (defined.contains(use.name) || use.has_default || use.sourced || step.annotations.env.contains(use.name))
          continue;
        const auto earlier = before.find(use.name);
        if (earlier == before.end())
          report.add("undefined-variable", use.range,
                     "$" + use.name + " is set nowhere in the document: unset, it becomes nothing");
        else if (procedure->kind != ProcedureKind::kReference)
          report.add("variable-of-another-step", use.range,
                     "$" + use.name + " is set by step '" + earlier->second->title.text + "' (line " +
                         std::to_string(earlier->second->range.begin.line) +
                         "), which is a process of its own: it is not set here");
      }
      for (const std::string& name : step.assigned) before[name] = &step;
    }
  }
}

void check_alternatives(const Context& context, Report& report) {
  for_each_step(context, [&](const Procedure&, const Step& step) {
    for (const Piece& piece : step.pieces)
      if (piece.alternative == 2 && step.script.commands.size() > 1)
        report.add("alternatives-both-run", piece.range,
                   "this is an alternative of what stands above it; pasted or run as one block, both run");
    if (!step.sample_output.empty())
      report.add("output-among-commands", step.sample_output.front(),
                 "this line is what a command prints; pasted, the shell runs it");
  });
}

bool echoes(const shell::Command& command) {
  return command.word(0) == "echo" || command.word(0) == "true" || command.word(0) == ":" ||
         command.word(0) == "printf";
}

void check_masks(const Context& context, Report& report) {
  const auto check = [&](const shell::Script& script, auto&& where) {
    for (const shell::Command& command : script.commands)
      if (command.before == "||" && echoes(command) && command.stage == 0)
        report.add("masked-failure", where(command.span),
                   "'|| " + command.word(0) +
                       "' turns a failure into success: what follows goes on as if nothing had happened");
  };
  for_each_step(context, [&](const Procedure&, const Step& step) {
    check(step.script, [&](shell::Span span) { return step.where(span); });
  });
  for (const EmbeddedFile& file : context.document.embedded_files)
    check(file.script, [&](shell::Span span) { return file.where(span); });
}

void check_files(const Context& context, Report& report) {
  for (const EmbeddedFile& file : context.document.embedded_files) {
    if (!file.text.starts_with("#!")) continue;
    const bool pipefail = file.text.find("pipefail") != std::string::npos;
    const bool exits =
        std::any_of(file.script.commands.begin(), file.script.commands.end(), [](const shell::Command& command) {
          return command.word(0) == "set" && command.word(1).starts_with("-") &&
                 command.word(1).find('e') != std::string::npos;
        });
    for (const shell::Command& command : file.script.commands) {
      if (command.stage == 0 || pipefail || !command.last_stage || command.in_condition) continue;
      report.add("pipefail-missing", file.where(command.span),
                 "when the first program of this pipeline fails, the script goes on and reports success");
    }
    const bool changes = std::any_of(context.runs.begin(), context.runs.end(), [&](const Run& run) {
      return run.file == &file && !effects_of(run.invocation).empty();
    });
    if (!exits && changes)
      report.add("pipefail-missing", file.range,
                 "the script goes on after a command that failed: it lacks 'set -euo pipefail'");
  }
}

void check_sleep(const Context& context, Report& report) {
  for (const Run& run : context.runs)
    if (run.invocation.program == "sleep" && !run.invocation.command->in_loop)
      report.add("sleep-as-readiness", run.range, "a fixed wait is too short on the bad day and wasted on the others");
}

void check_export(const Context& context, Report& report) {
  for (size_t index = 0; index < context.runs.size(); index++) {
    const Run& run = context.runs[index];
    if (run.invocation.program != "export" || run.step == nullptr) continue;
    for (size_t next = index + 1; next < context.runs.size() && context.runs[next].step == run.step; next++) {
      const Run& other = context.runs[next];
      const bool restarts = other.invocation.program == "docker-compose" && other.invocation.begins({"restart"});
      const bool remote = other.invocation.program == "systemctl" && other.invocation.begins({"restart"});
      if (restarts || remote)
        report.add("export-not-passed", other.range,
                   other.invocation.program + " restart starts what it started before: " + shortened(run.text) +
                       " does not reach it");
    }
  }
}

// "# Verify backup schedule" above pg_dump.
void check_comments(const Context& context, Report& report) {
  for_each_step(context, [&](const Procedure&, const Step& step) {
    for (const Piece& piece : step.pieces) {
      const std::vector<std::string> words = words_of(piece.title);
      const bool looks = !words.empty() && (words[0] == "verify" || words[0] == "check" || words[0] == "list" ||
                                            words[0] == "show" || words[0] == "view");
      if (!looks || piece.text.empty()) continue;
      for (const Run& run : context.runs) {
        if (run.step != &step || !piece.range.contains(run.range.begin)) continue;
        const std::string& program = run.invocation.program;
        const bool writes = program == "pg_dump" || program == "rm" || program == "gzip" || program == "mv" ||
                            program == "dropdb" || (program == "aws" && run.says("s3 cp"));
        if (!writes) continue;
        report.add("comment-says-otherwise", piece.range,
                   "the comment says '" + piece.title + "', the command is " + program);
        break;
      }
    }
  });
}

}  // namespace

void check_shell(const Context& context, Report& report) {
  check_syntax(context, report);
  check_placeholders(context, report);
  check_variables(context, report);
  check_alternatives(context, report);
  check_masks(context, report);
  check_files(context, report);
  check_sleep(context, report);
  check_export(context, report);
  check_comments(context, report);
}

}  // namespace holdfast::runbook::lint
