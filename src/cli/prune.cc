#include "recovery/prune.h"

#include <unistd.h>

#include <algorithm>

#include "base/units.h"
#include "cli/commands.h"
#include "cli/present.h"
#include "cli/program.h"
#include "cli/progress_view.h"
#include "cli/table.h"
#include "cli/terminal.h"

namespace holdfast::cli {

namespace {

struct PruneCommand {
  std::optional<uint32_t> last, hourly, daily, weekly, monthly, yearly;
  std::optional<std::string> within, window, grace, margin;
  std::vector<std::string> tags;
  bool dry_run = false;
};

bool gives_rules(const PruneCommand& command) {
  return command.last || command.hourly || command.daily || command.weekly || command.monthly || command.yearly ||
         command.within;
}

// Any --keep-* of the rules replaces the file's policy as a whole: a mixture of both
// would surprise. What protects points (tags, the window) stays.
Result<recovery::PruneOptions> settle(const PruneCommand& command, const recovery::StackConfig& stack) {
  recovery::PruneOptions options;
  options.dry_run = command.dry_run;
  options.policy = stack.retention;
  options.grace = stack.collection_grace;
  if (command.grace) options.grace = TRY_CONTEXT(parse_duration(*command.grace), "--grace");
  if (command.margin) options.visibility_margin = TRY_CONTEXT(parse_duration(*command.margin), "--visibility-margin");
  if (gives_rules(command)) {
    repo::RetentionPolicy policy;
    policy.keep_last = command.last.value_or(0);
    policy.keep_hourly = command.hourly.value_or(0);
    policy.keep_daily = command.daily.value_or(0);
    policy.keep_weekly = command.weekly.value_or(0);
    policy.keep_monthly = command.monthly.value_or(0);
    policy.keep_yearly = command.yearly.value_or(0);
    policy.keep_tags = stack.retention.keep_tags;
    policy.keep_window = stack.retention.keep_window;
    if (command.within) policy.keep_within = TRY_CONTEXT(parse_duration(*command.within), "--keep-within");
    options.policy = policy;
    if (policy.empty())
      return make_error(ErrorCode::kRefused, "the rules of the command line would keep nothing")
          .with_hint("keep at least the newest point: --keep-last 1");
  }
  if (command.window) options.policy.keep_window = TRY_CONTEXT(parse_duration(*command.window), "--keep-window");
  for (const std::string& tag : command.tags) options.policy.keep_tags.push_back(tag);
  return options;
}

Json json_of_windows(const std::vector<recovery::ComponentWindows>& components) {
  Json list = Json::array();
  for (const recovery::ComponentWindows& component : components) {
    Json windows = Json::array();
    for (const recovery::Window& window : component.windows) {
      windows.push_back({{"from", json_of(window.from)}, {"until", json_of(window.until)}});
      if (component.kind == "postgres") windows.back()["system_id"] = std::to_string(window.system_id);
    }
    list.push_back({{"component", component.component},
                    {"kind", component.kind},
                    {"every_instant", component.every_instant},
                    {"windows", windows}});
  }
  return list;
}

Json document_of(const recovery::PruneReport& report, bool dry_run) {
  Json points = Json::array(), logs = Json::array();
  for (const auto& decision : report.decisions) {
    points.push_back({{"id", decision.id.hex()},
                      {"time", json_of(decision.time)},
                      {"keep", decision.keep},
                      {"reasons", decision.reasons}});
  }
  for (const auto& log : report.logs) {
    logs.push_back(
        {{"stream", log.stream}, {"before", log.before}, {"records", log.records.size()}, {"note", log.note}});
  }
  const repo::CollectReport& collection = report.collection;
  return {{"dry_run", dry_run},
          {"points", points},
          {"logs", logs},
          {"windows", json_of_windows(report.windows)},
          {"notes", report.notes},
          {"collection",
           {{"packs_total", collection.packs_total},
            {"packs_tombstoned", collection.packs_tombstoned},
            {"packs_resurrected", collection.packs_resurrected},
            {"packs_deleted", collection.packs_deleted},
            {"packs_repacked", collection.packs_repacked},
            {"bytes_total", collection.bytes_total},
            {"bytes_live", collection.bytes_live},
            {"bytes_tombstoned", collection.bytes_tombstoned},
            {"bytes_deleted", collection.bytes_deleted},
            {"leases_live", collection.leases_live},
            {"notes", collection.notes}}}};
}

// The first few: the document of --json has all.
std::string reasons_of(const repo::RetentionDecision& decision) {
  const size_t shown = std::min<size_t>(decision.reasons.size(), 3);
  return fmt::format(
      "{}{}", fmt::join(decision.reasons.begin(), decision.reasons.begin() + static_cast<ptrdiff_t>(shown), ", "),
      shown < decision.reasons.size() ? ", ..." : "");
}

void print_windows(Context& context, const recovery::ComponentWindows& component, const char* can) {
  const auto is_other = [&](const recovery::Window& window) {
    return window.system_id != component.windows.front().system_id;
  };
  const bool several = std::any_of(component.windows.begin(), component.windows.end(), is_other);
  for (const recovery::Window& window : component.windows) {
    context.print("{} {} be restored to {} {} to {}{}", component.component, can,
                  component.every_instant ? "any instant from" : "its points from", format_local(window.from),
                  format_local(window.until), several ? fmt::format(" (system identifier {})", window.system_id) : "");
  }
}

void print_report(Context& context, const recovery::PruneReport& report, const recovery::PruneOptions& options) {
  if (context.json()) return;
  Table table({{"ID"}, {"TIME"}, {options.dry_run ? "WOULD" : "DONE"}, {"WHY"}});
  size_t dropped = 0;
  for (const auto& decision : report.decisions) {
    dropped += decision.keep ? 0 : 1;
    table.add({short_id(decision.id), format_local(decision.time), decision.keep ? "keep" : "remove",
               decision.keep ? reasons_of(decision) : "no rule keeps it"});
  }
  if (!context.quiet()) context.write(table.text(width_of_lines(STDOUT_FILENO)));
  const char* would = options.dry_run ? "would be " : "";
  context.print("{}: {} {}removed, {} kept", counted(report.decisions.size(), "point"), dropped, would,
                report.decisions.size() - dropped);
  for (const auto& log : report.logs) {
    const std::string records = counted(log.records.size(), "record");
    if (log.note.empty()) {
      context.print("log {}: {} before {} {}removed", log.stream, records, log.before, would);
    } else if (!log.records.empty()) {
      context.print("log {}: {} {}removed: {}", log.stream, records, would, log.note);
    } else {
      context.say("log {}: {}", log.stream, log.note);
    }
  }
  for (const auto& component : report.windows) print_windows(context, component, options.dry_run ? "could" : "can");
  for (const std::string& note : report.notes) context.say("note: {}", note);
  const repo::CollectReport& collection = report.collection;
  context.print("packs: {} of {} in use; {} {}freed now, {} marked to go", format_bytes(collection.bytes_live),
                format_bytes(collection.bytes_total), format_bytes(collection.bytes_deleted), would,
                format_bytes(collection.bytes_tombstoned));
  if (collection.packs_tombstoned > 0) {
    context.say("marked packs go with a prune that comes more than {} later (collection_grace)",
                duration_text(std::max(options.grace, options.visibility_margin)));
  }
  for (const std::string& note : collection.notes) context.say("note: {}", note);
}

Result<void> run(Context& context, const PruneCommand& command) {
  auto workspace = TRY(context.open());
  const recovery::PruneOptions options = TRY(settle(command, workspace->stack()));
  const bool replaced = gives_rules(command) && !workspace->stack().retention.empty();
  if (replaced)
    context.say(
        "note: by the rules of the command line instead of holdfast.yaml's, of which keep_tags and keep_window "
        "stay");
  Result<recovery::PruneReport> report = [&] {
    ProgressView view(context);
    return recovery::prune(*workspace, options);
  }();
  if (!report.ok() && report.error().code() == ErrorCode::kNoSpace) {
    return std::move(report).error().with_hint(
        "what goes is marked before it is deleted, which takes a few hundred KiB: make that room on the repository's "
        "disk, then run 'holdfast prune --grace 0s', and again two minutes later");
  }
  if (!report.ok()) return std::move(report).error();
  context.set_document("prune", document_of(*report, options.dry_run));
  print_report(context, *report, options);
  return {};
}

}  // namespace

void add_prune(Program& program) {
  auto options = std::make_shared<PruneCommand>();
  CLI::App* command = program.command("prune", "Drop points by the retention rules, expire logs, free space.");
  command->add_flag("--dry-run", options->dry_run, "say what would be done, change nothing");
  const auto keep = [&](const char* name, std::optional<uint32_t>& out, const char* description) {
    command->add_option(name, out, description)->type_name("N");
  };
  keep("--keep-last", options->last, "keep the newest N points");
  keep("--keep-hourly", options->hourly, "and the last of each of N hours");
  keep("--keep-daily", options->daily, "of N days");
  keep("--keep-weekly", options->weekly, "of N weeks");
  keep("--keep-monthly", options->monthly, "of N months");
  keep("--keep-yearly", options->yearly, "of N years");
  command->add_option("--keep-within", options->within, "and everything younger than this (2d)")->type_name("DURATION");
  command
      ->add_option("--keep-window", options->window,
                   "and what every component needs to be restored to any instant of this last time (7d)")
      ->type_name("DURATION");
  command->add_option("--keep-tag", options->tags, "hold points with this tag (may be repeated)")->type_name("TAG");
  command
      ->add_option("--grace", options->grace,
                   "delete packs that were marked as unused at least this long ago, never less than 2m (default: "
                   "collection_grace, 24h)")
      ->type_name("DURATION");
  command->add_option("--visibility-margin", options->margin, "of tests")->type_name("DURATION")->group("");
  program.examples(command,
                   "holdfast prune --dry-run\n"
                   "holdfast prune                       # by 'retention:' of holdfast.yaml\n"
                   "holdfast prune --keep-daily 14 --keep-monthly 12\n"
                   "# --keep-last to --keep-within: instead of all rules of 'retention:'\n"
                   "# never dropped: the newest point, the newest verified one, held ones,\n"
                   "# and WAL that a kept point needs");
  program.on(command, [options](Context& context) { return run(context, *options); });
}

}  // namespace holdfast::cli
