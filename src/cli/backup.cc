#include "recovery/backup.h"

#include "base/units.h"
#include "cli/commands.h"
#include "cli/present.h"
#include "cli/program.h"
#include "cli/progress_view.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "recovery/redis_component.h"
#include "repo/missing.h"

namespace holdfast::cli {

namespace {

// "full", "incremental", "incremental (wal)".
std::string capture_text(const repo::Snapshot& snapshot) {
  if (!snapshot.incremental) return "full";
  const std::string known_by = changes_known_by(snapshot);
  return known_by.empty() ? "incremental" : fmt::format("incremental ({})", known_by);
}

constexpr size_t kFaultsShown = 20;

std::vector<std::string> notes_of(const recovery::BackupReport& report) {
  std::vector<std::string> notes = recovery::left_out_of(report.point);
  notes.insert(notes.end(), report.notes.begin(), report.notes.end());
  return notes;
}

void print_faults(Context& context, const repo::Snapshot& snapshot) {
  const std::vector<std::string>& faults = snapshot.faults;
  const size_t shown = faults.size() > kFaultsShown ? kFaultsShown - 1 : faults.size();
  for (size_t i = 0; i < shown; i++) context.print("fault: {}: {}", snapshot.component, printable(faults[i]));
  if (shown < faults.size())
    context.print("fault: {}: and more: 'holdfast points --json' has the list", snapshot.component);
}

void print_report(Context& context, const recovery::BackupReport& report) {
  if (context.json()) return;
  Table table({{"COMPONENT"},
               {"SIZE", Table::Align::kRight},
               {"READ", Table::Align::kRight},
               {"NEW", Table::Align::kRight},
               {"FILES", Table::Align::kRight},
               {"TOOK", Table::Align::kRight},
               {"CAPTURE"}});
  for (const repo::Snapshot& snapshot : report.point.snapshots) {
    table.add({snapshot.component, format_bytes(snapshot.source_bytes), format_bytes(snapshot.read_bytes),
               format_bytes(snapshot.stored_bytes), format_count(snapshot.files), duration_text(snapshot.took),
               capture_text(snapshot)});
  }
  if (!context.quiet()) context.write(table.text());
  for (const repo::Snapshot& snapshot : report.point.snapshots) print_faults(context, snapshot);
  for (const repo::MissingComponent& missing : repo::missing_components(report.point))
    context.print("missing: {}: {}", missing.component, printable(one_line(missing.problem)));
  for (const std::string& problem : report.problems) context.print("problem: {}", printable(one_line(problem)));
  for (const std::string& warning : report.warnings) context.print("warning: {}", printable(warning));
  for (const std::string& note : notes_of(report)) context.say("note: {}", printable(note));
  for (const std::string& line : instants_text(report.point)) context.say("  {}", line);
  context.print("point {} at {}: {} stored in {}", short_id(report.point.id), format_local(report.point.time),
                format_bytes(report.stats.stored_bytes), duration_text(report.took));
}

Result<void> run(Context& context, const recovery::BackupOptions& options) {
  auto workspace = TRY(context.open());
  Result<recovery::BackupReport> report = [&] {
    ProgressView view(context);
    return recovery::take_point(*workspace, options);
  }();
  if (!report.ok()) return std::move(report).error();
  context.set_document("backup", {{"point", json_of(report->point)},
                                  {"stored_bytes", report->stats.stored_bytes},
                                  {"blocks_new", report->stats.blocks_new},
                                  {"blocks_reused", report->stats.blocks_reused},
                                  {"took_seconds", json_of(report->took)},
                                  {"problems", report->problems},
                                  {"warnings", report->warnings},
                                  {"notes", notes_of(*report)}});
  print_report(context, *report);
  for (const recovery::ComponentConfig& component : workspace->stack().components) {
    if (const std::string note = recovery::no_place_note(component); !note.empty())
      context.say("note: {}: {}", component.name, note);
  }
  return recovery::faults_of(*report);
}

}  // namespace

void add_backup(Program& program) {
  auto options = std::make_shared<recovery::BackupOptions>();
  CLI::App* command = program.command("backup", "Take a recovery point: every component, committed together.");
  command->add_option("--component", options->components, "only this component (may be repeated)")->type_name("NAME");
  command->add_option("--tag", options->tags, "mark the point; tags in retention.keep_tags hold it")->type_name("TAG");
  command->add_flag("--full", options->full, "read everything, whatever looks unchanged");
  command->add_flag("--new-cluster", options->new_cluster,
                    "PostgreSQL: the component goes on as another cluster, as after a new initdb or pg_upgrade");
  command->add_flag("--prove", options->prove,
                    "read also the pages that the WAL does not name, and fail if one has changed");
  command->add_flag("--allow-empty", options->allow_empty,
                    "take paths that hold no file any more, though the point before has files of them");
  program.examples(command,
                   "holdfast backup\n"
                   "holdfast backup --component db --tag before-upgrade\n"
                   "holdfast backup --json | jq .point.id\n"
                   "# exit status 28: taken, but the database has bad pages\n"
                   "# exit status 27: taken, but not whole: files that could not be read,\n"
                   "# a component is missing (when_a_component_fails), after_backup failed");
  program.on(command, [options](Context& context) { return run(context, *options); });
}

}  // namespace holdfast::cli
