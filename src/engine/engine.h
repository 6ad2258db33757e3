#pragma once

#include <atomic>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/journal.h"
#include "engine/launcher.h"
#include "engine/lost_attempts.h"
#include "engine/observer.h"
#include "engine/person.h"
#include "engine/proofs.h"
#include "engine/redactor.h"
#include "engine/runner.h"
#include "engine/state.h"

namespace holdfast::engine {

// What this drive of the run was told on the command line.
struct DriveOptions {
  std::string directory;  // of the run
  bool resumed = false;
  std::map<std::string, std::string> skip;       // step -> reason
  std::map<std::string, std::string> overrides;  // step -> reason
  std::map<std::string, std::string> settle;     // id -> "done" | "retry", for an end that was there before
  std::string target_host;                       // "": asked for
  std::vector<LostAttempt> lost;                 // of which the journal knows nothing
  bool undo = false;                             // undo what is done, then end
  Duration first_pause = Duration::seconds(2);   // before a failed step is tried again; doubles
  const std::atomic<bool>* stop = nullptr;       // set by a signal: leave, steps go on
};

// The outside world, by interfaces: tests bring fakes. All outlive the engine.
struct World {
  EventLog& log;
  StepRunner& runner;
  Person& person;
  Proofs& proofs;
  Observer& observer;
  Clock& clock;
  Random& random;
};

// Drives one run from wherever it is to its end. All it knows is the fold of the
// journal; each turn it looks at the attempts that run, then starts what may start.
// So resuming is nothing special: it is the same loop on an older journal.
// docs/engine.md has the rules. Not thread-safe.
class Engine {
 public:
  Engine(World world, const Launcher& launcher, const Redactor& redactor, RunState state, DriveOptions options)
      : world_(world),
        launcher_(launcher),
        redactor_(redactor),
        state_(std::move(state)),
        options_(std::move(options)),
        durable_(world_.log.events().size()),
        told_(options_.resumed ? durable_ : 0) {}

  // Done when every step is. Otherwise the error says why the run stopped: kSubprocess
  // (a step failed), kNeedsPerson, kRefused, kInterrupted; or why it can't go on at all.
  Result<void> drive();
  // What is durable: after an error of the journal less than was appended.
  Result<RunState> committed_state() const;

 private:
  struct Stop {
    std::string why;
    Error error;
  };

  // engine.cc: the loop
  Result<void> announce();
  bool has_open_end(const std::string& id) const;
  bool is_to_undo() const;
  void begin_undoing();
  Result<void> check_settlements() const;
  Result<void> check_lost_attempts() const;
  std::set<std::string> passed_over() const;
  bool answer_may_be_lost(const Step& step) const;
  std::string with_loss(const Step& step, std::string words) const;
  void take_up_lost_attempts();
  Result<void> settle_as_told(const std::string& id, const std::string& as);
  Result<void> give_up_orphan(const std::string& id, bool kill);
  Result<void> take_up(const Step& step);
  Result<void> turn();
  Result<void> collect();
  Result<void> collect_one(const std::string& id);
  void watch_budgets();
  void watch_own_budget(const Step& step);
  void watch_shared_budget(const SharedBudget& budget);
  // `step` "": the budget is the run's.
  void watch_budget(const std::string& name, Duration limit, Duration elapsed, const std::string& step = "");
  bool anything_runs() const;
  bool all_settled() const;
  Result<void> end_stopped();
  void obey_wishes();
  void pause();
  // Observers see an event when it is durable.
  Result<void> commit();
  void append(std::string_view kind, const std::string& step, int attempt, Json payload);
  void stop_run(std::string why, Error error);
  Result<std::optional<Answer>> ask(const Question& question);
  void attend();

  // engine_steps.cc: one step onward
  Result<void> advance();
  std::vector<const Step*> front() const;
  Result<void> advance_step(const Step& step);
  Result<void> begin(const Step& step);
  Result<void> do_by_hand(const Step& step);
  Result<void> after_run(const Step& step);
  Result<void> after_failure(const Step& step);
  Result<void> settle_unknown(const Step& step);
  Result<void> settle_by_probe(const Step& step);
  Result<void> settle_by_person(const Step& step, const std::string& id);
  bool to_be_undone(const Step& step) const;
  Result<void> advance_undo();
  Result<void> undo(const Step& step);
  Result<void> ask_whether_to_undo(const Step& step);
  bool own_command_runs(const Step& step) const;
  // A command of the step, run since `since_seq`: true or false is its verdict, empty means
  // not yet. One that gave no answer stops the run; the next drive asks it again.
  Result<std::optional<bool>> verdict(const Step& step, std::string_view suffix, const std::string& command,
                                      uint64_t since_seq);
  // An attempt whose supervisor waits for its order.
  struct Waiting {
    std::string directory;  // below the run's
    AttemptFiles files;
    ProcessIdentity process;
  };
  Result<Waiting> prepare(const std::string& id, int attempt, const std::string& script);
  Result<void> launch(const Step& step, const std::string& id, const std::string& script);
  void settle(const std::string& id, std::string_view as, std::string_view by, const std::string& why);
  void skip(const Step& step, const std::string& why, const std::string& by);
  std::vector<std::string> output_tail(const std::string& id) const;

  // engine_rules.cc: what must be true before a step may start
  Result<bool> may_start(const Step& step);
  Result<bool> condition_holds(const Step& step);
  Result<bool> is_approved(const Step& step);
  bool is_proven_here(const WantedPoint& wanted);
  Result<bool> point_is_proven(const Step& step);
  Result<bool> prove(const Step& waiting, const Step& step, const WantedPoint& wanted);
  Result<bool> restores_what_is_proven(const Step& step);
  bool go_on_meanwhile();
  Result<bool> target_is_asserted(const Step& step);
  Result<bool> fence_is_up(const Step& step);
  Result<std::string> ask_for_fence(const Step& step, const std::string& lag);

  World world_;
  const Launcher& launcher_;
  const Redactor& redactor_;
  RunState state_;
  const DriveOptions options_;
  std::optional<Stop> stopping_;
  std::optional<Time> wake_at_;  // for a retry's pause
  std::optional<Error> meanwhile_error_;
  // Steps before which this drive has proven an instant that moves, and which one.
  std::set<std::pair<std::string, std::string>> proven_anew_;
  bool detach_ = false;
  size_t durable_;  // how many of the events are
  size_t told_;     // how many the observer has seen
};

}  // namespace holdfast::engine
