#include "cli/log.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/present.h"
#include "cli/program.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "recovery/log_state.h"
#include "recovery/redis_component.h"

namespace holdfast::cli {

namespace {

struct LogOptions {
  bool no_server = false;
};

Json json_of_optional(const std::optional<Time>& time) { return time ? json_of(*time) : Json(); }

Json document_of(const recovery::LogState& state) {
  Json ranges = Json::array();
  for (const postgres::WalRange& range : state.ranges) {
    ranges.push_back({{"timeline", range.timeline},
                      {"from", range.from.text()},
                      {"to", range.to.text()},
                      {"bytes", range.to.value - range.from.value},
                      {"first_commit", json_of_optional(range.first_commit)},
                      {"last_commit", json_of_optional(range.last_commit)},
                      {"covered_until", json_of_optional(range.covered_until)}});
  }
  Json windows = Json::array();
  for (const postgres::RecoveryStretch& stretch : state.stretches)
    windows.push_back({{"from", json_of(stretch.from)}, {"until", json_of(stretch.until)}});
  Json json = {{"component", state.component},
               {"kind", "postgres"},
               {"system_id", std::to_string(state.system_id)},
               {"records", state.records},
               {"stored_bytes", state.stored_bytes},
               {"ranges", ranges},
               {"window",
                {{"from", json_of_optional(state.window.from)},
                 {"until", json_of_optional(state.window.until)},
                 {"timeline", state.window.timeline},
                 {"end", state.window.end.text()},
                 {"gaps", state.window.gaps},
                 {"notes", state.window.notes}}},
               {"windows", windows}};
  if (state.slot) {
    json["slot"] = {{"name", state.slot->name},
                    {"exists", state.slot->exists},
                    {"active", state.slot->active},
                    {"wal_status", state.slot->wal_status},
                    {"restart_lsn", state.slot->restart_lsn},
                    {"retained_bytes", state.slot->retained_bytes},
                    {"max_slot_wal_keep_size", state.slot->limit},
                    {"free_bytes", state.slot->free_bytes ? Json(*state.slot->free_bytes) : Json()},
                    {"warning", state.slot->exists && state.slot->warning ? state.slot->warning->problem : ""},
                    {"problem", state.slot->problem}};
  }
  return json;
}

void print_slot(Context& context, const recovery::SlotState& slot) {
  if (!slot.problem.empty()) {
    context.print("  slot {}: the server could not be asked:", slot.name);
    for (const std::string& line : wrap(printable(one_line(slot.problem)), 74)) context.print("    {}", line);
  } else if (!slot.exists) {
    context.print("  slot {}: not there ('holdfast wal receive' makes it)", slot.name);
  } else {
    context.print("  slot {}: {}, {}, keeps {} of WAL on the server", slot.name, slot.active ? "in use" : "NOT in use",
                  slot.wal_status.empty() ? "new" : slot.wal_status, format_bytes(slot.retained_bytes));
    if (!slot.warning) return;
    for (const std::string& line : wrap("warning: " + slot.warning->problem, 74)) context.print("    {}", line);
    for (const std::string& line : wrap(slot.warning->advice, 74)) context.print("    {}", line);
  }
}

void print_state(Context& context, const recovery::LogState& state) {
  context.print("{} (system identifier {}): {}, {} stored", state.component, state.system_id,
                counted(state.records, "record"), format_bytes(state.stored_bytes));
  Table table(
      {{"  TIMELINE", Table::Align::kRight}, {"FROM"}, {"TO"}, {"SIZE", Table::Align::kRight}, {"LAST COMMIT"}});
  for (const postgres::WalRange& range : state.ranges) {
    table.add({std::to_string(range.timeline), range.from.text(), range.to.text(),
               format_bytes(range.to.value - range.from.value),
               range.last_commit ? format_local(*range.last_commit) : "-"});
  }
  if (!table.empty() && !context.json()) context.write(table.text());
  for (const postgres::RecoveryStretch& stretch : state.stretches)
    context.print("  window {} to {}{}", format_local(stretch.from), format_local(stretch.until),
                  stretch.snapshot_index ? "" : " (after a change of timeline)");
  if (state.stretches.empty()) context.print("  no recovery window yet: there is no point of this cluster");
  for (const std::string& gap : state.window.gaps) context.print("  gap: {}", gap);
  for (const std::string& note : state.window.notes) {
    for (const std::string& line : wrap("note: " + printable(note), 76)) context.print("  {}", line);
  }
  if (state.slot) print_slot(context, *state.slot);
}

// ---- Redis

Json json_of_range(const redis::LogRange& range) {
  return {
      {"replid", range.replid},        {"from", range.from},         {"to", range.to}, {"bytes", range.to - range.from},
      {"first", json_of(range.first)}, {"last", json_of(range.last)}};
}

Json document_of(const recovery::RedisLogState& state) {
  Json ranges = Json::array(), links = Json::array(), absences = Json::array();
  Json windows = Json::array(), gaps = Json::array();
  for (const redis::LogRange& range : state.ranges) ranges.push_back(json_of_range(range));
  for (const redis::LogLink& link : state.links)
    links.push_back({{"from", link.from}, {"to", link.to}, {"offset", link.offset}, {"seen", json_of(link.seen)}});
  for (const redis::LogAbsence& absence : state.absences)
    absences.push_back({{"replid", absence.replid},
                        {"from", json_of(absence.from_instant)},
                        {"until", json_of(absence.to_instant)},
                        {"bytes", absence.to - absence.from}});
  for (const recovery::RedisWindow& window : state.windows)
    windows.push_back({{"from", json_of(window.from)}, {"until", json_of(window.until)}});
  for (const recovery::RedisWindowGap& gap : state.gaps)
    gaps.push_back({{"from", json_of(gap.from)}, {"until", json_of(gap.until)}, {"reason", gap.reason}});
  return {{"component", state.component},
          {"kind", "redis"},
          {"records", state.records},
          {"stored_bytes", state.stored_bytes},
          {"ranges", ranges},
          {"links", links},
          {"absences", absences},
          {"windows", windows},
          {"gaps", gaps}};
}

void print_state(Context& context, const recovery::RedisLogState& state) {
  context.print("{} (Redis): {}, {} stored", state.component, counted(state.records, "record"),
                format_bytes(state.stored_bytes));
  Table table({{"  HISTORY"},
               {"FROM", Table::Align::kRight},
               {"TO", Table::Align::kRight},
               {"SIZE", Table::Align::kRight},
               {"LAST"}});
  for (const redis::LogRange& range : state.ranges) {
    table.add({"  " + range.replid.substr(0, 8), std::to_string(range.from), std::to_string(range.to),
               format_bytes(range.to - range.from), format_local(range.last)});
  }
  if (!table.empty() && !context.json()) context.write(table.text());
  for (size_t i = 0; i < state.windows.size(); i++) {
    const recovery::RedisWindow& window = state.windows[i];
    if (i > 0) {
      const recovery::RedisWindowGap& gap = state.gaps[i - 1];
      context.print("  gap: {} to {}: {}", format_local(gap.from), format_local(gap.until), gap.reason);
    }
    context.print("  window {} to {}", format_local(window.from), format_local(window.until));
  }
  if (state.windows.empty()) context.print("  no recovery window yet: there is no point of this component");
  for (const redis::LogLink& link : state.links) {
    context.print("  history {} goes on as {} at offset {} (failover)", link.from.substr(0, 8), link.to.substr(0, 8),
                  link.offset);
  }
  for (const redis::LogAbsence& absence : state.absences) {
    context.print("  received late from {} to {}: {} came at its end, nothing is missing",
                  format_local(absence.from_instant), format_local(absence.to_instant),
                  format_bytes(absence.to - absence.from));
  }
}

Result<void> run(Context& context, const LogOptions& options) {
  auto workspace = TRY(context.open());
  const auto states = TRY(recovery::log_states(*workspace, !options.no_server));
  Json logs = Json::array();
  for (const recovery::LogState& state : states) {
    logs.push_back(document_of(state));
    print_state(context, state);
  }
  const auto commands = TRY(recovery::redis_log_states(*workspace));
  for (const recovery::RedisLogState& state : commands) {
    logs.push_back(document_of(state));
    print_state(context, state);
  }
  context.set_document("log", {{"logs", logs}});
  if (logs.empty()) context.say("there is no log yet: see 'holdfast wal --help' and 'holdfast log receive --help'");
  return {};
}

}  // namespace

void add_log(Program& program) {
  auto options = std::make_shared<LogOptions>();
  CLI::App* command = program.command("log", "Show the stored logs: their ranges, gaps, the recovery windows.");
  command->add_flag("--no-server", options->no_server, "do not ask PostgreSQL servers for their slots");
  program.examples(command, "holdfast log\nholdfast log --json | jq '.logs[].window'\nholdfast log receive");
  program.on(command, [options](Context& context) { return run(context, *options); });
  add_log_receive(program, command);
}

}  // namespace holdfast::cli
