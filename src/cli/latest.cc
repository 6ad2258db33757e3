#include <cstdio>

#include "cli/commands.h"
#include "cli/present.h"
#include "cli/program.h"
#include "cli/terminal.h"
#include "recovery/points.h"
#include "repo/collect.h"
#include "repo/missing.h"

namespace holdfast::cli {

namespace {

struct LatestOptions {
  std::string component;
  bool verified = false;
  bool complete = false;
};

// Beside the bare id on standard output, for whoever looks.
void tell_what_is_missing(Context& context, const repo::Point& point) {
  if (context.json() || context.quiet()) return;
  for (const repo::MissingComponent& missing : repo::missing_components(point)) {
    fmt::print(stderr, "note: point {} is degraded, it lacks {}: {}\n", short_id(point.id), missing.component,
               printable(one_line(missing.problem)));
  }
}

Result<void> run(Context& context, const LatestOptions& options) {
  auto workspace = TRY(context.open());
  const auto points = TRY(recovery::stack_points(*workspace));
  // What the stack describes may have no point yet.
  if (!options.component.empty() && workspace->stack().find(options.component) == nullptr)
    TRY(recovery::check_component_names(points, {options.component}));
  const auto verified = TRY(repo::verified_points(workspace->repository()));
  const auto components = workspace->stack().component_names();
  for (auto point = points.rbegin(); point != points.rend(); ++point) {
    if (!options.component.empty() && recovery::find_snapshot(*point, options.component) == nullptr) continue;
    if (options.verified && std::find(verified.begin(), verified.end(), point->id) == verified.end()) continue;
    if (options.complete && !repo::is_complete(*point, components)) continue;
    tell_what_is_missing(context, *point);
    context.set_document("latest", {{"point", json_of(*point)}});
    context.print("{}", point->id.hex());
    return {};
  }
  return make_error(ErrorCode::kNotFound, "there is no {}{}recovery point{}", options.complete ? "complete " : "",
                    options.verified ? "verified " : "",
                    options.component.empty() ? "" : fmt::format(" of component '{}'", options.component))
      .with_hint(points.empty()     ? recovery::hint_without_points(*workspace)
                 : options.verified ? "prove one with 'holdfast verify'"
                                    : "take one with 'holdfast backup'");
}

}  // namespace

void add_latest(Program& program) {
  auto options = std::make_shared<LatestOptions>();
  CLI::App* command = program.command("latest", "Print the id of the newest recovery point.");
  command->add_option("--component", options->component, "that holds this component")->type_name("NAME");
  command->add_flag("--verified", options->verified, "that was verified");
  command->add_flag("--complete", options->complete, "that holds every component of the stack");
  program.examples(command,
                   "holdfast latest\n"
                   "holdfast restore --point \"$(holdfast latest --verified)\" --to /srv/restored");
  program.on(command, [options](Context& context) { return run(context, *options); });
}

}  // namespace holdfast::cli
