#include "cli/run_lines.h"

#include <cstdio>

#include "cli/present.h"
#include "cli/terminal.h"
#include "engine/words.h"

namespace holdfast::cli {

void RunLines::on_event(const engine::RunState& state, const engine::Event& event) {
  const std::string words = engine::words_of(state, event);
  if (words.empty()) return;
  context_.print("{:>8}  {}", engine::clock_text(event.time - state.began), printable(one_line(words)));
  std::fflush(stdout);
}

void RunLines::on_work(const engine::RunState&, const std::string& words) {
  context_.say("          {} ...", printable(words));
  std::fflush(stdout);
}

void RunJson::on_event(const engine::RunState&, const engine::Event& event) {
  const Json line = {{"schema", "holdfast.run-event/1"},
                     {"run", event.run},
                     {"seq", event.seq},
                     {"time", json_of(event.time)},
                     {"step", event.step},
                     {"attempt", event.attempt},
                     {"kind", event.kind},
                     {"payload", event.payload}};
  context_.write(line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
  std::fflush(stdout);
}

}  // namespace holdfast::cli
