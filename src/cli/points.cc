#include "recovery/points.h"

#include "base/units.h"
#include "cli/commands.h"
#include "cli/present.h"
#include "cli/program.h"
#include "cli/table.h"
#include "repo/collect.h"

namespace holdfast::cli {

namespace {

struct PointsOptions {
  std::string component;
  size_t last = 0;
};

Result<void> run(Context& context, const PointsOptions& options) {
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

  Table table({{"ID"},
               {"TIME"},
               {"SIZE", Table::Align::kRight},
               {"NEW", Table::Align::kRight},
               {"TOOK", Table::Align::kRight},
               {"FAULTS", Table::Align::kRight},
               {"HOLDS"}});
  Json list = Json::array();
  for (const repo::Point& point : points) {
    const bool proven = std::find(verified.begin(), verified.end(), point.id) != verified.end();
    std::string names = component_names(point) + (proven ? " (verified)" : "");
    if (!point.tags.empty()) names += fmt::format(" [{}]", fmt::join(point.tags, ","));
    table.add({short_id(point.id), format_local(point.time), format_bytes(source_bytes(point)),
               format_bytes(stored_bytes(point)), duration_text(took(point)), format_count(faults(point)), names});
    Json json = json_of(point);
    json["verified"] = proven;
    list.push_back(std::move(json));
  }
  context.set_document("points", {{"points", list}});
  if (points.empty()) {
    context.say("there is no recovery point yet: take one with 'holdfast backup'");
  } else if (!context.json()) {
    context.write(table.text());
  }
  return {};
}

}  // namespace

void add_points(Program& program) {
  auto options = std::make_shared<PointsOptions>();
  CLI::App* command = program.command("points", "List the recovery points, oldest first.");
  command->add_option("--component", options->component, "only points that hold this component")->type_name("NAME");
  command->add_option("--last", options->last, "only the newest N")->type_name("N");
  program.examples(command,
                   "holdfast points\n"
                   "holdfast points --component db --last 5\n"
                   "holdfast points --json | jq -r '.points[-1].id'");
  program.on(command, [options](Context& context) { return run(context, *options); });
}

}  // namespace holdfast::cli
