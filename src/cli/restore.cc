#include "recovery/restore.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <map>

#include "base/accounts.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/one_database.h"
#include "cli/present.h"
#include "cli/program.h"
#include "cli/progress_view.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "cli/unreachable.h"
#include "recovery/cluster.h"
#include "recovery/points.h"
#include "source/postgres/beside.h"
#include "source/postgres/connection.h"

namespace holdfast::cli {

namespace {

struct RestoreCommand {
  recovery::RestoreRequest request;
  std::optional<std::string> at, point, name, action, owner;
  std::optional<std::string> lsn;
  std::optional<uint64_t> xid;
  std::optional<uint32_t> timeline;
  std::vector<std::string> tablespaces;
  bool immediate = false, exclusive = false;
  bool validate_only = false, dry_run = false;
  OneDatabaseOptions one;
};

Result<void> settle_target(RestoreCommand& command, Time now) {
  source::RestoreTarget& target = command.request.target;
  const int targets = (command.at ? 1 : 0) + (command.lsn ? 1 : 0) + (command.xid ? 1 : 0) + (command.name ? 1 : 0) +
                      (command.immediate ? 1 : 0);
  if (targets > 1) {
    return make_error(ErrorCode::kUsage, "--at, --lsn, --xid, --name and --immediate exclude each other")
        .with_hint("give one of them");
  }
  if (command.at && *command.at == "latest") {
    command.request.newest = true;
  } else if (command.at) {
    target.time = TRY_CONTEXT(parse_time(*command.at, now), "--at");
    if (*target.time > now) {
      return make_error(ErrorCode::kUnreachableTarget, "{} lies in the future", format_local(*target.time))
          .with_hint("--at latest is the newest instant there is");
    }
  }
  target.lsn = command.lsn;
  target.xid = command.xid;
  target.name = command.name;
  target.immediate = command.immediate;
  target.inclusive = !command.exclusive;
  target.timeline = command.timeline;
  command.request.point = command.point;
  if (command.exclusive && !command.at && !command.lsn && !command.xid) {
    return make_error(ErrorCode::kUsage, "--exclusive needs --at, --lsn or --xid");
  }
  return {};
}

// What a container's files belong to need not have a name outside of it.
std::optional<uint32_t> as_number(const std::string& text) {
  uint32_t number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc() || end != text.data() + text.size() || number == UINT32_MAX) return std::nullopt;
  return number;
}

Result<void> settle_owner(RestoreCommand& command) {
  if (!command.owner) return {};
  const size_t colon = command.owner->find(':');
  const std::string user = command.owner->substr(0, colon);
  auto account = find_account(user);
  if (const auto uid = account ? std::nullopt : as_number(user)) {
    account = find_account(account_name(*uid));
    if (!account && colon == std::string::npos)
      return make_error(ErrorCode::kUsage, "--owner: account {} has no name on this machine, and so no group", user)
          .with_hint(fmt::format("name that, too: --owner {0}:{0}", user));
    if (!account) account = Account{*uid, 0};
  }
  if (!account) return make_error(ErrorCode::kNotFound, "--owner: there is no account '{}' on this machine", user);
  if (colon != std::string::npos) {
    const std::string group = command.owner->substr(colon + 1);
    auto known = find_group(group);
    if (!known) known = as_number(group);
    if (!known) return make_error(ErrorCode::kNotFound, "--owner: there is no group '{}' on this machine", group);
    account->gid = *known;
  }
  if (::geteuid() != 0 && (account->uid != ::geteuid() || account->gid != ::getegid())) {
    return make_error(ErrorCode::kPermission, "--owner: only root can give files to another account, '{}'",
                      *command.owner)
        .with_hint("run as root, or as that account");
  }
  command.request.uid = account->uid;
  command.request.gid = account->gid;
  return {};
}

// A standby goes on to the end of the WAL, and then follows: it stops nowhere.
Result<void> refuse_target_of_standby(const RestoreCommand& command) {
  const char* target = command.request.target.time ? "--at TIME"
                       : command.lsn               ? "--lsn"
                       : command.xid               ? "--xid"
                       : command.name              ? "--name"
                       : command.immediate         ? "--immediate"
                                                   : nullptr;
  if (target == nullptr) return {};
  return make_error(ErrorCode::kUsage, "--standby and {} exclude each other: a standby replays all there is", target)
      .with_hint(fmt::format(
          "leave --standby out to restore to a target (--action pause lets you look before it takes writes), or "
          "leave {} out to follow the primary",
          target));
}

Result<void> settle(RestoreCommand& command, Time now) {
  recovery::RestoreRequest& request = command.request;
  TRY(settle_target(command, now));
  TRY(settle_owner(command));
  for (const std::string& mapping : command.tablespaces) {
    const size_t equals = mapping.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == mapping.size()) {
      return make_error(ErrorCode::kUsage, "--tablespace wants OLD=NEW, not '{}'", mapping);
    }
    request.tablespaces[mapping.substr(0, equals)] = absolute_path(mapping.substr(equals + 1));
  }
  if (!request.primary_conninfo.empty() && !request.standby)
    return make_error(ErrorCode::kUsage, "--primary-conninfo needs --standby");
  if (request.standby) TRY(refuse_target_of_standby(command));
  if (auto checked = postgres::check_connection(request.primary_conninfo); !checked.ok()) {
    Error refused = std::move(checked).error().with_context("--primary-conninfo");
    if (refused.message().find("password") == std::string::npos) return refused;
    return std::move(refused).with_hint(
        "every account of the machine sees a command line: put it into the .pgpass of the server's account, or name "
        "such a file with passfile=PATH");
  }
  if (request.remove_extra && !request.delta) return make_error(ErrorCode::kUsage, "--remove-extra needs --delta");
  request.replace = command.one.replace && !request.into.empty();
  if (!request.into_password.empty() && request.into.empty())
    return make_error(ErrorCode::kUsage, "--into-password needs --into");
  if (!request.into.empty() && !request.to.empty())
    return make_error(ErrorCode::kUsage, "--to and --into exclude each other").with_hint("give one of them");
  if (command.action) {
    if (request.standby)
      return make_error(ErrorCode::kUsage, "--action says what comes after recovery, and a standby stays in it");
    request.action = *command.action == "pause"      ? postgres::AfterRecovery::kPause
                     : *command.action == "shutdown" ? postgres::AfterRecovery::kShutdown
                                                     : postgres::AfterRecovery::kPromote;
  }
  return {};
}

Json document_of(const recovery::RestorePlan& plan, bool standby) {
  Json components = Json::array();
  for (const recovery::ComponentPlan& component : plan.components) {
    Json json = {{"component", component.component},
                 {"kind", component.kind},
                 {"point", component.point.hex()},
                 {"point_time", json_of(component.point_time)},
                 {"instant", json_of(component.instant)},
                 {"expected_loss_seconds", json_of(plan.now - component.instant)},
                 {"description", component.description},
                 {"bytes", component.bytes},
                 {"to", component.to}};
    if (component.target) {
      json["timeline"] = component.target->timeline;
      json["replay_from"] = component.target->replay_from.text();
      json["replay_to"] = component.target->replay_to.text();
    }
    if (component.redis_target) {
      json["replay_from"] = component.redis_target->from.offset;
      json["replay_to"] = component.redis_target->to;
    }
    if (component.kind == "redis") json["into_server"] = component.into_server;
    if (component.kind == "postgres") {
      json["archiving_off"] = component.archiving_off;
      if (component.archiving_off) json["to_take_its_place"] = postgres::command_to_take_place(component.to);
      json["system_id"] = system_id_of(component.snapshot);
      if (!component.owner.empty()) json["owner"] = component.owner;
      if (standby) json["standby"] = true;
    }
    if (!component.snapshot.faults.empty()) json["captured_faults"] = component.snapshot.faults;
    if (!component.notes.empty()) json["notes"] = component.notes;
    if (!component.changes.empty()) {
      json["changes"] = component.changes.lines();
      for (const auto& [name, kind] : component.changes.kinds()) json["change_counts"][name] = kind.count;
    }
    if (!component.obstacle.empty()) json["obstacle"] = component.obstacle;
    components.push_back(std::move(json));
  }
  return components;
}

// What will happen, before anything does. Where nothing will, the plan is the result.
void print_plan(Context& context, const recovery::RestorePlan& plan, const RestoreCommand& command) {
  if (context.quiet() && !command.validate_only && !command.dry_run) return;
  const size_t width = std::min<size_t>(terminal_width(STDOUT_FILENO), 100);
  const auto row = [&](const char* title, const std::string& text) {
    for (const std::string& line : wrap(text, width - 17)) {
      context.print("  {:<15}{}", title, line);
      title = "";
    }
  };
  for (const recovery::ComponentPlan& component : plan.components) {
    context.print("{} ({})", component.component, component.kind);
    row("point", fmt::format("{} of {}", short_id(component.point), format_local(component.point_time)));
    if (const std::string cluster = system_id_of(component.snapshot); !cluster.empty())
      row("cluster", "system identifier " + cluster);
    row("will be as at", format_local(component.instant));
    row("later is lost", duration_text(plan.now - component.instant));
    row("how", with_times_as_given(component.description, command.at));
    if (command.exclusive && component.kind == "postgres")
      row("exclusive", "what was committed exactly at the target is left out, too (--exclusive)");
    row("size", format_bytes(component.bytes));
    row("to", component.kind == "files" && component.to == "/" ? "where the files were"
              : component.to.empty()                           ? "nobody has said: --to DIR or --into ADDRESS"
                                                               : component.to);
    if (!component.owner.empty()) row("owner", component.owner);
    if (command.request.standby && component.kind == "postgres")
      row("standby", command.request.primary_conninfo.empty()
                         ? "will stay in recovery, and follow the stored WAL alone (--primary-conninfo names a server "
                           "to stream from)"
                         : "will stay in recovery, and stream from the server that --primary-conninfo names");
    if (component.archiving_off) {
      row("archiving",
          "will be off (archive_mode in postgresql.auto.conf), as the original may live on; with "
          "--keep-archiving it stays as it was");
      row("replication",
          "subscriptions will not run (max_logical_replication_workers = 0), and commits will wait for no standby "
          "(synchronous_standby_names is empty), for the same reason and as long");
    }
    for (const std::string& note : component.notes) row("note", with_times_as_given(printable(note), command.at));
  }
  if (plan.components.size() > 1) context.print("spread {}", duration_text(plan.spread()));
  for (const std::string& note : plan.notes) {
    for (const std::string& line : wrap("note: " + with_times_as_given(printable(one_line(note)), command.at), width))
      context.print("{}", line);
  }
}

// A tree has thousands of files: some of each kind of change stand for the rest.
void print_changes(Context& context, const files::Changes& changes) {
  constexpr size_t kExamples = 3;
  bool left_out = false;
  for (const auto& [name, kind] : changes.kinds()) {
    const bool all = context.options().verbose || kind.count <= kExamples;
    const size_t told = all ? kind.told.size() : kExamples;
    for (size_t i = 0; i < told; i++) context.print("would {}", printable(changes.lines()[kind.told[i]]));
    if (told < kind.count) context.print("would {}: {} more", name, format_count(kind.count - told));
    left_out |= !all;
  }
  if (left_out)
    context.say("-v or --json lists them, up to {} of each kind", format_count(files::Changes::kToldOfEachKind));
}

Json whole_document_of(const recovery::RestorePlan& plan, bool dry_run, bool standby) {
  Json document = {
      {"dry_run", dry_run}, {"spread_seconds", json_of(plan.spread())}, {"components", document_of(plan, standby)}};
  if (!plan.notes.empty()) document["notes"] = plan.notes;
  return document;
}

void print_outcome(Context& context, const recovery::RestorePlan& plan,
                   const std::vector<recovery::ComponentRestored>& outcomes, const recovery::StackConfig& stack) {
  for (size_t i = 0; i < outcomes.size(); i++) {
    const recovery::ComponentRestored& outcome = outcomes[i];
    for (const std::string& fault : outcome.faults) context.print("fault: {}: {}", outcome.component, printable(fault));
    for (const std::string& note : outcome.notes) context.say("note: {}: {}", outcome.component, printable(note));
    std::string objective;
    const recovery::ComponentConfig* config = stack.find(outcome.component);
    if (config != nullptr && config->rto) {
      objective = fmt::format("; objective {}: {}", duration_text(*config->rto),
                              outcome.took <= *config->rto ? "met" : "MISSED");
    }
    context.print("restored {}: {}, {} in {} ({} written{})", outcome.component, counted(outcome.files, "file"),
                  format_bytes(outcome.bytes), duration_text(outcome.took), format_bytes(outcome.bytes_written),
                  objective);
    if (plan.components[i].kind == "redis" && !plan.components[i].into_server)
      context.say("start the server on {}", plan.components[i].to);
    if (plan.components[i].kind == "postgres") {
      if (outcome.owner == "root")
        context.say("it belongs to root, whom PostgreSQL refuses: give it to the server's account first (chown -R)");
      context.say("start the server on {}{} to replay its WAL", plan.components[i].to,
                  outcome.owner.empty() || outcome.owner == "root" ? "" : fmt::format(" as '{}'", outcome.owner));
      if (const std::string note = recovery::restore_command_note(stack); !note.empty()) context.say("{}", note);
    }
  }
}

// Last of all, and whatever the options: what nobody may learn too late.
void print_warnings(Context& context, const recovery::RestorePlan& plan) {
  for (const recovery::ComponentPlan& component : plan.components) {
    if (const size_t faults = component.snapshot.faults.size(); faults > 0)
      context.warn("{}: the point was captured with {}, and what is restored has them: {}{}", component.component,
                   counted(faults, "fault"), printable(one_line(component.snapshot.faults.front())),
                   faults > 1 ? "; 'holdfast points --json' lists them all" : "");
  }
  for (const recovery::ComponentPlan& component : plan.components) {
    if (component.archiving_off)
      context.warn(
          "{}: archiving, subscriptions and waiting for synchronous standbys are OFF, as its original may live on. If "
          "it takes the original's place, nothing of it is archived until you run this, and then start it (or "
          "restart it):\n  {}",
          component.component, postgres::command_to_take_place(component.to));
  }
}

Result<void> carry_out(Context& context, recovery::Workspace& workspace, const RestoreCommand& command,
                       recovery::RestorePlan& plan) {
  Result<std::vector<recovery::ComponentRestored>> outcomes = [&] {
    ProgressView view(context);
    return recovery::carry_out(workspace, command.request, plan);
  }();
  if (!outcomes.ok()) return std::move(outcomes).error();
  Json document = whole_document_of(plan, false, command.request.standby);
  size_t faults = 0;
  for (size_t i = 0; i < outcomes->size(); i++) {
    const recovery::ComponentRestored& outcome = (*outcomes)[i];
    faults += outcome.faults.size();
    if (!outcome.owner.empty()) document["components"][i]["owner"] = outcome.owner;
    document["components"][i]["restored"] = {{"files", outcome.files},
                                             {"bytes", outcome.bytes},
                                             {"bytes_written", outcome.bytes_written},
                                             {"took_seconds", json_of(outcome.took)},
                                             {"faults", outcome.faults},
                                             {"notes", outcome.notes}};
  }
  context.set_document("restore", std::move(document));
  print_outcome(context, plan, *outcomes, workspace.stack());
  print_warnings(context, plan);
  if (faults > 0) return make_error(ErrorCode::kIncomplete, "restored, with {}", counted(faults, "fault"));
  return {};
}

Result<void> run(Context& context, RestoreCommand& command) {
  TRY(settle(command, context.machine().clock.now()));
  if (!command.one.database.empty()) {
    auto done =
        run_one_database(context, command.one, command.request, command.validate_only, command.dry_run, command.at);
    if (!done.ok()) return told_of_windows(std::move(done).error(), command.at, context.json());
    return {};
  }
  auto workspace = TRY(context.open());
  Result<recovery::RestorePlan> planned = [&] {
    ProgressView view(context);
    return recovery::plan_restore(*workspace, command.request);
  }();
  if (!planned.ok()) return told_of_windows(std::move(planned).error(), command.at, context.json());
  recovery::RestorePlan& plan = *planned;
  if (!command.validate_only && !command.dry_run) {
    print_plan(context, plan, command);
    return carry_out(context, *workspace, command, plan);
  }
  Result<void> rehearsed;
  if (command.dry_run) rehearsed = recovery::rehearse_restore(*workspace, command.request, plan);
  print_plan(context, plan, command);
  for (const recovery::ComponentPlan& component : plan.components) print_changes(context, component.changes);
  context.set_document("restore", whole_document_of(plan, true, command.request.standby));
  TRY(std::move(rehearsed));
  context.print("{}", command.dry_run ? "nothing was written (--dry-run)"
                                      : "the target is reachable; nothing was written (--validate-only)");
  return {};
}

void add_target_options(CLI::App* command, RestoreCommand& options) {
  command->add_option("--at", options.at, "as it was then: RFC 3339 with zone, '10 minutes ago', or latest (default)")
      ->type_name("TIME");
  command
      ->add_option("--point", options.point, "as this recovery point has it (with --at latest: and all WAL after it)")
      ->type_name("ID");
  command->add_option("--lsn", options.lsn, "PostgreSQL: up to this place in the WAL")->type_name("LSN");
  command->add_option("--xid", options.xid, "PostgreSQL: up to this transaction's commit")->type_name("XID");
  command->add_option("--name", options.name, "PostgreSQL: up to this restore point")->type_name("NAME");
  command->add_flag("--immediate", options.immediate, "PostgreSQL: as soon as the newest point is consistent");
  command->add_flag("--exclusive", options.exclusive, "stop just before --at, --lsn or --xid, not just after");
  command->add_option("--timeline", options.timeline, "PostgreSQL: along this timeline")->type_name("N");
}

void add_place_options(CLI::App* command, RestoreCommand& options) {
  recovery::RestoreRequest& request = options.request;
  command->add_option("--component", request.components, "only this component (may be repeated)")->type_name("NAME");
  command
      ->add_option("--to", request.to,
                   "into this directory (several components: each in DIR/NAME) instead of the original places")
      ->type_name("DIR");
  command
      ->add_option("--into", request.into,
                   "Redis: load the component into this running server (HOST:PORT, redis://..., unix:///PATH)")
      ->type_name("ADDRESS");
  command
      ->add_option("--into-password", request.into_password,
                   "with --into: its password, as env:NAME, file:PATH or exec:COMMAND")
      ->type_name("SECRET");
  command->add_option("--path", request.only, "only this path or pattern of a files component (may be repeated)")
      ->type_name("PATH");
  command->add_flag("--delta", request.delta,
                    "over what is there: keep what is right, rewrite what is not; of PostgreSQL's own files those "
                    "that the point does not have go (not Redis: its directory must be empty)");
  command->add_flag(
      "--remove-extra", request.remove_extra,
      "with --delta: remove files that the point does not have (not what was excluded or could not be read, "
      "nor other file systems)");
  command->add_flag("--numeric-ids", request.numeric_ids, "owners by number, not by name");
  command
      ->add_option("--owner", options.owner,
                   "owner of a restored cluster, by name or number (default: the account of the name that it had)")
      ->type_name("USER[:GROUP]");
  command
      ->add_option("--tablespace", options.tablespaces,
                   "put a tablespace (its oid or old place) elsewhere (may be repeated)")
      ->type_name("OLD=NEW");
  command->add_flag(
      "--keep-archiving", request.keep_archiving,
      "PostgreSQL, with --to or on another machine: it takes the original's place, so leave archiving, subscriptions "
      "and synchronous standbys as they were");
  command->add_flag("--standby", request.standby, "PostgreSQL: make a standby that goes on following");
  command->add_option("--primary-conninfo", request.primary_conninfo, "with --standby: the server to stream from")
      ->type_name("CONNINFO");
  command->add_option("--action", options.action, "PostgreSQL, at the target: promote (default), pause or shutdown")
      ->type_name("WHAT")
      ->check(CLI::IsMember({"promote", "pause", "shutdown"}).description(""));
  command->add_flag("--validate-only", options.validate_only, "prove that the target can be reached, write nothing");
  command->add_flag("--dry-run", options.dry_run, "also look at the target directories, and say what would be done");
}

}  // namespace

void add_restore(Program& program) {
  auto options = std::make_shared<RestoreCommand>();
  CLI::App* command = program.command("restore", "Make components exist again, as they were at an instant.");
  add_target_options(command, *options);
  add_place_options(command, *options);
  add_one_database_options(command, options->one);
  program.examples(command,
                   "holdfast restore --dry-run    # what would happen, how much would be lost\n"
                   "holdfast restore              # all, newest instant, original places\n"
                   "holdfast restore --component db --at '10 minutes ago' --to /srv/aside\n"
                   "holdfast restore --component db --delta   # over a damaged cluster\n"
                   "holdfast restore --component db --to /srv/replica --standby \\\n"
                   "    --primary-conninfo 'host=db1 user=replicator'\n"
                   "holdfast restore --component cache --to /var/lib/redis --at '10 minutes ago'\n"
                   "holdfast restore --component cache --into 127.0.0.1:6379   # an empty server\n"
                   "holdfast restore --component files --path srv/data/bills --to /tmp/out\n"
                   "holdfast restore --at '10 minutes ago' --database shop --replace\n"
                   "holdfast restore --database shop --target-database shop_restored\n"
                   "holdfast restore --database shop --table orders --target-table orders_old\n"
                   "# refused: a running target (23), one with data unless --delta (22;\n"
                   "# of Redis always), an instant that can't be reached (24)");
  program.on(command, [options, command](Context& context) -> Result<void> {
    TRY(check_one_database(*command, options->one));
    return run(context, *options);
  });
}

}  // namespace holdfast::cli
