#include <algorithm>
#include <map>

#include "runbook/lint/context.h"
#include "runbook/phrases.h"

// What is promised against what is done: RPO, RTO, response times.

namespace holdfast::runbook::lint {

namespace {

using Component = StackFacts::Component;

// "Task Database", "PostgreSQL": the component `postgres` of the stack.
bool names(const std::string& text, const Component& component) {
  const std::vector<std::string> words = words_of(text);
  const auto says = [&](std::string_view word) { return std::find(words.begin(), words.end(), word) != words.end(); };
  if (says(lower(component.name)) || share_word(component.name, text)) return true;
  if (component.kind == "postgres") return says("postgres") || says("postgresql") || says("database");
  return component.kind == "redis" && says("redis");
}

bool is_continuous(const Component& component) { return component.continuous; }

// What a text names of the stack has a log that is followed. A text that names nothing is about
// the whole, or about any of it.
enum class Otherwise { kAll, kAny };
bool followed(const Context& context, const std::string& text, Otherwise otherwise) {
  if (context.stack == nullptr) return false;
  const std::vector<Component>& all = context.stack->components;
  std::vector<Component> named;
  std::copy_if(all.begin(), all.end(), std::back_inserter(named),
               [&](const Component& each) { return names(text, each); });
  if (named.empty() && otherwise == Otherwise::kAny) return std::any_of(all.begin(), all.end(), is_continuous);
  const std::vector<Component>& meant = named.empty() ? all : named;
  return !meant.empty() && std::all_of(meant.begin(), meant.end(), is_continuous);
}

// The document itself says that PostgreSQL's log is kept.
bool keeps_wal(const Context& context) {
  return contains_any(context.all_text, {"archive_command", "wal receive", "pg_receivewal", "wal-g", "pgbackrest",
                                         "streaming replication", "continuous archiving"});
}

// The same of anything that it may be about.
bool replicates(const Context& context) {
  return contains_any(context.all_text, {"continuously synced", "continuously replicated", "continuous replication"});
}

bool says_one_of(const std::string& text, std::initializer_list<std::string_view> wanted) {
  const std::vector<std::string> words = words_of(text);
  return std::any_of(words.begin(), words.end(), [&](const std::string& word) {
    return std::find(wanted.begin(), wanted.end(), word) != wanted.end();
  });
}

bool is_application(const std::string& text) {
  return says_one_of(
      text, {"api", "app", "application", "web", "frontend", "backend", "service", "services", "worker", "workers"});
}

// PostgreSQL's log is that of what holds its data there. What is promised for the whole may be about it.
bool is_kept_by_wal(const Objective& objective) {
  const std::string& subject = objective.subject.text;
  if (says_one_of(subject, {"postgres", "postgresql"})) return true;
  if (says_one_of(subject, {"redis", "mysql", "mariadb", "mongo", "mongodb", "cassandra", "elasticsearch", "opensearch",
                            "kafka", "rabbitmq", "etcd", "oracle", "files", "file", "uploads", "storage", "cache"}))
    return false;
  return objective.scope != Objective::Scope::kComponent || is_application(subject) ||
         says_one_of(subject, {"database", "databases", "db", "data"});
}

// A managed database with recovery to a point in time keeps its log by itself.
bool provider_keeps_log(const Context& context) {
  return context.mentions("point-in-time") &&
         contains_any(context.all_text,
                      {"aws rds", " rds ", "*rds ", "(rds", "rds.amazonaws.com", "cloud sql", "aurora"});
}

bool is_kept_by_provider(const Objective& objective) {
  return contains_any(lower(objective.subject.text), {"database", "postgres", "mysql", "rds"}) ||
         lower(objective.rpo->text.text).find("point-in-time") != std::string::npos;
}

// An objective of a component that the stack doesn't have is not met by it.
bool protected_by_stack(const Context& context, const Objective& objective) {
  const bool component = objective.scope == Objective::Scope::kComponent;
  const auto& known = context.stack != nullptr ? context.stack->components : std::vector<Component>();
  const bool named = std::any_of(known.begin(), known.end(),
                                 [&](const Component& each) { return names(objective.subject.text, each); });
  return (named || !component) && followed(context, objective.subject.text, Otherwise::kAll);
}

// The schedule that serves a subject: one that names it, else the most frequent of all.
const Schedule* schedule_for(const Document& document, const std::string& subject) {
  const Schedule *named = nullptr, *any = nullptr;
  for (const Schedule& each : document.schedules) {
    if (!each.backup || !each.interval) continue;
    if (any == nullptr || *each.interval < *any->interval) any = &each;
    if (share_word(each.subject.text, subject) && (named == nullptr || *each.interval < *named->interval))
      named = &each;
  }
  return named != nullptr ? named : any;
}

void check_rpo(const Context& context, Report& report) {
  bool told = false;  // that nothing makes copies: once is enough
  const bool replicated = replicates(context), wal = keeps_wal(context), provided = provider_keeps_log(context);
  for (const Objective& each : context.document.objectives) {
    if (!each.rpo || !each.rpo->most || replicated) continue;
    if ((provided && is_kept_by_provider(each)) || (wal && is_kept_by_wal(each))) continue;
    if (protected_by_stack(context, each)) continue;
    const Schedule* schedule = schedule_for(context.document, each.subject.text);
    const std::string who = each.subject.empty() ? "" : " of " + each.subject.text;
    if (schedule == nullptr) {
      if (each.scope == Objective::Scope::kGlobal || (each.scope == Objective::Scope::kComponent && !told))
        report.add("no-backup-schedule", each.rpo->text.range,
                   "an RPO" + who + ", " + each.rpo->text.text +
                       ", is promised, and nothing in the document says when copies are made");
      told = told || each.scope == Objective::Scope::kComponent;
    } else if (*schedule->interval > *each.rpo->most && each.rpo->most->ns > 0) {
      const auto times = schedule->interval->ns / each.rpo->most->ns;
      report.add("backup-slower-than-rpo", each.rpo->text.range,
                 "the RPO" + who + " is " + each.rpo->text.text + ", copies are made every " +
                     format_duration(*schedule->interval) + " (line " +
                     std::to_string(schedule->text.range.begin.line) + "): " + std::to_string(times) +
                     " times too rarely");
    }
  }
}

void check_rto(const Context& context, Report& report) {
  const Objective* base = nullptr;
  for (const Objective& each : context.document.objectives) {
    const bool store =
        each.scope == Objective::Scope::kComponent && each.rto && each.rto->most &&
        says_one_of(each.subject.text, {"database", "db", "postgresql", "postgres", "mysql", "mariadb", "storage"});
    if (store && (base == nullptr || *each.rto->most > *base->rto->most)) base = &each;
  }
  if (base == nullptr) return;
  for (const Objective& each : context.document.objectives) {
    if (&each == base || each.scope != Objective::Scope::kComponent || !each.rto || !each.rto->most ||
        !is_application(each.subject.text))
      continue;
    if (*each.rto->most < *base->rto->most)
      report.add("rto-depends-on-slower", each.rto->text.range,
                 each.subject.text + " is to be back after " + each.rto->text.text + ", but needs " +
                     base->subject.text + ", which may take " + base->rto->text.text);
  }
}

// The end of a scenario's windows against the objectives that hold for it.
void check_windows(const Context& context, Report& report) {
  for (const Procedure& procedure : context.document.scenarios) {
    Duration end;
    for (const Step& step : procedure.steps)
      if (step.budget && step.budget->kind == Budget::Kind::kWindow && step.budget->most)
        end = std::max(end, *step.budget->most);
    if (procedure.expected_time && procedure.expected_time->most) end = std::max(end, *procedure.expected_time->most);
    for (const Objective& each : context.document.objectives) {
      const bool own =
          each.scope == Objective::Scope::kScenario && slug(each.subject.text) == slug(procedure.title.text);
      const bool shared =
          share_word(each.subject.text, procedure.title.text) && each.scope == Objective::Scope::kComponent;
      if (!(own || shared || each.scope == Objective::Scope::kGlobal) || !each.rto || !each.rto->most ||
          end <= *each.rto->most)
        continue;
      report.add("steps-exceed-rto", procedure.title.range,
                 "the steps take up to " + format_duration(end) + " by the document's own figures, the RTO" +
                     (each.subject.empty() ? "" : " of " + each.subject.text) + " is " + each.rto->text.text);
      break;
    }
  }
}

// "SEV-1 (Critical)" -> "sev1", "P2 - High" -> "p2", "Critical" -> "critical".
std::string level_key(const std::string& level) {
  const std::vector<std::string> words = words_of(level);
  std::string key;
  for (const std::string& word : words) {
    key += word;
    if (word.find_first_of("0123456789") != std::string::npos) return key;
  }
  return words.empty() ? "" : words.front();
}

bool names_level(const std::string& text, const std::string& key) {
  const std::vector<std::string> words = words_of(text);
  for (size_t first = 0; first < words.size() && !key.empty(); first++) {
    std::string joined;
    for (size_t index = first; index < words.size() && joined.size() < key.size(); index++) joined += words[index];
    if (joined == key) return true;
  }
  return false;
}

// The metric that holds for a severity: one that names it, else one that names none; of several
// the strictest.
const Metric* acknowledgement_of(const Document& document, const runbook::Severity& severity) {
  const Metric *own = nullptr, *any = nullptr;
  const auto stricter = [](const Metric* known, const Metric& each) {
    return known == nullptr || *each.target_duration < *known->target_duration;
  };
  for (const MetricsTable& table : document.metrics) {
    for (const Metric& each : table.metrics) {
      if (lower(each.name.text).find("acknowledg") == std::string::npos || !each.target_duration) continue;
      const bool names_one = std::any_of(
          document.severities.begin(), document.severities.end(),
          [&](const runbook::Severity& other) { return names_level(each.name.text, level_key(other.level.text)); });
      if (names_level(each.name.text, level_key(severity.level.text))) {
        if (stricter(own, each)) own = &each;
      } else if (!names_one && stricter(any, each)) {
        any = &each;
      }
    }
  }
  return own != nullptr ? own : any;
}

void check_responses(const Context& context, Report& report) {
  for (const runbook::Severity& each : context.document.severities) {
    if (!each.response) continue;
    const Metric* acknowledgement = acknowledgement_of(context.document, each);
    if (acknowledgement != nullptr && each.response->most && *each.response->most > *acknowledgement->target_duration)
      report.add("response-conflict", each.response->text.range,
                 each.level.text + " may be answered after " + each.response->text.text +
                     ", while acknowledgement is due " + acknowledgement->target.text + " (line " +
                     std::to_string(acknowledgement->target.range.begin.line) + ")");
    if (lower(each.response->text.text).starts_with("immediate"))
      report.add("unmeasurable-target", each.response->text.range,
                 "'" + each.response->text.text + "' can't be measured" +
                     (acknowledgement != nullptr ? ", and the metrics say " + acknowledgement->target.text : ""));
  }
}

void check_point_in_time(const Context& context, Report& report) {
  for (const Run& run : context.runs) {
    const bool target = contains_any(run.small, {"--target-time", "recovery_target_time", "restore-to-point-in-time"});
    if (!target) continue;
    const bool managed = run.says("restore-db-instance-to-point-in-time");
    const std::string about = run.procedure == nullptr ? ""
                                                       : run.procedure->title.text + " " + run.step->title.text + " " +
                                                             run.step->annotations.component;
    if (!keeps_wal(context) && !replicates(context) && !followed(context, about, Otherwise::kAny) && !managed)
      report.add("pitr-without-log", run.range,
                 "a point in time is asked for, and nothing in the document archives the log (WAL) that it needs");
    if (run.procedure == nullptr) continue;
    for (const Run& other : context.runs)
      if (other.procedure == run.procedure &&
          (other.invocation.program == "pg_restore" || (other.invocation.program == "psql" && other.says(".sql"))))
        report.add("pitr-on-dump", run.range,
                   "the base that is restored (line " + std::to_string(other.range.begin.line) +
                       ") is a dump: WAL can't be replayed on it");
  }
}

void check_verification(const Context& context, Report& report) {
  constexpr Duration kRare = Duration::hours(24 * 60);
  const auto is_proof = [](const Schedule& each) {
    const std::string text = lower(each.subject.text + " " + each.text.text + " " + each.command);
    const std::vector<std::string> words = words_of(text);
    return !each.backup && each.interval && contains_any(text, {"verif", "restor", "valid", "drill", "test"}) &&
           (contains_any(text, {"backup", "restor", "recovery", "disaster"}) ||
            std::find(words.begin(), words.end(), "dr") != words.end());
  };
  const Schedule* best = nullptr;
  for (const Schedule& each : context.document.schedules)
    if (is_proof(each) && (best == nullptr || *each.interval < *best->interval)) best = &each;
  if (best != nullptr && *best->interval > kRare)
    report.add("verification-too-rare", best->text.range,
               "copies are proven every " + format_duration(*best->interval) +
                   " at best: a broken one is noticed after months");
  const bool keeps = std::any_of(context.document.schedules.begin(), context.document.schedules.end(),
                                 [](const Schedule& each) { return each.backup; });
  if (best == nullptr && keeps)
    report.add("backup-never-verified", context.document.title.range,
               "copies are made, but nothing in the document says when one is restored to prove it");
}

}  // namespace

void check_objectives(const Context& context, Report& report) {
  check_rpo(context, report);
  check_rto(context, report);
  check_windows(context, report);
  check_responses(context, report);
  check_point_in_time(context, report);
  check_verification(context, report);
}

}  // namespace holdfast::runbook::lint
