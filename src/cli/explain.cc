#include "base/units.h"
#include "cli/commands.h"
#include "cli/present.h"
#include "cli/program.h"
#include "cli/progress_view.h"
#include "cli/terminal.h"
#include "repo/check.h"

namespace holdfast::cli {

namespace {

std::string range_of(const repo::Touched& touched) {
  if (touched.entries > 1)
    return fmt::format(" and what follows it: {} ({})", format_count(touched.entries) + " entries",
                       format_bytes(touched.length_bytes));
  if (touched.length_bytes == 0) return "";
  return fmt::format(" (bytes {} to {})", format_count(touched.offset),
                     format_count(touched.offset + touched.length_bytes));
}

void print_touched(Context& context, const repo::Touched& touched, bool new_point) {
  const bool of_point = touched.point != repo::PointId{};
  if (new_point && of_point)
    context.print("point {} of {}:", short_id(touched.point), format_local(touched.point_time));
  if (new_point && !of_point) context.print("logs:");
  if (touched.component.empty()) {
    context.print("  all of it: {}", touched.cause);
    return;
  }
  const std::string what = touched.path.empty() ? "all of it" : printable(touched.path) + range_of(touched);
  context.print("  {}: {}: {}", printable(touched.component), what, touched.cause);
}

Result<void> run(Context& context, const std::string& object) {
  auto workspace = TRY(context.open());
  Result<std::vector<repo::Touched>> explained = [&] {
    ProgressView view(context);
    return repo::explain(workspace->repository(), object, context.progress());
  }();
  if (!explained.ok()) return std::move(explained).error();
  const bool whole = !object.empty() && explained->empty();
  if (whole) {
    ProgressView view(context);
    explained = repo::lost_with(workspace->repository(), object, context.progress());
    if (!explained.ok()) return std::move(explained).error();
    context.print("{} is whole{}", object,
                  explained->empty() ? ", and nothing would be lost with it" : ". With it would be lost:");
  }
  Json list = Json::array();
  const repo::PointId* last = nullptr;
  for (const repo::Touched& touched : *explained) {
    list.push_back({{"point", touched.point.hex()},
                    {"point_time", json_of(touched.point_time)},
                    {"component", touched.component},
                    {"path", printable(touched.path)},
                    {"offset", touched.offset},
                    {"length_bytes", touched.length_bytes},
                    {"entries", touched.entries},
                    {"cause", touched.cause}});
    print_touched(context, touched, last == nullptr || *last != touched.point);
    last = &touched.point;
  }
  context.set_document("explain", {{"object", object}, {"whole", whole}, {"touched", list}});
  if (object.empty() && explained->empty()) context.print("no damage was found: it touches no recovery point");
  return {};
}

}  // namespace

void add_explain(Program& program) {
  auto object = std::make_shared<std::string>();
  CLI::App* command = program.command(
      "explain", "List exactly which points and files damage touches, or would be lost with an object.");
  command
      ->add_option("object", *object, "an object of the repository, as check names it (default: all that is damaged)")
      ->type_name("OBJECT");
  program.examples(command,
                   "holdfast explain\n"
                   "holdfast explain packs/3f/3f0a...   # what would be lost with this object");
  program.on(command, [object](Context& context) { return run(context, *object); });
}

}  // namespace holdfast::cli
