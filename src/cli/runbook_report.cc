#include "cli/present.h"
#include "cli/program.h"
#include "cli/runbook.h"
#include "cli/runbook_options.h"
#include "engine/report.h"
#include "engine/runs.h"
#include "engine/words.h"
#include "runbook/reader.h"

namespace holdfast::cli {
namespace {

struct ReportOptions {
  std::string run = "latest", format = "md", runs;
};

Json json_of_steps(const engine::RunState& state) {
  Json steps = Json::array();
  for (const engine::Step& step : state.plan.steps) {
    const engine::StepState& now = state.step(step.id);
    Json one = {{"step", step.id},
                {"title", step.title},
                {"state", engine::phase_name(now.phase)},
                {"attempts", now.attempts},
                {"took_seconds", json_of(now.took)},
                {"exit_status", nullptr},
                {"skipped", now.skipped}};
    if (now.end && now.end->ended_by_itself()) one["exit_status"] = now.end->exit_status;
    steps.push_back(std::move(one));
  }
  return steps;
}

Json json_of_timeline(const engine::RunState& state, const std::vector<engine::Event>& events) {
  Json timeline = Json::array();
  for (const engine::Event& event : events) {
    timeline.push_back({{"seq", event.seq},
                        {"time", json_of(event.time)},
                        {"step", event.step},
                        {"attempt", event.attempt},
                        {"kind", event.kind},
                        {"words", engine::words_of(state, event)}});
  }
  return timeline;
}

Result<void> report(Context& context, const ReportOptions& options) {
  const std::string directory = TRY(engine::find_run(runs_directory(options.runs), options.run));
  const std::vector<engine::Event> events = TRY(engine::Journal::read(join_path(directory, "journal.db")));
  const engine::RunState state = TRY(engine::fold(events));
  const engine::Actuals actuals = engine::actuals_of(state, events);
  const auto or_null = [](const std::optional<Duration>& duration) { return duration ? json_of(*duration) : Json(); };
  context.set_document("run-report", {{"run", state.id},
                                      {"title", state.plan.title},
                                      {"document", state.plan.document},
                                      {"document_sha256", state.plan.document_sha256},
                                      {"drill", state.drill()},
                                      {"partial", state.partial()},
                                      {"outcome", state.finished},
                                      {"stopped", state.stopped},
                                      {"began", json_of(state.began)},
                                      {"last", json_of(state.last)},
                                      {"recovery_seconds", or_null(actuals.recovery)},
                                      {"loss_seconds", or_null(actuals.loss)},
                                      {"journal_digest", to_hex(events.back().digest)},
                                      {"steps", json_of_steps(state)},
                                      {"timeline", json_of_timeline(state, events)}});
  if (context.json()) return {};
  std::optional<runbook::Document> document;
  if (auto text = read_file(real_file_system(), join_path(directory, "runbook.md")); text.ok()) {
    auto parsed = runbook::read_document(std::string(as_text(*text)), state.plan.document);
    if (parsed.ok()) document = std::move(*parsed);
  }
  const auto written = engine::report_of(state, events, directory, document ? &*document : nullptr);
  context.write(options.format == "html" ? written.html() : written.markdown());
  return {};
}

}  // namespace

void add_runbook_report(Program& program, CLI::App* runbook) {
  auto options = std::make_shared<ReportOptions>();
  CLI::App* command = program.command("report", "What happened in a run: for the review, and for the record.", runbook);
  command->add_option("RUN", options->run, "its id, part of it, or latest (default)")->type_name("RUN");
  command->add_option("--format", options->format, "md (default) or html")
      ->type_name("FORMAT")
      ->check(CLI::IsMember({"md", "html"}).description(""));
  add_runs_option(command, options->runs);
  program.examples(command,
                   "holdfast runbook report\n"
                   "holdfast runbook report 7f3a --format html > review.html\n"
                   "# kept elsewhere, the digest shows a journal that was changed afterwards\n"
                   "holdfast runbook report --json | jq .journal_digest");
  program.on(command, [options](Context& context) { return report(context, *options); });
}

}  // namespace holdfast::cli
