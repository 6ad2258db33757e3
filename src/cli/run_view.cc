#include "cli/run_view.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "base/filesystem.h"
#include "cli/signals.h"
#include "cli/terminal.h"
#include "engine/output_tail.h"

namespace holdfast::cli {
namespace {

constexpr Duration kAskPause = Duration::milliseconds(200);
constexpr Duration kStopArmed = Duration::seconds(5);
constexpr size_t kTail = 40;
constexpr char kEscape = 27, kBackspace = 8, kDelete = 127;

std::string look_code(FrameLine::Look look) {
  if (std::getenv("NO_COLOR") != nullptr) return look == FrameLine::Look::kTitle ? "\x1b[1m" : "";
  switch (look) {
    case FrameLine::Look::kTitle: return "\x1b[1m";
    case FrameLine::Look::kDim:
    case FrameLine::Look::kRule: return "\x1b[2m";
    case FrameLine::Look::kGood: return "\x1b[32m";
    case FrameLine::Look::kBusy: return "\x1b[1;36m";
    case FrameLine::Look::kBad: return "\x1b[1;31m";
    case FrameLine::Look::kWarn: return "\x1b[33m";
    case FrameLine::Look::kPlain: break;
  }
  return "";
}

size_t terminal_height() {
  struct winsize size = {};
  return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row >= 5 ? size.ws_row : 24;
}

// The key that stands for an answer: its first letter, but k for skip, since s stops.
char key_of(const std::string& answer) { return answer == "skip" ? 'k' : answer[0]; }

// Of UTF-8, where all bytes of a character but the first are 10xxxxxx.
void remove_last_character(std::string& text) {
  while (!text.empty() && (static_cast<unsigned char>(text.back()) & 0xc0) == 0x80) text.pop_back();
  if (!text.empty()) text.pop_back();
}

}  // namespace

RunView::RunView(std::string run_directory, std::map<std::string, Duration> expected)
    : run_directory_(std::move(run_directory)), expected_(std::move(expected)) {
  if (::tcgetattr(STDIN_FILENO, &before_) != 0) return;
  termios raw = before_;
  raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
  raw_ = ::tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
  std::fputs("\x1b[?25l", stdout);  // no cursor
  frame_.expected = expected_;
}

RunView::~RunView() {
  if (raw_) ::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  std::fputs("\x1b[?25h", stdout);
  std::fflush(stdout);
}

void RunView::on_event(const engine::RunState&, const engine::Event&) { dirty_ = true; }

void RunView::on_tick(const engine::RunState& state, Time now) {
  frame_.now = now;
  frame_.work.clear();
  draw(state);
}

void RunView::on_work(const engine::RunState& state, const std::string& words) {
  frame_.now = system_clock().now();
  frame_.work = words;
  draw(state);
}

void RunView::draw(const engine::RunState& state) {
  frame_.width = terminal_width(STDOUT_FILENO);
  frame_.height = terminal_height();
  frame_.running.clear();
  for (const engine::Step& step : state.plan.steps) {
    const engine::StepState& now = state.step(step.id);
    if (now.phase == engine::StepPhase::kRunning) {
      frame_.running = step.id;
      frame_.output =
          engine::tail_lines(engine::AttemptFiles{join_path(run_directory_, now.directory)}.output(), kTail);
      break;
    }
  }
  const std::vector<FrameLine> lines = draw_frame(state, frame_);
  std::string out;
  if (drawn_width_ != 0 && drawn_width_ != frame_.width) {
    out += "\x1b[2J\x1b[H";  // lines of another width may have been folded
  } else if (drawn_lines_ > 0) {
    out += fmt::format("\x1b[{}A\r", drawn_lines_);
  }
  for (const FrameLine& line : lines) {
    const std::string code = look_code(line.look);
    out += code + line.text + (code.empty() ? "" : "\x1b[0m") + "\x1b[K\n";
  }
  out += "\x1b[J";
  drawn_lines_ = lines.size();
  drawn_width_ = frame_.width;
  std::fwrite(out.data(), 1, out.size(), stdout);
  std::fflush(stdout);
  dirty_ = false;
}

std::optional<char> RunView::key(Duration wait) {
  pollfd watched{STDIN_FILENO, POLLIN, 0};
  if (::poll(&watched, 1, static_cast<int>(wait.in_milliseconds())) <= 0) return std::nullopt;
  char c = 0;
  const ssize_t got = ::read(STDIN_FILENO, &c, 1);
  // A terminal that hung up answers nothing any more: whoever was there has left.
  if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN)) process_progress().stop = true;
  if (got != 1) return std::nullopt;
  if (c != kEscape) return c;
  // An arrow or function key begins with an escape too: its rest is no answer.
  bool sequence = false;
  while (::poll(&watched, 1, 0) > 0 && ::read(STDIN_FILENO, &c, 1) == 1) sequence = true;
  return sequence ? std::nullopt : std::optional<char>(kEscape);
}

engine::Wish RunView::wish() {
  const Duration now = system_clock().monotonic();
  const auto pressed = key(Duration());
  const bool armed = now < stop_armed_until_;
  if (pressed) stop_armed_until_ = pressed == 'x' && !armed ? now + kStopArmed : Duration();
  frame_.stop_armed = now < stop_armed_until_;
  if (pressed == 'x' && armed) return engine::Wish::kStopStep;
  return pressed == 'q' ? engine::Wish::kDetach : engine::Wish::kNothing;
}

std::optional<std::string> RunView::words(const std::function<void()>& meanwhile) {
  frame_.wants_words = true;
  frame_.typed.clear();
  std::optional<std::string> said;
  for (bool typing = true; typing && !process_progress().stop;) {
    meanwhile();
    const auto pressed = key(kAskPause);
    if (!pressed) continue;
    if (*pressed == '\n' || *pressed == '\r') {
      if (frame_.typed.empty()) continue;
      said = frame_.typed;
      typing = false;
    } else if (*pressed == kEscape) {
      typing = false;
    } else if (*pressed == kBackspace || *pressed == kDelete) {
      remove_last_character(frame_.typed);
    } else if (static_cast<unsigned char>(*pressed) >= 0x20) {
      frame_.typed += *pressed;
    }
  }
  frame_.wants_words = false;
  return said;
}

// "" when a signal asked to leave.
std::string RunView::hears(const engine::Question& question, const std::function<void()>& meanwhile) {
  while (!process_progress().stop) {
    meanwhile();
    const auto pressed = key(kAskPause);
    if (!pressed) continue;
    for (const std::string& answer : question.answers) {
      if (key_of(answer) == *pressed) return answer;
    }
  }
  return "";
}

Result<std::optional<engine::Answer>> RunView::ask(const engine::Question& question,
                                                   const std::function<void()>& meanwhile) {
  // What was typed before the question was there answers something else.
  ::tcflush(STDIN_FILENO, TCIFLUSH);
  stop_armed_until_ = Duration();
  frame_.question = &question;
  std::optional<engine::Answer> answer;
  while (!answer && !process_progress().stop) {
    if (question.answers.empty()) {
      if (auto said = words(meanwhile)) answer = engine::Answer{"", *said};
      continue;
    }
    const std::string key = hears(question, meanwhile);
    if (key.empty()) break;
    // Who leaves a step out says why: it stands in the report.
    if (key != "skip") {
      answer = engine::Answer{key, ""};
    } else if (auto why = words(meanwhile)) {
      answer = engine::Answer{key, *why};
    }
  }
  frame_.question = nullptr;
  return answer;
}

}  // namespace holdfast::cli
