#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace holdfast::engine {

using Json = nlohmann::ordered_json;

enum class StepKind {
  kShell,   // a program reads the script
  kSql,     // statements for a component's server
  kManual,  // a person does it
};

// What to do with an attempt of which nobody knows how it ended.
enum class OnCrash { kAsk, kRetry, kSkip, kFail, kProbe };

struct Hazard {
  std::string kind;    // "destroys", "promotes", ... : as the runbook names it
  std::string reason;  // one sentence
};

// What a restore restores from, in the words of its options; all empty: the newest.
struct RestoreWords {
  std::string point, at, lsn, xid, timeline;
  std::string restore_point;       // --name
  std::string config, repository;  // of another stack, where it names one
  bool immediate = false, exclusive = false;
  std::vector<std::string> unknown;  // options whose values only the shell will know

  // Whether it is known what will exist afterwards: with an instant it is the same from any point.
  bool instant_is_known() const;
  bool operator==(const RestoreWords&) const = default;
};

// The recovery point that a step relies on.
struct WantedPoint : RestoreWords {
  std::vector<std::string> components;  // empty: all of the stack
  bool operator==(const WantedPoint&) const = default;
};

// One step as it will be run: alternatives chosen, placeholders replaced. Strings
// that are empty and optionals without a value: not said.
// A step that destroys relies on the restore that it has these words of.
struct Step : RestoreWords {
  std::string id, number, title;
  std::string restored_by;                      // the id of that restore's step: its own, or a later one
  std::vector<WantedPoint> also_restored_from;  // by further restores there
  StepKind kind = StepKind::kManual;
  std::string language;  // of the block: "bash", "python", "sql"
  std::string script;    // kManual: what the person is to do
  std::string prose;
  std::string phase;
  uint32_t line = 0;
  std::optional<Duration> window_end;  // since the scenario began
  std::optional<Duration> expected;    // as the document says
  bool expected_is_rest = false;       // what the document's durations of other steps leave it
  std::optional<Duration> timeout;
  OnCrash on_crash = OnCrash::kAsk;
  int retries = 0;
  bool optional = false;  // its failure stops nothing
  std::string parallel, approve, component, workdir;
  std::string verify, when, compensate, target, fence;  // shell commands
  std::map<std::string, std::string> environment;
  std::vector<std::string> secrets;  // names of the secret variables that it uses
  std::vector<Hazard> hazards;
  std::string skipped;        // why it is left out from the beginning
  bool other_option = false;  // it belongs to an option that was not chosen

  bool has(std::string_view hazard) const;
  // It may run only after a recovery point was proven.
  bool destructive() const { return has("destroys") || has("irreversible") || has("writes-data"); }
  bool promotes() const { return has("promotes"); }
  // Starts only when it is proven, or said, that nothing else writes.
  bool fenced() const { return promotes() || !fence.empty(); }
  // Of one that destroys: all that it relies on, the restore of its own words first.
  std::vector<WantedPoint> wanted_points() const;
  bool needs_person() const { return kind == StepKind::kManual || !approve.empty(); }
};

// An objective as promised.
struct Objective {
  std::optional<Duration> most;
  std::string text;
};

// A length of time for several steps together, as the document says.
struct SharedBudget {
  std::string title;
  Duration most;
  std::vector<std::string> steps;  // ids, in order; at least one
};

// A scenario, resolved and frozen: it goes into the journal, and a run looks at
// nothing else.
struct Plan {
  static constexpr int kVersion = 1;
  std::string document, document_sha256;  // path, digest of its bytes
  std::string procedure, title;
  std::vector<Step> steps;
  std::vector<SharedBudget> budgets;
  std::vector<std::string> warnings;  // hazards of the order
  std::map<std::string, std::string> choices;
  std::optional<Objective> rto, rpo;

  const Step* find(const std::string& id) const;
  Json to_json() const;
  // kNewerFormat for a plan of a newer holdfast.
  static Result<Plan> from_json(const Json& json);
};

// Where a step runs; a relative workdir is below the run's working directory.
std::string directory_of(const Step& step, const std::string& working_directory);

std::string_view on_crash_name(OnCrash on_crash);
std::string_view step_kind_name(StepKind kind);

}  // namespace holdfast::engine
