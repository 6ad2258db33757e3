#pragma once

#include <optional>
#include <string>

#include "engine/attempt.h"
#include "engine/process_identity.h"

namespace holdfast::engine {

// What can be found out about an attempt (docs/engine.md, "What is known after a crash").
struct AttemptReport {
  enum class State {
    kRunning,
    kEnded,
    kVoid,       // its supervisor died before the step began
    kOrphaned,   // its supervisor is dead, its processes are not
    kUnknown,    // it began, and nobody knows how it ended
    kElsewhere,  // it was started on another machine
  };
  State state = State::kUnknown;
  std::optional<AttemptEnd> end;  // kEnded
};

// The engine's hands: all by which a run changes the world. Tests have a fake
// one. Not thread-safe.
class StepRunner {
 public:
  virtual ~StepRunner() = default;

  // Makes the attempt's directory and starts a supervisor there, which waits.
  virtual Result<ProcessIdentity> prepare(const AttemptFiles& files, const std::string& script) = 0;
  // Gives the waiting supervisor its order: from now on the step may run.
  virtual Result<void> go(const AttemptFiles& files, const AttemptOrder& order) = 0;
  // Leaves a waiting supervisor without an order: nothing will have happened.
  virtual void abandon(const AttemptFiles& files) = 0;
  // Also of attempts that another holdfast started.
  virtual Result<AttemptReport> look(const AttemptFiles& files, const ProcessIdentity& supervisor) = 0;
  // Asks the supervisor to end its step; look() tells when it has. What a dead
  // supervisor left behind is killed, as far as it has the idempotency key `key` in its environment.
  virtual Result<void> stop(const ProcessIdentity& supervisor, const std::string& key) = 0;
  // Until an attempt may have ended, a person typed, or `at_most` has passed.
  virtual void wait(Duration at_most) = 0;
};

}  // namespace holdfast::engine
