#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/attempt.h"
#include "engine/event.h"
#include "engine/plan.h"

namespace holdfast::engine {

// Commands that belong to a step have ids of their own: "restore~verify".
inline constexpr std::string_view kVerifySuffix = "~verify";
inline constexpr std::string_view kWhenSuffix = "~when";
inline constexpr std::string_view kTargetSuffix = "~target";
inline constexpr std::string_view kFenceSuffix = "~fence";
inline constexpr std::string_view kUndoSuffix = "~undo";

enum class StepPhase {
  kPending,  // never begun, or to be begun again
  kRunning,  // an attempt is started and not finished
  kUnknown,  // an attempt began, and its end is not known
  kRan,      // it succeeded; its verification has not spoken
  kDone,
  kFailed,
  kSkipped,
};

// What the world may have of a step that would have to be undone, whatever became of its attempts since.
enum class Effect {
  kNone,      // never begun, or undone
  kPossible,  // an attempt failed, was ended, or its end is unknown: it may have done something before
  kCertain,   // an attempt succeeded, or a person said that it is done
};

struct StepState {
  StepPhase phase = StepPhase::kPending;
  int attempts = 0;  // number of the newest
  int failures = 0;  // since a person last said "again"
  Effect effect = Effect::kNone;
  bool lost = false;  // the journal had lost the start of an attempt
  // Of the newest attempt:
  ProcessIdentity process;
  std::string directory;  // of its files, below the run's
  std::string key;        // by which its processes are told from others
  uint64_t started_seq = 0;
  uint64_t orphaned_seq = 0;  // when its processes were found without their supervisor
  Time started, ended;
  std::optional<Time> deadline;
  std::optional<AttemptEnd> end;
  Duration took;        // of all attempts
  std::string skipped;  // why
  std::string approved_by, override_reason;
  uint64_t target_seq = 0, fence_seq = 0;  // of the events that say so; 0: never
};

// What a journal means. Nothing else is ever remembered of a run.
struct RunState {
  std::string id;
  Plan plan;
  Json created;  // payload of the first event
  Time began;    // of the scenario: --began, else the first event
  Time created_at;
  std::map<std::string, StepState> steps;  // also of "ID~verify" and its like
  std::set<std::string> verified;          // proof_key() of each point that was read whole in this run
  std::set<std::string> budgets;           // "warn:..." and "over:..." that were told
  uint64_t driven_seq = 0;                 // of the newest run.driven
  bool undoing = false;
  std::string stopped;   // why nobody drives it; "" : somebody did when the journal ended
  std::string finished;  // outcome
  Time last;

  bool drill() const { return created.value("drill", false); }
  // Only some of the scenario's steps were asked for.
  bool partial() const { return created.value("partial", false); }
  const StepState& step(const std::string& step_id) const;
  bool settled(const std::string& step_id) const;
};

// The fold. kInvalidData for a journal that does not begin with run.created.
Result<RunState> fold(const std::vector<Event>& events);
// One step of it.
Result<void> apply(RunState& state, const Event& event);

std::string_view phase_name(StepPhase phase);

// Names a proof: of a component ("*": of all), for a point as which_point() says, of the repository with that id.
std::string proof_key(const std::string& component, const std::string& which, const std::string& repository);

}  // namespace holdfast::engine
