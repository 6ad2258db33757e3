#include "recovery/verify.h"

#include "base/units.h"
#include "cli/commands.h"
#include "cli/drill.h"
#include "cli/present.h"
#include "cli/program.h"
#include "cli/progress_view.h"
#include "cli/terminal.h"
#include "cli/verify_live.h"
#include "recovery/scratch_sweep.h"

namespace holdfast::cli {

namespace {

struct VerifyCommand {
  recovery::VerifyRequest request;
  bool offline = false, boot = false, no_amcheck = false;
  std::optional<std::string> deadline;
  VerifyLiveOptions live;
};

// What was done with a cluster that was booted is not told by the number of what was counted in it.
std::string what_was_checked(const source::VerifyReport& report) {
  const std::string bytes = format_bytes(report.checked_bytes);
  const bool booted = report.details.is_object() && report.details.contains("tables_compared");
  return booted ? bytes : fmt::format("{}, {}", counted(report.checked_objects, "object"), bytes);
}

void print_outcome(Context& context, const recovery::VerifyOutcome& outcome) {
  for (const recovery::ComponentVerified& component : outcome.components) {
    for (const auto& finding : component.report.findings) {
      context.print("wrong: {}: {}: {}", component.component, printable(finding.object), printable(finding.problem));
    }
    context.print("{}: {} checked in {}: {}", component.component, what_was_checked(component.report),
                  duration_text(component.took),
                  component.report.findings.empty() ? "right" : counted(component.report.findings.size(), "finding"));
    for (const std::string& note : component.notes) context.print("note: {}: {}", component.component, printable(note));
  }
}

Result<void> run(Context& context, VerifyCommand& command) {
  if (command.offline && command.boot) return make_error(ErrorCode::kUsage, "--offline and --boot exclude each other");
  command.request.mode = command.boot ? recovery::VerifyMode::kBoot : recovery::VerifyMode::kOffline;
  command.request.amcheck = !command.no_amcheck;
  if (command.deadline) command.request.deadline = TRY_CONTEXT(parse_duration(*command.deadline), "--deadline");
  if (!command.live.request.database.empty()) {
    command.live.request.point = command.request.point;
    command.live.request.components = command.request.components;
    if (command.deadline) command.live.request.deadline = command.request.deadline;
    return run_verify_live(context, command.live);
  }
  auto workspace = TRY(context.open());
  const recovery::NotedScratch noted(real_file_system(), system_clock(), drill_registry(),
                                     command.boot ? command.request.scratch_directory : "");
  Result<recovery::VerifyOutcome> verified = [&] {
    ProgressView view(context);
    return recovery::verify_point(*workspace, command.request);
  }();
  if (!verified.ok()) return std::move(verified).error();
  const recovery::VerifyOutcome& outcome = *verified;
  Json components = Json::array();
  for (const recovery::ComponentVerified& component : outcome.components) {
    Json findings = Json::array();
    for (const auto& finding : component.report.findings)
      findings.push_back({{"object", printable(finding.object)}, {"problem", finding.problem}});
    components.push_back({{"component", component.component},
                          {"kind", component.kind},
                          {"checked_objects", component.report.checked_objects},
                          {"checked_bytes", component.report.checked_bytes},
                          {"took_seconds", json_of(component.took)},
                          {"findings", findings},
                          {"notes", component.notes},
                          {"details", component.report.details}});
  }
  context.set_document("verify", {{"point", outcome.point.id.hex()},
                                  {"point_time", json_of(outcome.point.time)},
                                  {"mode", command.boot ? "boot" : "offline"},
                                  {"recorded", outcome.recorded},
                                  {"components", components}});
  print_outcome(context, outcome);
  if (outcome.findings() > 0) {
    return make_error(ErrorCode::kVerifyFailed, "point {} is not right: {}", short_id(outcome.point.id),
                      counted(outcome.findings(), "finding"))
        .with_hint(
            "'holdfast check --read-data' tells whether the repository is damaged; an earlier point may be right");
  }
  context.print("point {} of {} is right", short_id(outcome.point.id), format_local(outcome.point.time));
  if (!command.boot) context.say("--boot also starts the database aside and asks it");
  if (outcome.not_recorded)
    return outcome.not_recorded->clone().with_context("the point is right, but not noted as such");
  return {};
}

}  // namespace

void add_verify(Program& program) {
  auto options = std::make_shared<VerifyCommand>();
  CLI::App* command = program.command("verify", "Prove a recovery point, or a live database: all there and right.");
  command->add_option("--point", options->request.point, "which one (default: latest)")->type_name("ID");
  command->add_option("--component", options->request.components, "only this component (may be repeated)")
      ->type_name("NAME");
  command->add_flag("--offline", options->offline, "read and check every page and byte (default)");
  command->add_flag("--boot", options->boot,
                    "restore aside, start the database there, run pg_amcheck, compare row counts, run the assertions");
  command
      ->add_option("--scratch", options->request.scratch_directory,
                   "with --boot: where there is room (default: $TMPDIR or /tmp)")
      ->type_name("DIR");
  command->add_flag("--no-amcheck", options->no_amcheck, "with --boot: leave pg_amcheck out");
  command
      ->add_option(
          "--deadline", options->deadline,
          "give up after this long: with --boot on all of it (default: 1h), with --database on a statement (24h)")
      ->type_name("DURATION");
  add_verify_live_options(command, options->live);
  program.examples(command,
                   "holdfast verify\n"
                   "holdfast verify --boot --scratch /srv/scratch\n"
                   "holdfast verify --point 3f0a91c2 --component db\n"
                   "holdfast verify --database shop --full-check --recent 24h\n"
                   "# prune never drops the newest point that was verified whole");
  program.on(command, [options, command](Context& context) -> Result<void> {
    TRY(check_verify_live(*command));
    return run(context, *options);
  });
}

}  // namespace holdfast::cli
