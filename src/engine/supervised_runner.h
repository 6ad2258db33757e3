#pragma once

#include <map>
#include <string>

#include "engine/channel.h"
#include "engine/fork_server.h"
#include "engine/runner.h"

namespace holdfast::engine {

// Runs steps for real: one supervisor process each.
class SupervisedRunner : public StepRunner {
 public:
  // `program` is this very program; `also_wait_for` a descriptor (the terminal) or -1.
  explicit SupervisedRunner(std::string program = "/proc/self/exe", int also_wait_for = -1)
      : server_(std::move(program)), also_wait_for_(also_wait_for) {}

  Result<ProcessIdentity> prepare(const AttemptFiles& files, const std::string& script) override;
  Result<void> go(const AttemptFiles& files, const AttemptOrder& order) override;
  void abandon(const AttemptFiles& files) override;
  Result<AttemptReport> look(const AttemptFiles& files, const ProcessIdentity& supervisor) override;
  Result<void> stop(const ProcessIdentity& supervisor, const std::string& key) override;
  void wait(Duration at_most) override;

 private:
  ForkServer server_;
  const int also_wait_for_;
  std::map<std::string, Channel> channels_;  // by the attempt's directory
  bool reattached_ = false;                  // some attempt has no channel: look again soon
};

}  // namespace holdfast::engine
