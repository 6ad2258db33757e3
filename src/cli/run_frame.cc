#include "cli/run_frame.h"

#include <algorithm>

#include "cli/present.h"
#include "cli/terminal.h"
#include "engine/shared_clock.h"
#include "engine/words.h"

namespace holdfast::cli {
namespace {

using engine::StepPhase;
using Look = FrameLine::Look;

constexpr size_t kLeastSteps = 3;
constexpr size_t kOutputLines = 8;
constexpr size_t kRightColumn = 26;
// What stands at the right of a step is still seen as the step's; output uses all columns.
constexpr size_t kWidestSteps = 110;

// At most `width` columns, with a mark where something was cut off.
std::string clipped(const std::string& text, size_t width) {
  if (display_width(text) <= width) return text;
  std::string out;
  size_t columns = 0;
  for (size_t i = 0; i < text.size();) {
    size_t end = i + 1;
    while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) end++;
    if (columns + 1 >= width) break;
    out += text.substr(i, end - i);
    columns++;
    i = end;
  }
  return out + "…";
}

// `left` at the beginning and `right` at the end of a line.
std::string spread(const std::string& left, const std::string& right, size_t width) {
  const size_t room = width - std::min(width, display_width(right) + 1);
  const std::string begin = clipped(left, room);
  return begin + std::string(width - std::min(width, display_width(begin) + display_width(right)), ' ') + right;
}

class Frame {
 public:
  Frame(const engine::RunState& state, const FrameInput& input) : state_(state), input_(input) {}

  std::vector<FrameLine> draw() {
    head();
    std::vector<FrameLine> below;
    std::swap(lines_, below);
    const std::vector<FrameLine> top = std::move(below);
    foot();
    const std::vector<FrameLine> bottom = std::exchange(lines_, top);
    const size_t used = top.size() + bottom.size() + 1;
    steps(input_.height > used + kLeastSteps ? input_.height - used : kLeastSteps);
    lines_.insert(lines_.end(), bottom.begin(), bottom.end());
    if (lines_.size() + 1 > input_.height) lines_.resize(std::max<size_t>(input_.height, 2) - 1);
    return std::move(lines_);
  }

 private:
  void add(Look look, const std::string& text) { lines_.push_back({look, clipped(text, input_.width)}); }

  void rule(const std::string& title) {
    std::string text = title.empty() ? "" : "── " + title + " ";
    for (size_t columns = display_width(text); columns < input_.width; columns++) text += "─";
    add(Look::kRule, text);
  }

  void head() {
    add(Look::kTitle,
        spread(printable(state_.plan.title), (state_.drill() ? "drill " : "run ") + state_.id, steps_width()));
    const Duration elapsed = input_.now - state_.began;
    std::string clocks = "elapsed " + engine::clock_text(elapsed);
    Look look = Look::kPlain;
    if (state_.plan.rto && state_.plan.rto->most)
      clocks += "   RTO " + clock_against(*state_.plan.rto->most, elapsed, look);
    for (const engine::Step& step : state_.plan.steps) {
      if (state_.settled(step.id) || !step.window_end) continue;
      clocks +=
          fmt::format("   {} {}", clipped(printable(step.phase), 24), clock_against(*step.window_end, elapsed, look));
      break;
    }
    for (const engine::SharedBudget& budget : state_.plan.budgets) {
      const auto clock = engine::shared_clock(state_, budget, input_.now);
      if (clock && clock->runs)
        clocks += fmt::format("   {} {}", clipped(printable(budget.title), 24),
                              clock_against(budget.most, clock->elapsed, look));
    }
    add(look, clocks);
    rule("");
  }

  static std::string clock_against(Duration limit, Duration elapsed, Look& look) {
    if (elapsed >= limit) {
      look = Look::kBad;
      return fmt::format("{}: over by {}", duration_text(limit), engine::clock_text(elapsed - limit));
    }
    if (elapsed.ns >= limit.ns / 100 * 80 && look != Look::kBad) look = Look::kWarn;
    return fmt::format("{}: {} left", duration_text(limit), engine::clock_text(limit - elapsed));
  }

  // A window of steps around the first that is not settled.
  void steps(size_t room) {
    const auto& steps = state_.plan.steps;
    size_t current = 0;
    while (current < steps.size() && state_.settled(steps[current].id)) current++;
    room = std::min(room, steps.size());
    size_t first = current > room / 2 ? current - room / 2 : 0;
    first = std::min(first, steps.size() - room);
    for (size_t i = first; i < first + room; i++) {
      const bool cut_above = i == first && first > 0, cut_below = i + 1 == first + room && first + room < steps.size();
      if (cut_above || cut_below) {
        add(Look::kDim, fmt::format("     … {} more", cut_above ? first + 1 : steps.size() - i));
      } else {
        step_line(i);
      }
    }
  }

  void step_line(size_t index) {
    const engine::Step& step = state_.plan.steps[index];
    const engine::StepState& now = state_.step(step.id);
    const auto [mark, look] = mark_of(step, now);
    const std::string left =
        fmt::format(" {} {:>2}  {}", mark, index + 1, printable(one_line(step.title.empty() ? step.id : step.title)));
    add(look,
        spread(left, clipped(printable(right_of(step, now)), std::max(kRightColumn, input_.width / 3)), steps_width()));
  }

  size_t steps_width() const { return std::min(input_.width, kWidestSteps); }

  std::pair<const char*, Look> mark_of(const engine::Step& step, const engine::StepState& now) const {
    switch (now.phase) {
      case StepPhase::kDone: return {"✓", Look::kGood};
      case StepPhase::kSkipped: return {"-", Look::kDim};
      case StepPhase::kFailed: return {"✗", Look::kBad};
      case StepPhase::kUnknown: return {"?", Look::kBad};
      case StepPhase::kRunning:
      case StepPhase::kRan: return {"▶", Look::kBusy};
      case StepPhase::kPending: break;
    }
    if (input_.question != nullptr && input_.question->step != nullptr && input_.question->step->id == step.id)
      return {"▶", Look::kBusy};
    return {step.destructive() ? "!" : "·", step.destructive() ? Look::kWarn : Look::kPlain};
  }

  // Beside the clock of a step that comes close to the time that the document gives it.
  std::string expectation_of(const engine::Step& step) const {
    const std::string budget = engine::own_budget(step);
    if (state_.budgets.contains("over:" + budget)) return ", overrun: " + duration_text(*step.expected);
    return state_.budgets.contains("warn:" + budget) ? " of " + duration_text(*step.expected) : "";
  }

  std::string right_of(const engine::Step& step, const engine::StepState& now) const {
    if (now.phase == StepPhase::kDone) return now.end ? duration_text(now.end->took) : "by hand";
    if (now.phase == StepPhase::kRunning && now.orphaned_seq != 0) return "its supervisor is dead";
    if (now.phase == StepPhase::kRunning) return engine::clock_text(input_.now - now.started) + expectation_of(step);
    if (now.phase != StepPhase::kPending) return engine::outcome_words(now);
    if (step.destructive()) return "destroys";
    if (step.promotes()) return "promotes";
    if (step.kind == engine::StepKind::kManual) return "by hand";
    if (!step.approve.empty()) return step.approve + " approves";
    if (const auto known = input_.expected.find(step.id); known != input_.expected.end())
      return "about " + duration_text(known->second);
    return step.expected ? "about " + duration_text(*step.expected) : "";
  }

  void foot() {
    if (input_.question != nullptr) {
      ask();
      return;
    }
    if (!input_.running.empty()) {
      rule("output of " + printable(input_.running));
      output(input_.output);
    }
    rule("");
    const engine::Step* next = next_step();
    if (!input_.work.empty()) {
      add(Look::kBusy, printable(input_.work) + " ...");
    } else if (next != nullptr) {
      add(Look::kPlain, "next: " + printable(one_line(next->title.empty() ? next->id : next->title)));
    }
    if (input_.stop_armed) {
      add(Look::kWarn, "[x] again: stop the running step now   any other key: let it run");
    } else {
      add(Look::kDim, "[x] [x] stop the running step   [q] leave it running; 'resume' takes it up");
    }
  }

  void output(const std::vector<std::string>& text) {
    const size_t count = std::min({text.size(), kOutputLines, input_.height / 3});
    for (size_t i = text.size() - count; i < text.size(); i++) add(Look::kDim, "  " + printable(text[i]));
    for (size_t i = count; i < std::min(kOutputLines, input_.height / 3); i++) add(Look::kDim, "");
  }

  const engine::Step* next_step() const {
    for (const engine::Step& step : state_.plan.steps) {
      const StepPhase phase = state_.step(step.id).phase;
      if (phase == StepPhase::kPending && step.skipped.empty()) return &step;
    }
    return nullptr;
  }

  void ask() {
    const engine::Question& question = *input_.question;
    rule("");
    for (const std::string& line : wrap(printable(one_line(question.words)), input_.width)) add(Look::kWarn, line);
    size_t room = input_.height / 2;
    for (const std::string& detail : question.details) {
      for (size_t begin = 0; begin < detail.size() && room > 0; room--) {
        const size_t end = std::min(detail.find('\n', begin), detail.size());
        add(Look::kPlain, "  " + printable(detail.substr(begin, end - begin)));
        begin = end + 1;
      }
    }
    if (input_.wants_words) {
      add(Look::kTitle, "> " + printable(input_.typed) + "_");
      add(Look::kDim, "[enter] say it   [esc] back");
      return;
    }
    std::string keys;
    for (const std::string& answer : question.answers)
      keys += fmt::format("{}[{}] {}", keys.empty() ? "" : "   ",
                          answer[0] == 's' && answer != "stop" ? 'k' : answer[0], answer);
    add(Look::kTitle, keys);
  }

  const engine::RunState& state_;
  const FrameInput& input_;
  std::vector<FrameLine> lines_;
};

}  // namespace

std::vector<FrameLine> draw_frame(const engine::RunState& state, const FrameInput& input) {
  return Frame(state, input).draw();
}

}  // namespace holdfast::cli
