#pragma once

#include "cli/context.h"
#include "engine/observer.h"

namespace holdfast::cli {

// A run as plain lines, each with the time since the scenario began.
class RunLines : public engine::Observer {
 public:
  explicit RunLines(Context& context) : context_(context) {}
  void on_event(const engine::RunState& state, const engine::Event& event) override;
  void on_tick(const engine::RunState&, Time) override {}
  void on_work(const engine::RunState& state, const std::string& words) override;

 private:
  Context& context_;
};

// A run as JSON, one event a line: docs/json.md, "run events".
class RunJson : public engine::Observer {
 public:
  explicit RunJson(Context& context) : context_(context) {}
  void on_event(const engine::RunState& state, const engine::Event& event) override;
  void on_tick(const engine::RunState&, Time) override {}
  void on_work(const engine::RunState&, const std::string&) override {}

 private:
  Context& context_;
};

}  // namespace holdfast::cli
