#pragma once

#include <termios.h>

#include <deque>
#include <map>
#include <optional>
#include <string>

#include "cli/run_frame.h"
#include "engine/observer.h"
#include "engine/person.h"

namespace holdfast::cli {

// A run on a terminal: redraws its frame in place, and hears keys. The terminal is
// as it was when the view goes.
class RunView : public engine::Observer, public engine::Person {
 public:
  RunView(std::string run_directory, std::map<std::string, Duration> expected);
  ~RunView() override;
  RunView(const RunView&) = delete;
  RunView& operator=(const RunView&) = delete;

  void on_event(const engine::RunState& state, const engine::Event& event) override;
  void on_tick(const engine::RunState& state, Time now) override;
  void on_work(const engine::RunState& state, const std::string& words) override;

  Result<std::optional<engine::Answer>> ask(const engine::Question& question,
                                            const std::function<void()>& meanwhile) override;
  engine::Wish wish() override;
  std::string who() const override { return engine::who_is_there(); }

 private:
  void draw(const engine::RunState& state);
  std::optional<char> key(Duration wait);
  // The words that a person types; empty when they went back.
  std::optional<std::string> words(const std::function<void()>& meanwhile);
  std::string hears(const engine::Question& question, const std::function<void()>& meanwhile);

  const std::string run_directory_;
  std::map<std::string, Duration> expected_;
  termios before_{};
  bool raw_ = false;
  size_t drawn_lines_ = 0, drawn_width_ = 0;
  FrameInput frame_;
  bool dirty_ = true;
  Duration stop_armed_until_;  // x again until then stops the step
};

}  // namespace holdfast::cli
