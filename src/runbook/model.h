#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/time.h"
#include "runbook/step.h"

namespace holdfast::runbook {

// What a runbook says, as values. Made by read_document() (reader.h); nothing in it
// refers to the Markdown library. docs/runbook.md explains how documents are read.

// A length of time as people state targets: "< 4 hours", "2-4 hours", "0 (no data loss)", "N/A".
struct Target {
  Text text;
  std::optional<Duration> least, most;  // neither: it says no length of time
  bool not_applicable = false;
};

struct Objective {
  enum class Scope { kGlobal, kComponent, kScenario };
  Scope scope = Scope::kGlobal;
  Text subject;  // component or scenario; empty for kGlobal
  std::optional<Target> rto, rpo;
  Text priority;
  SourceRange range;
};

struct Contact {
  Text role;
  std::vector<std::pair<std::string, Text>> fields;  // column or label, and what stands there
  bool external = false;                             // a vendor, a provider
  SourceRange range;
};

struct Escalation {
  Text level, who;
  std::optional<Budget> budget;
  std::vector<Text> conditions;
  SourceRange range;
};

struct Severity {
  Text level, description;
  std::optional<Target> response;
  SourceRange range;
};

// When something is done regularly: a crontab line, or words ("Daily at 2 AM UTC").
struct Schedule {
  Text subject;  // what is done: the comment above, the item's title, the heading
  Text text;     // "*/30 * * * *", "Daily at 2 AM UTC"
  std::string command;
  std::optional<Duration> interval;  // between two runs
  bool cron = false;
  bool backup = false;  // makes copies (as opposed to testing or reviewing)
};

// "Create `/scripts/health-check.sh`:" and the file that follows.
struct EmbeddedFile {
  Text path;
  std::string language;
  std::string text;
  shell::Script script;
  std::vector<SourceRange> lines;
  std::vector<size_t> line_offsets;  // of each line, where in `text` it begins
  SourceRange range;
  SourceRange where(shell::Span span) const;
};

struct Metric {
  Text name, target, actual, description;
  std::optional<Duration> target_duration;
};

struct MetricsTable {
  Text title;
  std::vector<Metric> metrics;
  bool fillable = false;  // a table with a column for the actual figures
  SourceRange range;
};

// NAME=value in a block that describes the environment.
struct VariableDefinition {
  Text name, value;
  bool placeholder = false;       // the value is for somebody to fill in
  bool open = false;              // only the shell that runs could tell the value, which stands here as written
  std::vector<std::string> uses;  // names whose values are part of it
};

struct Link {
  Text text;
  std::string target;  // "" for "[System Architecture Documentation]"
};

// "**Owner**: Infrastructure Team" of the document or of a scenario.
struct Attribute {
  Text label, value;
};

enum class PhaseKind { kDetection, kResponse, kRecovery, kVerification, kAfter, kOther };

// A named part of a procedure; at least one in each.
struct Phase {
  PhaseKind kind = PhaseKind::kOther;
  Text title;  // empty for steps that stand directly below the procedure's heading
  std::optional<Budget> budget;
  std::string condition;
  SourceRange range;
};

// One of several ways to go on; the person chooses one of a group.
struct Option {
  size_t group = 0;    // number of the group within the procedure
  std::string letter;  // "A", "B", "1"
  Text title;
  Text within;  // the title of the item that offers it; empty: its phase does
  std::optional<Budget> budget;
  size_t phase = 0;
  SourceRange range;
};

enum class ProcedureKind {
  kScenario,      // a disaster, and how to recover from it
  kResponse,      // what is done first in any incident
  kPreparation,   // taking copies, and what else is done before
  kVerification,  // proving copies, looking at health
  kPostRecovery,  // after any recovery
  kTesting,       // drills, training
  kReview,        // after an incident
  kMaintenance,   // other routine work
  kReference,     // useful commands
};

// Steps that belong together. Scenarios are procedures, and so is what is done
// before, after and between disasters.
struct Procedure {
  ProcedureKind kind = ProcedureKind::kScenario;
  std::string id;      // "scenario-1", "database-failure": unique in the document
  std::string number;  // "1"; "" when there is none
  Text title;          // without "Scenario 1:"
  Text trigger;        // "PostgreSQL pod crashes or database corruption"
  std::vector<Text> symptoms, impact, causes, prerequisites;
  std::vector<Attribute> attributes;
  std::vector<Phase> phases;
  std::vector<Option> options;
  std::vector<Step> steps;
  std::optional<Target> expected_time, expected_loss;
  SourceRange range;

  const Step* find_step(const std::string& id) const;
};

// What the reader made nothing of.
struct UnknownPart {
  std::string what;  // "table", "list", "paragraph", "code block"
  std::string first_words;
  SourceRange range;
};

// A problem with an annotation; the document can be shown but not planned or run.
struct ReadError {
  std::string message, hint;
  SourceRange range;
};

// "<!-- holdfast: ignore RULE because REASON -->"
struct Suppression {
  std::string rule, reason;
  SourceRange range;   // of the comment
  SourceRange effect;  // what it applies to: the block after it, or the section when it stands below a heading
};

// One heading and what stands below it, in the order of the document.
struct Section {
  int level = 0;
  Text title;
  SourceRange range;
  std::string reading;  // what it was taken for: "contacts", "scenario", "overview", ...
};

struct Document {
  std::string path;  // as it was given
  std::string source;
  Text title;
  std::string overview;
  std::vector<Attribute> attributes;
  std::vector<Objective> objectives;
  std::vector<Contact> contacts;
  std::vector<Escalation> escalations;
  std::vector<Severity> severities;
  std::vector<Procedure> scenarios;
  std::vector<Procedure> procedures;  // all that are no scenarios
  std::vector<Schedule> schedules;
  std::vector<EmbeddedFile> embedded_files;
  std::vector<MetricsTable> metrics;
  std::vector<VariableDefinition> variables;
  std::vector<Link> references;
  std::vector<Placeholder> placeholders;  // outside of steps
  std::vector<Section> sections;
  std::vector<Suppression> suppressions;
  std::vector<UnknownPart> unknown;
  std::vector<ReadError> errors;

  // By id, by number ("1", "scenario-1") or by a title that begins with or contains
  // the words, where only one does. Null when none or several do.
  const Procedure* find_procedure(const std::string& words) const;
};

}  // namespace holdfast::runbook
