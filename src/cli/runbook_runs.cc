#include "cli/present.h"
#include "cli/program.h"
#include "cli/runbook.h"
#include "cli/runbook_options.h"
#include "cli/table.h"
#include "engine/runs.h"

namespace holdfast::cli {
namespace {

std::string status_of(const engine::RunState& state) {
  if (!state.finished.empty()) return state.finished;
  if (!state.stopped.empty()) return "stopped: " + state.stopped;
  return "driven or killed";
}

Result<void> list(Context& context, const std::string& runs_option) {
  const std::string runs = runs_directory(runs_option);
  Table table(
      {{"RUN"}, {"BEGAN"}, {"TOOK", Table::Align::kRight}, {"STEPS", Table::Align::kRight}, {"STATE"}, {"SCENARIO"}});
  Json found = Json::array();
  for (const std::string& id : TRY(engine::list_runs(runs))) {
    const auto state = engine::read_run(join_path(runs, id));
    if (!state.ok()) {
      table.add({id, "", "", "", "unreadable", state.error().message()});
      found.push_back({{"run", id}, {"problem", state.error().message()}});
      continue;
    }
    size_t settled = 0;
    for (const engine::Step& step : state->plan.steps) settled += state->settled(step.id) ? 1 : 0;
    const Duration took = state->last - state->created_at;
    table.add({id, format_local(state->created_at), duration_text(took),
               fmt::format("{}/{}", settled, state->plan.steps.size()),
               status_of(*state) + (state->drill() ? " (drill)" : ""), state->plan.title});
    found.push_back({{"run", id},
                     {"scenario", state->plan.procedure},
                     {"title", state->plan.title},
                     {"document", state->plan.document},
                     {"began", json_of(state->created_at)},
                     {"took_seconds", json_of(took)},
                     {"drill", state->drill()},
                     {"steps", state->plan.steps.size()},
                     {"steps_settled", settled},
                     {"outcome", state->finished},
                     {"stopped", state->stopped}});
  }
  context.set_document("runs", {{"runs", found}});
  if (table.empty()) {
    context.say("there is no run in {} yet", runs);
  } else if (!context.json()) {
    context.write(table.text());
  }
  return {};
}

}  // namespace

void add_runbook_runs(Program& program, CLI::App* runbook) {
  auto runs = std::make_shared<std::string>();
  CLI::App* command = program.command("runs", "List the runs, oldest first.", runbook);
  add_runs_option(command, *runs);
  program.examples(command,
                   "holdfast runbook runs\n"
                   "holdfast runbook runs --json | jq -r '.runs[] | select(.outcome == \"\") | .run'");
  program.on(command, [runs](Context& context) { return list(context, *runs); });
}

}  // namespace holdfast::cli
