#include "cli/commands.h"
#include "cli/present.h"
#include "cli/program.h"
#include "recovery/points.h"
#include "repo/collect.h"

namespace holdfast::cli {

namespace {

struct LatestOptions {
  std::string component;
  bool verified = false;
};

Result<void> run(Context& context, const LatestOptions& options) {
  auto workspace = TRY(context.open());
  const auto points = TRY(recovery::stack_points(*workspace));
  const auto verified = TRY(repo::verified_points(workspace->repository()));
  for (auto point = points.rbegin(); point != points.rend(); ++point) {
    if (!options.component.empty() && recovery::find_snapshot(*point, options.component) == nullptr) continue;
    if (options.verified && std::find(verified.begin(), verified.end(), point->id) == verified.end()) continue;
    context.set_document("latest", {{"point", json_of(*point)}});
    context.print("{}", point->id.hex());
    return {};
  }
  return make_error(ErrorCode::kNotFound, "there is no {}recovery point{}", options.verified ? "verified " : "",
                    options.component.empty() ? "" : fmt::format(" of component '{}'", options.component))
      .with_hint(options.verified ? "prove one with 'holdfast verify'" : "take one with 'holdfast backup'");
}

}  // namespace

void add_latest(Program& program) {
  auto options = std::make_shared<LatestOptions>();
  CLI::App* command = program.command("latest", "Print the id of the newest recovery point.");
  command->add_option("--component", options->component, "that holds this component")->type_name("NAME");
  command->add_flag("--verified", options->verified, "that was verified");
  program.examples(command,
                   "holdfast latest\n"
                   "holdfast restore --point \"$(holdfast latest --verified)\" --to /srv/restored");
  program.on(command, [options](Context& context) { return run(context, *options); });
}

}  // namespace holdfast::cli
