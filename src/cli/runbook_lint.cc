#include <cstdlib>
#include <memory>
#include <optional>

#include "base/filesystem.h"
#include "cli/program.h"
#include "cli/runbook.h"
#include "cli/version.h"
#include "runbook/lint/lint.h"

namespace holdfast::cli {

namespace {

struct LintOptions {
  std::string file;
  std::string format = "text";
  bool warnings = false;
};

// The stack's configuration helps where there is one; a document is reviewed without it too.
// What opening the repository needs (a passphrase) is not asked for.
Result<std::optional<runbook::lint::StackFacts>> stack_facts(Context& context) {
  const std::string path =
      TRY(recovery::find_stack_file(real_file_system(), context.options().overrides,
                                    [](const char* name) -> const char* { return std::getenv(name); }));
  std::optional<runbook::lint::StackFacts> facts;
  if (path.empty()) return facts;
  const recovery::StackConfig stack = TRY(recovery::load_stack(path));
  facts.emplace();
  for (const recovery::ComponentConfig& each : stack.components)
    facts->components.push_back({each.name, each.rto, each.rpo, each.kind == "postgres"});
  return facts;
}

Result<void> run(Context& context, const LintOptions& options) {
  const runbook::Document document = TRY(load_runbook(options.file));
  const std::optional<runbook::lint::StackFacts> facts = TRY(stack_facts(context));
  const runbook::lint::LintResult result = runbook::lint::lint(document, facts ? &*facts : nullptr);
  if (options.format == "json") context.options().json = true;
  if (options.format == "sarif") {
    context.write(runbook::lint::sarif_report(document, result, kVersion));
  } else if (context.json()) {
    context.set_document("runbook-lint", runbook::lint::json_report(document, result));
  } else {
    context.write(runbook::lint::text_report(document, result));
  }
  using runbook::lint::Severity;
  const size_t errors = result.count(Severity::kError);
  const size_t counted = errors + (options.warnings ? result.count(Severity::kWarning) : 0);
  if (counted == 0) return {};
  return make_error(ErrorCode::kFindings, "{}: {} of the findings must be corrected", options.file, counted)
      .with_hint("correct them, or silence one with <!-- holdfast: ignore RULE because REASON -->");
}

}  // namespace

void add_runbook_lint(Program& program, CLI::App* runbook) {
  auto options = std::make_shared<LintOptions>();
  CLI::App* command = program.command("lint", "Review a runbook: what would go wrong when it is followed.", runbook);
  command->add_option("file", options->file, "the Markdown document; - is standard input")
      ->required()
      ->type_name("FILE");
  command->add_option("--format", options->format, "text, json or sarif (for code scanning)")
      ->type_name("FORMAT")
      ->check(CLI::IsMember({"text", "json", "sarif"}).description(""));
  command->add_flag("--warnings", options->warnings, "end with status 34 for warnings too, not only for errors");
  program.examples(command,
                   "holdfast runbook lint docs/recovery.md\n"
                   "holdfast runbook lint --format sarif docs/recovery.md > lint.sarif\n"
                   "# exit status 34: there are findings of severity error");
  program.on(command, [options](Context& context) { return run(context, *options); });
}

}  // namespace holdfast::cli
