#include "recovery/stats.h"

#include "base/units.h"
#include "cli/commands.h"
#include "cli/drill.h"
#include "cli/present.h"
#include "cli/program.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "cli/unreachable.h"
#include "recovery/evidence.h"
#include "recovery/points.h"

namespace holdfast::cli {

namespace {

std::string objective(const std::optional<Duration>& promised) { return promised ? duration_text(*promised) : "-"; }

Json document_of(const recovery::RepositoryStats& stats, const std::vector<recovery::ObjectiveState>& objectives) {
  Json kinds = Json::object(), components = Json::array();
  for (const auto& [kind, count] : stats.by_kind) kinds[kind] = {{"objects", count.objects}, {"bytes", count.bytes}};
  for (const auto& state : objectives) {
    Json json = {{"component", state.component}, {"kind", state.kind}, {"newest_bytes", state.newest_bytes}};
    json["rpo_seconds"] = state.rpo ? json_of(*state.rpo) : Json();
    json["rto_seconds"] = state.rto ? json_of(*state.rto) : Json();
    json["protected_until"] = state.protected_until ? json_of(*state.protected_until) : Json();
    json["exposure_seconds"] = state.exposure ? json_of(*state.exposure) : Json();
    json["rpo_met"] = state.rpo_met ? Json(*state.rpo_met) : Json();
    if (!state.problem.empty()) json["server_problem"] = state.problem;
    json["notes"] = state.notes;
    components.push_back(std::move(json));
  }
  return {{"repository", {{"objects", stats.total.objects}, {"bytes", stats.total.bytes}, {"kinds", kinds}}},
          {"points", stats.points},
          {"newest_source_bytes", stats.newest_source_bytes},
          {"all_source_bytes", stats.all_source_bytes},
          {"components", components}};
}

// Null without any, and for one that can't be read: 'drill --list' says more.
Json last_drill(const recovery::Evidence& evidence) {
  if (!evidence.body.is_object()) return nullptr;
  Json drill;
  for (const char* key : {"id", "began", "result"}) {
    const auto found = evidence.body.find(key);
    drill[key] = found != evidence.body.end() && found->is_string() ? printable(found->get<std::string>()) : "-";
  }
  return drill;
}

Result<void> run(Context& context, bool ask_server) {
  auto workspace = TRY(context.open());
  TRY(recovery::name_only_stack(*workspace));
  const auto stats = TRY(recovery::repository_stats(*workspace));
  const auto objectives = TRY(recovery::objective_states(*workspace, ask_server));
  recovery::EvidenceLog evidence(workspace->repository(), real_file_system(), workspace->stack().stack,
                                 drill_registry());
  const Json drill = last_drill(TRY(evidence.newest()));
  Json document = document_of(stats, objectives);
  document["last_drill"] = drill;
  context.set_document("stats", std::move(document));
  if (context.json()) return {};

  context.print("repository {}", workspace->stack().repository);
  Table kinds({{"KIND"}, {"OBJECTS", Table::Align::kRight}, {"SIZE", Table::Align::kRight}});
  for (const auto& [kind, count] : stats.by_kind)
    kinds.add({kind, format_count(count.objects), format_bytes(count.bytes)});
  kinds.add({"total", format_count(stats.total.objects), format_bytes(stats.total.bytes)});
  context.write(kinds.text());
  context.print("{} of {}: {} at the newest, {} in all", counted(stats.points, "point"), workspace->stack().stack,
                format_bytes(stats.newest_source_bytes), format_bytes(stats.all_source_bytes));
  if (!drill.is_null())
    context.print("last drill {} at {}", drill.value("result", ""),
                  with_times_as_given(drill.value("began", ""), std::nullopt));
  if (objectives.empty()) return {};
  Table table({{"COMPONENT"},
               {"PROTECTED UNTIL"},
               {"LOSS NOW", Table::Align::kRight},
               {"RPO", Table::Align::kRight},
               {"MET"},
               {"RTO", Table::Align::kRight},
               {"SIZE", Table::Align::kRight}});
  for (const auto& state : objectives) {
    table.add({state.component, state.protected_until ? format_local(*state.protected_until) : "never",
               state.exposure ? duration_text(*state.exposure) : "all", objective(state.rpo),
               !state.rpo_met   ? "-"
               : *state.rpo_met ? "yes"
                                : "NO",
               objective(state.rto), format_bytes(state.newest_bytes)});
  }
  context.write("\n" + table.text());
  for (const auto& state : objectives) {
    if (state.exposure && recovery::is_of_wrong_clock(*state.exposure))
      context.print(
          "warning: {}: what it is protected until lies in the future: a clock is or was ahead, and what would "
          "be lost now is not known",
          state.component);
    if (!state.problem.empty())
      context.say("note: {}: the server can't say whether anything was committed since: {}", state.component,
                  state.problem);
    for (const std::string& note : state.notes) context.say("note: {}: {}", state.component, note);
  }
  return {};
}

}  // namespace

void add_stats(Program& program) {
  CLI::App* command = program.command("stats", "Show what the repository holds, and objectives against actuals.");
  program.examples(command, "holdfast stats\nholdfast stats --json | jq '.components[] | select(.rpo_met == false)'");
  auto no_server = std::make_shared<bool>(false);
  command->add_flag("--no-server", *no_server,
                    "do not ask the servers where their logs end: the stored log alone speaks");
  program.on(command, [no_server](Context& context) { return run(context, !*no_server); });
}

}  // namespace holdfast::cli
