#include "recovery/points.h"

#include <unistd.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/units.h"
#include "cli/commands.h"
#include "cli/present.h"
#include "cli/program.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "recovery/backup.h"
#include "repo/collect.h"
#include "repo/hold.h"
#include "repo/missing.h"

namespace holdfast::cli {

namespace {

struct PointsOptions {
  std::string component;
  size_t last = 0;
  bool instants = false;
  std::string hold, release, reason;
};

// "db,data (verified) [tag] held: audit"
std::string what_it_holds(const repo::Point& point, bool proven, const std::vector<std::string>& holds) {
  std::string words = component_names(point) + (proven ? " (verified)" : "");
  const auto tags = repo::own_tags(point);
  if (!tags.empty()) words += fmt::format(" [{}]", fmt::join(tags, ","));
  if (repo::is_degraded(point)) words += " DEGRADED";
  for (const std::string& reason : holds) words += reason.empty() ? " held" : " held: " + printable(one_line(reason));
  return words;
}

// The repository may have points all the same, of other stacks.
void tell_of_no_point(Context& context, recovery::Workspace& workspace) {
  const auto stacks = recovery::stacks_with_points(workspace);
  if (stacks.empty()) {
    context.say("there is no recovery point yet: take one with 'holdfast backup'");
    return;
  }
  context.say("there is no recovery point of stack '{}' yet: take one with 'holdfast backup'", workspace.stack().stack);
  context.say("note: the repository has points of: {}", printable(fmt::format("{}", fmt::join(stacks, ", "))));
}

Result<void> list(Context& context, const PointsOptions& options) {
  auto workspace = TRY(context.open());
  std::vector<repo::Point> points = TRY(recovery::stack_points(*workspace));
  if (!options.component.empty()) {
    TRY(recovery::check_component_names(points, {options.component}));
    std::erase_if(
        points, [&](const repo::Point& point) { return recovery::find_snapshot(point, options.component) == nullptr; });
  }
  if (options.last > 0 && points.size() > options.last)
    points.erase(points.begin(), points.end() - static_cast<ptrdiff_t>(options.last));
  const auto verified = TRY(repo::verified_points(workspace->repository()));
  std::map<repo::PointId, std::vector<std::string>> holds;
  for (repo::Hold& hold : TRY(repo::all_holds(workspace->repository())))
    holds[hold.point].push_back(std::move(hold.reason));

  Table table({{"ID"},
               {"TIME"},
               {"SIZE", Table::Align::kRight},
               {"NEW", Table::Align::kRight},
               {"TOOK", Table::Align::kRight},
               {"FAULTS", Table::Align::kRight},
               {"PARTS"}});
  Json documents = Json::array();
  std::set<std::string> notes;
  for (const repo::Point& point : points) {
    const bool proven = std::find(verified.begin(), verified.end(), point.id) != verified.end();
    const auto& reasons = holds[point.id];
    table.add({short_id(point.id), format_local(point.time), format_bytes(source_bytes(point)),
               format_bytes(stored_bytes(point)), duration_text(took(point)), format_count(faults(point)),
               what_it_holds(point, proven, reasons)});
    Json json = json_of(point);
    json["verified"] = proven;
    json["notes"] = recovery::left_out_of(point);
    for (const std::string& note : recovery::left_out_of(point)) notes.insert(note);
    json["held"] = !reasons.empty();
    json["holds"] = reasons;
    documents.push_back(std::move(json));
  }
  constexpr size_t kRoomForAll = 100;
  if (width_of_lines(STDOUT_FILENO) < kRoomForAll) {
    table.leave_out("TOOK");
    if (std::all_of(points.begin(), points.end(), [](const auto& point) { return faults(point) == 0; }))
      table.leave_out("FAULTS");
  }
  context.set_document("points", {{"points", documents}});
  if (points.empty()) {
    tell_of_no_point(context, *workspace);
  } else if (!context.json()) {
    context.write(table.text(width_of_lines(STDOUT_FILENO)));
  }
  for (const std::string& note : notes) context.say("note: {}", printable(note));
  for (const repo::Point& point : points) {
    const auto lines = options.instants ? instants_text(point) : std::vector<std::string>();
    if (!lines.empty()) context.print("{}:", short_id(point.id));
    for (const std::string& line : lines) context.print("  {}", line);
  }
  return {};
}

// "latest" is the stack's, not another's in the same repository.
Result<repo::PointId> find_point(recovery::Workspace& workspace, const std::string& id) {
  if (id != "latest") return TRY(workspace.repository().find_point(id)).id;
  const auto points = TRY(recovery::stack_points(workspace));
  if (points.empty())
    return make_error(ErrorCode::kNotFound, "there is no recovery point yet")
        .with_hint(recovery::hint_without_points(workspace));
  return points.back().id;
}

Result<void> hold(Context& context, const PointsOptions& options) {
  auto workspace = TRY(context.open());
  const repo::PointId point = TRY(find_point(*workspace, options.hold));
  TRY(repo::place_hold(workspace->repository(), point, options.reason, context.machine().clock.now()));
  context.set_document("hold", {{"point", point.hex()}, {"held", true}, {"reason", options.reason}});
  context.print("point {} is held: no prune removes it until 'holdfast points --release {}'", short_id(point),
                short_id(point));
  return {};
}

Result<void> release(Context& context, const PointsOptions& options) {
  auto workspace = TRY(context.open());
  const repo::PointId point = TRY(find_point(*workspace, options.release));
  const uint64_t released = TRY(repo::release_holds(workspace->repository(), point));
  if (released == 0) return make_error(ErrorCode::kNotFound, "point {} was not held", short_id(point));
  context.set_document("hold", {{"point", point.hex()}, {"held", false}});
  context.print("point {} is released: the rules of retention decide on it again", short_id(point));
  return {};
}

Result<void> run(Context& context, const PointsOptions& options) {
  if (!options.reason.empty() && options.hold.empty())
    return make_error(ErrorCode::kUsage, "--reason needs --hold: it says why a point is held");
  if (!options.hold.empty() && !options.release.empty())
    return make_error(ErrorCode::kUsage, "--hold and --release exclude each other");
  if (!options.hold.empty()) return hold(context, options);
  if (!options.release.empty()) return release(context, options);
  return list(context, options);
}

}  // namespace

void add_points(Program& program) {
  auto options = std::make_shared<PointsOptions>();
  CLI::App* command = program.command("points", "List the recovery points, oldest first; hold or release one.");
  command->add_option("--component", options->component, "only points that hold this component")->type_name("NAME");
  command->add_option("--last", options->last, "only the newest N")
      ->type_name("N")
      ->check(CLI::Range(1, 1'000'000).description(""));
  command->add_flag("--instants", options->instants,
                    "also the instant that each component stands for, and how far apart they are");
  command->add_option("--hold", options->hold, "keep this point, whatever the rules of retention, until it is released")
      ->type_name("ID");
  command->add_option("--reason", options->reason, "with --hold: why, for people")->type_name("TEXT");
  command->add_option("--release", options->release, "end the holds of this point")->type_name("ID");
  program.examples(command,
                   "holdfast points\n"
                   "holdfast points --hold 3f0a91c2 --reason 'audit 2026'\n"
                   "holdfast points --release 3f0a91c2\n"
                   "holdfast points --component db --last 5\n"
                   "holdfast points --json | jq -r '.points[-1].id'");
  program.on(command, [options](Context& context) { return run(context, *options); });
}

}  // namespace holdfast::cli
