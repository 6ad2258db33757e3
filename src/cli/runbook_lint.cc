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

using runbook::lint::Reviewed;

struct LintOptions {
  std::vector<std::string> files;
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
    facts->components.push_back({each.name, each.kind, each.rto, each.rpo, each.kind != "files"});
  return facts;
}

void report(Context& context, const LintOptions& options, const std::vector<Reviewed>& reviews) {
  if (options.format == "sarif") {
    context.options().json = false;  // the document is SARIF's: what else is to be said goes to standard error
    context.write(runbook::lint::sarif_report(reviews, kVersion));
  } else if (context.json() && reviews.size() == 1) {
    context.set_document("runbook-lint", runbook::lint::json_report(reviews[0].document, reviews[0].result));
  } else if (context.json()) {
    Json documents = Json::array();
    for (const auto& [document, result] : reviews) documents.push_back(runbook::lint::json_report(document, result));
    context.set_document("runbook-lint", Json{{"documents", std::move(documents)}});
  } else {
    for (const auto& [document, result] : reviews) context.write(runbook::lint::text_report(document, result));
  }
}

Result<void> run(Context& context, const LintOptions& options) {
  if (options.format == "json") context.options().json = true;
  const std::optional<runbook::lint::StackFacts> facts = TRY(stack_facts(context));
  std::vector<Reviewed> reviews;
  for (const std::string& file : options.files) {
    runbook::Document document = TRY(load_runbook(file));
    auto result = runbook::lint::lint(document, facts ? &*facts : nullptr);
    reviews.push_back({std::move(document), std::move(result)});
  }
  report(context, options, reviews);
  using runbook::lint::Severity;
  size_t counted = 0;
  std::vector<std::string> documents;
  for (size_t i = 0; i < reviews.size(); i++) {
    const auto& result = reviews[i].result;
    const size_t found = result.count(Severity::kError) + (options.warnings ? result.count(Severity::kWarning) : 0);
    counted += found;
    if (found > 0) documents.push_back(options.files[i]);
  }
  if (counted == 0) return {};
  return make_error(ErrorCode::kFindings, "{}: {} of the findings must be corrected", fmt::join(documents, ", "),
                    counted)
      .with_hint("correct them, or silence one with <!-- holdfast: ignore RULE because REASON -->");
}

}  // namespace

void add_runbook_lint(Program& program, CLI::App* runbook) {
  auto options = std::make_shared<LintOptions>();
  CLI::App* command = program.command("lint", "Review runbooks: what would go wrong when they are followed.", runbook);
  command->add_option("file", options->files, "the Markdown documents; - is standard input")
      ->required()
      ->type_name("FILE");
  command->add_option("--format", options->format, "text, json or sarif (for code scanning)")
      ->type_name("FORMAT")
      ->check(CLI::IsMember({"text", "json", "sarif"}).description(""));
  command->add_flag("--warnings", options->warnings, "end with status 34 for warnings too, not only for errors");
  program.examples(command,
                   "holdfast runbook lint docs/recovery.md\n"
                   "holdfast runbook lint --format sarif docs/*.md > lint.sarif\n"
                   "# exit status 34: there are findings of severity error");
  program.on(command, [options](Context& context) { return run(context, *options); });
}

}  // namespace holdfast::cli
