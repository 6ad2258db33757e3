#include "cli/version.h"

#include "cli/commands.h"
#include "cli/program.h"

namespace holdfast::cli {

void add_version(Program& program) {
  CLI::App* command = program.command("version", "Show the version.");
  program.examples(command, "holdfast version --json | jq -r .version");
  program.on(command, [](Context& context) -> Result<void> {
    context.set_document("version", {{"version", kVersion}});
    context.print("holdfast {}", kVersion);
    return {};
  });
}

}  // namespace holdfast::cli
