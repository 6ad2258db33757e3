#include "cli/program.h"
#include "cli/runbook.h"
#include "runbook/document_json.h"
#include "runbook/outline_text.h"

namespace holdfast::cli {

namespace {

Result<void> run(Context& context, const std::string& file) {
  const runbook::Document document = TRY(load_runbook(file));
  context.set_document("runbook", runbook::json_of(document));
  if (!context.json()) context.write(runbook::outline_text(document));
  return {};
}

}  // namespace

void add_runbook_show(Program& program, CLI::App* runbook) {
  auto file = std::make_shared<std::string>();
  CLI::App* command = program.command("show", "Show what a runbook was understood to say, and what was not.", runbook);
  command->add_option("file", *file, "the Markdown document; - is standard input")->required()->type_name("FILE");
  program.examples(command,
                   "holdfast runbook show docs/recovery.md\n"
                   "holdfast runbook show docs/recovery.md --json | jq '.scenarios[].title.text'");
  program.on(command, [file](Context& context) { return run(context, *file); });
}

}  // namespace holdfast::cli
