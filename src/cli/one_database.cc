#include "cli/one_database.h"

#include <unistd.h>
#include <algorithm>
#include <string_view>

#include "base/units.h"
#include "cli/context.h"
#include "cli/drill.h"
#include "cli/given.h"
#include "cli/present.h"
#include "cli/progress_view.h"
#include "cli/terminal.h"
#include "cli/unreachable.h"
#include "recovery/extract.h"
#include "recovery/scratch_sweep.h"

namespace holdfast::cli {

namespace {

// What a directory is restored with, and a running server is not.
constexpr const char* kOfDirectories[] = {
    "--to",           "--path",           "--delta",   "--remove-extra", "--numeric-ids",      "--owner",
    "--tablespace",   "--keep-archiving", "--standby", "--action",       "--primary-conninfo", "--into",
    "--into-password"};
constexpr const char* kOfDatabases[] = {"--table",   "--target-database", "--target-table",
                                        "--replace", "--end-sessions",    "--create-roles",
                                        "--server",  "--scratch",         "--deadline"};

Result<recovery::ExtractRequest> request_of(const OneDatabaseOptions& options,
                                            const recovery::RestoreRequest& instant) {
  recovery::ExtractRequest request;
  request.instant = instant;
  request.server = options.server;
  request.options.database = options.database;
  request.options.tables = options.tables;
  request.options.target_database = options.target_database.empty() ? options.database : options.target_database;
  request.options.target_table = options.target_table;
  request.options.replace = options.replace;
  request.options.end_sessions = options.end_sessions;
  request.options.create_roles = options.create_roles;
  request.options.scratch_directory = options.scratch;
  if (options.deadline) request.options.deadline = TRY_CONTEXT(parse_duration(*options.deadline), "--deadline");
  return request;
}

// `is_result`: nothing else comes of the command.
void print_plan(Context& context, const recovery::ExtractRequest& request, const recovery::ExtractPlan& plan,
                const std::optional<std::string>& at, bool is_result) {
  if (context.quiet() && !is_result) return;
  const size_t width = std::min<size_t>(terminal_width(STDOUT_FILENO), 100);
  const auto row = [&](const char* title, const std::string& text) {
    for (const std::string& line : wrap(text, width - 17)) {
      context.print("  {:<15}{}", title, printable(line));
      title = "";
    }
  };
  const recovery::ComponentPlan& source = plan.source;
  context.print("{} ({})", source.component, source.kind);
  row("point", fmt::format("{} of {}", short_id(source.point), format_local(source.point_time)));
  row("will be as at", format_local(source.instant));
  row("how", with_times_as_given(source.description, at));
  row("aside in", fmt::format("{}, {} for the cluster, and room for the dump", request.options.scratch_directory,
                              format_bytes(source.bytes)));
  row("into", request.server.empty() ? "the component's own server, which goes on serving"
                                     : "the server that --server names, which goes on serving");
}

Json document_of(const recovery::ExtractPlan& plan, bool dry_run) {
  const recovery::ComponentPlan& source = plan.source;
  return {{"dry_run", dry_run},
          {"component", source.component},
          {"point", source.point.hex()},
          {"point_time", json_of(source.point_time)},
          {"instant", json_of(source.instant)},
          {"description", source.description}};
}

void add_report(Json& document, const postgres::ExtractReport& report) {
  Json phases = Json::object();
  for (const auto& phase : report.phases) phases[phase.name + "_seconds"] = json_of(phase.took);
  document["what"] = report.what;
  document["result"] = report.result;
  document["bytes"] = report.bytes;
  document["objects_checked"] = report.objects_checked;
  document["rows_checked"] = report.rows_checked;
  document["roles_made"] = report.roles_made;
  document["kept"] = report.kept;
  document["swept"] = report.swept;
  document["notes"] = report.notes;
  document["phases"] = phases;
}

std::string phases_text(const postgres::ExtractReport& report) {
  std::string text;
  for (const auto& phase : report.phases)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", phase.name, duration_text(phase.took));
  return text;
}

void print_report(Context& context, const OneDatabaseOptions& options, const postgres::ExtractReport& report) {
  for (const std::string& name : report.swept)
    context.say("dropped what a run that died had left: {}", printable(name));
  for (const std::string& role : report.roles_made)
    context.print("made role {}: NOLOGIN, without password, membership or attribute", printable(role));
  context.print("restored {} as {}: {}, {} and {} are as they were", printable(report.what), printable(report.result),
                format_bytes(report.bytes), counted(report.objects_checked, "object"),
                counted(report.rows_checked, "row"));
  context.say("{}", phases_text(report));
  for (const std::string& note : report.notes) context.print("note: {}", printable(note));
  for (const std::string& kept : report.kept)
    context.print("kept what was there as {}; when it is no longer wanted: drop {} {}", printable(kept),
                  options.tables.empty() ? "database" : "table", printable(kept));
}

void print_look(Context& context, const postgres::ExtractReport& report) {
  for (const std::string& note : report.notes) context.print("note: {}", printable(note));
  for (const std::string& role : report.roles_made) context.print("would make role {}", printable(role));
  context.print("would restore {} as {}: {}", printable(report.what), printable(report.result),
                format_bytes(report.bytes));
  context.print("nothing was written to the live server (--dry-run)");
}

}  // namespace

void add_one_database_options(CLI::App* command, OneDatabaseOptions& options) {
  command
      ->add_option("--database", options.database,
                   "PostgreSQL: only this database, into a server that runs and goes on")
      ->type_name("NAME");
  command
      ->add_option("--table", options.tables,
                   "with --database: only this table of it, as SQL names it (may be repeated)")
      ->type_name("TABLE");
  command
      ->add_option("--target-database", options.target_database,
                   "with --database: its new name; with --table: the database that the table goes into")
      ->type_name("NAME");
  command->add_option("--target-table", options.target_table, "with one --table: its new name")->type_name("TABLE");
  command->add_flag("--replace", options.replace,
                    "with --database: in place of the database or the tables there, which are renamed and kept; "
                    "with --into: although the server holds data: keys of the same names are replaced, others stay");
  command->add_flag("--end-sessions", options.end_sessions,
                    "with --replace of a database: end the sessions on it at the last moment");
  command->add_flag("--create-roles", options.create_roles,
                    "with --database: make roles that the server lacks, NOLOGIN and without password");
  command
      ->add_option("--server", options.server,
                   "with --database: the server that it goes into (default: the component's connection)")
      ->type_name("CONNINFO");
  command->add_option("--scratch", options.scratch, "with --database: where there is room (default: $TMPDIR or /tmp)")
      ->type_name("DIR");
  command
      ->add_option("--deadline", options.deadline,
                   "with --database: give up after this long, with the live server as it was (default: 24h)")
      ->type_name("DURATION");
}

Result<void> check_one_database(const CLI::App& command, const OneDatabaseOptions& options) {
  const auto usage = [](const std::string& text) { return make_error(ErrorCode::kUsage, "{}", text); };
  if (options.database.empty()) {
    for (const char* name : kOfDatabases) {
      if (!is_given(command, name)) continue;
      // That one word is Redis's, too.
      const bool shared = std::string_view(name) == "--replace";
      if (!shared) return usage(fmt::format("{} needs --database", name));
      if (!is_given(command, "--into")) return usage("--replace needs --database or --into");
    }
    return {};
  }
  for (const char* name : kOfDirectories) {
    if (!is_given(command, name)) continue;
    return usage(
        fmt::format("--database goes into a running server, and {} is for a directory: they exclude each other", name));
  }
  if (options.tables.empty()) {
    if (!options.target_table.empty()) return usage("--target-table needs --table");
    if (options.target_database.empty() && !options.replace)
      return usage("it is not said under what name the database is restored")
          .with_hint("--target-database NAME restores it beside, --replace in place of the one that is there");
    if (options.end_sessions && !options.replace) return usage("--end-sessions needs --replace");
    return {};
  }
  if (options.end_sessions) return usage("--end-sessions is for a whole database, not for --table");
  if (options.replace && !options.target_table.empty())
    return usage("--target-table and --replace exclude each other: beside, or in place");
  if (!options.replace && options.target_table.empty())
    return usage("it is not said under what name the table is restored")
        .with_hint("--target-table NAME restores it beside, --replace in place of the one that is there");
  if (options.tables.size() > 1 && !options.target_table.empty())
    return usage("--target-table is for one --table; several go back with --replace");
  return {};
}

Result<void> run_one_database(Context& context, const OneDatabaseOptions& options,
                              const recovery::RestoreRequest& instant, bool validate_only, bool dry_run,
                              const std::optional<std::string>& at) {
  recovery::ExtractRequest request = TRY(request_of(options, instant));
  auto workspace = TRY(context.open());
  const recovery::NotedScratch noted(real_file_system(), system_clock(), drill_registry(),
                                     request.options.scratch_directory);
  request.options.look_only = dry_run;
  Result<recovery::ExtractPlan> plan = [&] {
    ProgressView view(context);
    return recovery::plan_extract(*workspace, request);
  }();
  if (!plan.ok()) return std::move(plan).error();
  print_plan(context, request, *plan, at, validate_only || dry_run);
  Json document = document_of(*plan, validate_only || dry_run);
  if (validate_only) {
    context.set_document("restore-database", std::move(document));
    context.print("the instant is reachable, and the server takes it; nothing was written (--validate-only)");
    return {};
  }
  Result<postgres::ExtractReport> report = [&] {
    ProgressView view(context);
    return recovery::carry_out(*workspace, request, *plan);
  }();
  if (!report.ok()) return std::move(report).error();
  add_report(document, *report);
  context.set_document("restore-database", std::move(document));
  if (dry_run) {
    print_look(context, *report);
  } else {
    print_report(context, options, *report);
  }
  return {};
}

}  // namespace holdfast::cli
