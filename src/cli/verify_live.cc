#include "cli/verify_live.h"

#include "base/units.h"
#include "cli/context.h"
#include "cli/given.h"
#include "cli/present.h"
#include "cli/progress_view.h"
#include "cli/terminal.h"

namespace holdfast::cli {

namespace {

Json document_of(const recovery::LiveVerifyRequest& request, const recovery::LiveVerifyOutcome& outcome) {
  const postgres::LiveVerifyReport& live = outcome.live;
  Json findings = Json::array();
  for (const auto& finding : live.report.findings)
    findings.push_back({{"object", printable(finding.object)}, {"problem", printable(finding.problem)}});
  return {{"component", outcome.component},
          {"database", request.database},
          {"point", outcome.point.id.hex()},
          {"point_time", json_of(outcome.point.time)},
          {"checked_objects", live.report.checked_objects},
          {"checked_bytes", live.report.checked_bytes},
          {"took_seconds", json_of(outcome.took)},
          {"findings", findings},
          {"changes", live.changes},
          {"not_proven", live.not_proven},
          {"notes", live.notes},
          {"details", live.report.details}};
}

void print_outcome(Context& context, const recovery::LiveVerifyRequest& request,
                   const recovery::LiveVerifyOutcome& outcome) {
  const postgres::LiveVerifyReport& live = outcome.live;
  for (const auto& finding : live.report.findings)
    context.print("wrong: {}: {}", printable(finding.object), printable(finding.problem));
  for (const std::string& change : live.changes) context.print("changed: {}", printable(change));
  for (const std::string& lack : live.not_proven) context.print("not proven: {}", printable(lack));
  for (const std::string& note : live.notes) context.print("note: {}", printable(note));
  context.print("database {}: {}, {} read in {}, held against point {} of {}: {}, {}", printable(request.database),
                counted(live.report.checked_objects, "object"), format_bytes(live.report.checked_bytes),
                duration_text(outcome.took), short_id(outcome.point.id), format_local(outcome.point.time),
                !live.report.findings.empty() ? counted(live.report.findings.size(), "finding")
                : live.not_proven.empty()     ? "right"
                                              : "right as far as it could be read",
                counted(live.changes.size(), "change"));
  const auto recent = live.report.details.find("recent");
  if (recent != live.report.details.end() && live.report.findings.empty())
    context.print("the newest transaction that is proven to be there is of {}",
                  recent->value("newest_commit", std::string()));
}

}  // namespace

void add_verify_live_options(CLI::App* command, VerifyLiveOptions& options) {
  command
      ->add_option("--database", options.request.database,
                   "look at this live database instead, and hold it against what the point recorded")
      ->type_name("NAME");
  command->add_flag("--full-check", options.request.full_check,
                    "with --database: read every value of every table, run amcheck");
  command
      ->add_option("--recent", options.recent,
                   "with --database: prove that the transactions of this span are there ('24h')")
      ->type_name("DURATION");
}

Result<void> check_verify_live(const CLI::App& command) {
  if (!is_given(command, "--database")) {
    for (const char* name : {"--full-check", "--recent"}) {
      if (is_given(command, name)) return make_error(ErrorCode::kUsage, "{} needs --database", name);
    }
    return {};
  }
  for (const char* name : {"--offline", "--boot", "--scratch", "--no-amcheck"}) {
    if (is_given(command, name))
      return make_error(ErrorCode::kUsage, "--database looks at a live server, {} at a point: they exclude each other",
                        name);
  }
  return {};
}

Result<void> run_verify_live(Context& context, const VerifyLiveOptions& options) {
  recovery::LiveVerifyRequest request = options.request;
  if (options.recent) request.recent = TRY_CONTEXT(parse_duration(*options.recent), "--recent");
  auto workspace = TRY(context.open());
  Result<recovery::LiveVerifyOutcome> outcome = [&] {
    ProgressView view(context);
    return recovery::verify_live_database(*workspace, request);
  }();
  if (!outcome.ok()) return std::move(outcome).error();
  context.set_document("verify-live", document_of(request, *outcome));
  print_outcome(context, request, *outcome);
  const size_t findings = outcome->live.report.findings.size();
  const std::vector<std::string>& lacks = outcome->live.not_proven;
  if (findings == 0 && lacks.empty()) return {};
  if (findings == 0) {
    return make_error(ErrorCode::kIncomplete, "database '{}' is not proven right: {}{}", request.database,
                      lacks.front(), lacks.size() == 1 ? "" : fmt::format("; and {} more", lacks.size() - 1))
        .with_hint(
            "where the account may not, name one that may in 'connection' of the component (docs/one-database.md)");
  }
  return make_error(ErrorCode::kVerifyFailed, "database '{}' is not right: {}", request.database,
                    counted(findings, "finding"))
      .with_hint("'holdfast restore --database' brings a database or a table back, beside or in place");
}

}  // namespace holdfast::cli
