#include "cli/drill.h"

#include <unistd.h>

#include <cstdlib>

#include "base/units.h"
#include "cli/drill_report.h"
#include "cli/own_environment.h"
#include "cli/present.h"
#include "cli/program.h"
#include "cli/progress_view.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "cli/unreachable.h"
#include "engine/person.h"
#include "recovery/drill.h"
#include "recovery/drill_registry.h"
#include "recovery/points.h"

namespace holdfast::cli {

namespace {

using recovery::Evidence;
using recovery::EvidenceChain;

struct DrillCommand {
  recovery::DrillRequest request;
  std::optional<std::string> at, point, deadline;
  bool list = false;
  std::optional<std::string> report;
  std::string format = "markdown", output;
};

Result<void> settle(DrillCommand& command, Time now) {
  recovery::DrillRequest& request = command.request;
  request.point = command.point;
  if (command.deadline) request.deadline = TRY_CONTEXT(parse_duration(*command.deadline), "--deadline");
  if (!command.at) return {};
  if (*command.at == "latest") {
    request.newest = true;
    return {};
  }
  if (command.point)
    return make_error(ErrorCode::kUsage, "--point goes with --at latest alone: that says what comes after it, too");
  if (*command.at == "random") {
    request.random = true;
    return {};
  }
  request.at = TRY_CONTEXT(parse_time(*command.at, now), "--at");
  if (*request.at <= now) return {};
  return make_error(ErrorCode::kUnreachableTarget, "{} lies in the future", format_local(*request.at))
      .with_hint("--at latest is the newest instant there is");
}

// What stands in a record that another version may have written.
std::string text_of(const nlohmann::json& body, const char* key) {
  const auto found = body.find(key);
  return found != body.end() && found->is_string() ? printable(found->get<std::string>()) : "-";
}

std::string how_of(const nlohmann::json& body) {
  const auto asked = body.find("asked");
  return asked == body.end() ? "-" : text_of(*asked, "how");
}

bool has_passed(const nlohmann::json& body) { return text_of(body, "result") == "passed"; }

std::string took_text(const nlohmann::json& body) {
  if (!has_recovered(body)) return "-";
  const auto found = body.find("recovery_seconds");
  if (found == body.end() || !found->is_number()) return "-";
  return duration_text(Duration::from_seconds(found->get<double>()));
}

std::string ending_of(const nlohmann::json& body) {
  if (has_recovered(body)) return fmt::format("recovered in {}", took_text(body));
  const auto began = parse_time(text_of(body, "began"), {}), ended = parse_time(text_of(body, "ended"), {});
  return began.ok() && ended.ok() ? fmt::format("after {}", duration_text(*ended - *began)) : "not recovered";
}

// "failed", with why in a few words.
std::string result_of(const nlohmann::json& body) {
  constexpr size_t kLongest = 50;
  const std::string result = text_of(body, "result");
  if (body.is_null() || has_passed(body)) return result;
  std::string why = text_of(body, "problem");
  for (const auto& component : body.value("components", nlohmann::json::array())) {
    for (const auto& check : component.value("checks", nlohmann::json::array())) {
      if ((why == "-" || why.empty()) && text_of(check, "outcome") == "failed")
        why = text_of(component, "component") + ": " + text_of(check, "check");
    }
  }
  if (why == "-" || why.empty()) return result;
  why = one_line(why);
  const std::string begin = fmt::format("{:.{}}", why, kLongest);  // counts characters, cuts none in two
  return fmt::format("{}: {}{}", result, begin, begin.size() < why.size() ? "..." : "");
}

Json json_of(const Evidence& evidence) {
  return {{"sequence", evidence.sequence}, {"digest", evidence.digest}, {"evidence", evidence.body}};
}

void print_checks(Context& context, const nlohmann::json& component) {
  for (const auto& check : component.value("checks", nlohmann::json::array())) {
    const std::string outcome = text_of(check, "outcome");
    const std::string words = text_of(check, "words");
    context.say("  {:<16} {:<8} {}", text_of(check, "check"), outcome, words == "-" ? "" : words);
    for (const auto& finding : check.value("findings", nlohmann::json::array())) {
      const std::string name = text_of(component, "component"), object = text_of(finding, "object");
      const bool is_part = object != name && object != text_of(check, "check");
      context.print("wrong: {}: {}{}: {}", name, text_of(check, "check"), is_part ? ": " + object : "",
                    printable(one_line(finding.value("problem", std::string()))));
    }
  }
}

void print_evidence(Context& context, const Evidence& evidence) {
  const nlohmann::json& body = evidence.body;
  for (const auto& component : body.value("components", nlohmann::json::array())) {
    context.say("{} ({}), as at {}", text_of(component, "component"), text_of(component, "kind"),
                with_times_as_given(text_of(component, "instant"), std::nullopt));
    print_checks(context, component);
  }
  std::string phases;
  for (const auto& phase : body.value("phases", nlohmann::json::array()))
    phases +=
        fmt::format("{}{} {:.1f} s", phases.empty() ? "" : ", ", text_of(phase, "phase"), phase.value("seconds", 0.0));
  context.print("drill {}: {}, {} ({})", text_of(body, "id"), text_of(body, "result"), ending_of(body), phases);
  if (!evidence.digest.empty()) context.say("evidence: record {}, SHA-256 {}", evidence.sequence, evidence.digest);
}

Result<void> drill(Context& context, DrillCommand& command) {
  TRY(settle(command, context.machine().clock.now()));
  command.request.registry = drill_registry();
  command.request.who = engine::who_is_there();
  auto workspace = TRY(context.open());
  TRY(recovery::name_only_stack(*workspace));
  Result<recovery::DrillOutcome> done = [&] {
    ProgressView view(context);
    return recovery::run_drill(*workspace, command.request);
  }();
  if (!done.ok()) return std::move(done).error();
  const Evidence& evidence = done->evidence;
  const std::string id = text_of(evidence.body, "id");
  const bool is_stored = !evidence.digest.empty();
  context.set_document("drill", json_of(evidence));
  print_evidence(context, evidence);
  if (text_of(evidence.body, "result") == "passed") {
    if (!done->not_stored) return {};
    return done->not_stored->clone().with_context(
        fmt::format("drill {} passed{}", id, is_stored ? "" : ", but of that there is no evidence"));
  }
  const std::string problem = evidence.body.value("problem", std::string());
  if (done->not_stored) context.warn("{}{}", is_stored ? "" : "there is no evidence of it: ", done->not_stored->text());
  if (context.progress().stop) return make_error(ErrorCode::kInterrupted, "the drill was stopped: {}", problem);
  const std::string told = context.json() ? problem : with_times_as_given(problem, command.at);
  auto failed = make_error(ErrorCode::kVerifyFailed, "drill {} failed{}{}", id, told.empty() ? "" : ": ", told);
  if (!is_stored) return failed;
  return std::move(failed).with_hint(fmt::format("'holdfast drill --report {}' has all of it", id));
}

Result<void> broken(const EvidenceChain& chain) {
  if (chain.problems.empty()) return {};
  return make_error(ErrorCode::kDamaged, "the evidence is not as it was written: {}", chain.problems.front())
      .with_hint("somebody changed or removed records of the log drills.*.evidence, or the store lost them");
}

Result<EvidenceChain> read_chain(Context& context) {
  auto workspace = TRY(context.open());
  TRY(recovery::name_only_stack(*workspace));
  recovery::EvidenceLog evidence(workspace->repository(), real_file_system(), workspace->stack().stack,
                                 drill_registry());
  return evidence.read();
}

Result<void> list(Context& context) {
  const EvidenceChain chain = TRY(read_chain(context));
  Table table({{"ID"}, {"BEGAN"}, {"ASKED"}, {"RECOVERED IN", Table::Align::kRight}, {"RESULT"}});
  Json drills = Json::array();
  for (const Evidence& evidence : chain.records) {
    drills.push_back(json_of(evidence));
    const auto began = parse_time(text_of(evidence.body, "began"), {});
    table.add({text_of(evidence.body, "id"), began.ok() ? format_local(*began) : "-", how_of(evidence.body),
               took_text(evidence.body), result_of(evidence.body)});
  }
  context.set_document("drills", {{"drills", std::move(drills)},
                                  {"chain_holds", chain.problems.empty()},
                                  {"chain_problems", chain.problems},
                                  {"digest", chain.digest()}});
  if (chain.records.empty()) {
    context.say("no drill was made yet: make one with 'holdfast drill'");
  } else if (!context.json()) {
    context.write(table.text());
  }
  for (const std::string& problem : chain.problems) context.print("wrong: {}", printable(problem));
  if (chain.problems.empty() && !chain.records.empty())
    context.print("the chain of {} holds; the newest has SHA-256 {}", counted(chain.records.size(), "record"),
                  chain.digest());
  return broken(chain);
}

Result<const Evidence*> find_evidence(const EvidenceChain& chain, const std::string& wanted) {
  const Evidence* found = nullptr;
  for (const Evidence& evidence : chain.records) {
    if (evidence.body.is_null()) continue;
    if (wanted != "latest" && !text_of(evidence.body, "id").starts_with(wanted)) continue;
    if (found && wanted != "latest")
      return make_error(ErrorCode::kUsage, "more than one drill's id begins with '{}'", wanted)
          .with_hint("give more of it: 'holdfast drill --list' has them whole");
    found = &evidence;
  }
  if (found) return found;
  return make_error(ErrorCode::kNotFound, "there is no evidence of a drill '{}'", wanted)
      .with_hint("'holdfast drill --list' has them all");
}

Result<void> report(Context& context, const DrillCommand& command) {
  const EvidenceChain chain = TRY(read_chain(context));
  const Evidence* evidence = TRY(find_evidence(chain, *command.report));
  Json document = json_of(*evidence);
  document["chain_holds"] = chain.problems.empty();
  document["chain_problems"] = chain.problems;
  const engine::ReportDocument made = report_of(*evidence, chain);
  context.set_document("drill-report", std::move(document));
  const std::string text = command.format == "html"   ? made.html()
                           : command.format == "json" ? context.document()->dump(2) + "\n"
                                                      : made.markdown();
  if (!command.output.empty()) {
    TRY(write_file_durably(real_file_system(), command.output, as_bytes(text), 0644));
    context.say("wrote {}", command.output);
  } else if (!context.json()) {
    context.write(text);
  }
  return broken(chain);
}

Result<void> run(Context& context, DrillCommand& command) {
  if (command.list && command.report) return make_error(ErrorCode::kUsage, "--list and --report exclude each other");
  const bool asks = command.at || command.point || !command.request.components.empty();
  if ((command.list || command.report) && asks)
    return make_error(ErrorCode::kUsage,
                      "--at, --point and --component are for a drill, not for the evidence of others");
  if (!command.output.empty() && !command.report) return make_error(ErrorCode::kUsage, "--output needs --report");
  if (command.list) return list(context);
  if (command.report) return report(context, command);
  return drill(context, command);
}

void add_drill_options(CLI::App* command, DrillCommand& options) {
  command
      ->add_option("--at", options.at, "as it was then: RFC 3339 with zone, '2 hours ago', latest (default), or random")
      ->type_name("TIME");
  command
      ->add_option("--point", options.point, "as this recovery point has it (with --at latest: and all WAL after it)")
      ->type_name("ID");
  command->add_option("--component", options.request.components, "only this component (may be repeated)")
      ->type_name("NAME");
  command
      ->add_option("--scratch", options.request.scratch_directory,
                   "where there is room for all of it (default: $TMPDIR or /tmp)")
      ->type_name("DIR");
  command
      ->add_option("--deadline", options.deadline,
                   "give a component's boot and checks up after this long (default: 12h)")
      ->type_name("DURATION");
}

}  // namespace

std::string drill_registry() { return recovery::default_drill_registry(own_environment, ::geteuid() == 0); }

void add_drill(Program& program) {
  auto options = std::make_shared<DrillCommand>();
  CLI::App* command = program.command("drill", "Restore in isolation, boot, check, time, destroy; keep the evidence.");
  add_drill_options(command, *options);
  command->add_flag("--list", options->list,
                    "list the drills made, and prove that their evidence is as it was written");
  command->add_option("--report", options->report, "the evidence of one drill: its id or part of it, or latest")
      ->type_name("ID");
  command->add_option("--format", options->format, "of --report: markdown (default), html or json")
      ->type_name("FORMAT")
      ->check(CLI::IsMember({"markdown", "html", "json"}).description(""));
  command->add_option("--output", options->output, "write the report there")->type_name("FILE");
  program.examples(command,
                   "holdfast drill --scratch /srv/scratch\n"
                   "holdfast drill --at random\n"
                   "holdfast drill --list\n"
                   "holdfast drill --report latest --format html --output drill.html");
  program.on(command, [options](Context& context) { return run(context, *options); });
}

}  // namespace holdfast::cli
