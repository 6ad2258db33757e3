#include "recovery/drill.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <map>

#include "base/log.h"
#include "base/places.h"
#include "base/workers.h"
#include "recovery/drill_components.h"
#include "recovery/drill_registry.h"
#include "recovery/drill_window.h"
#include "recovery/points.h"
#include "recovery/program_version.h"
#include "recovery/stage.h"
#include "repo/collect.h"
#include "repo/host.h"
#include "source/postgres/private_server.h"
#include "source/scratch_place.h"

namespace holdfast::recovery {

namespace {

using nlohmann::json;
using source::Check;

constexpr int kMostDraws = 10;
constexpr size_t kIdBytes = 8;

json seconds(Duration duration) { return std::round(duration.in_seconds() * 1000) / 1000; }
json seconds_or_null(const std::optional<Duration>& duration) { return duration ? seconds(*duration) : json(); }
json time_or_null(const std::optional<Time>& time) { return time ? json(format_rfc3339(*time)) : json(); }

std::string random_id(Random& random) {
  Bytes bytes(kIdBytes);
  random.fill(bytes.mutable_view());
  return to_hex(bytes.view());
}

json json_of(const Check& check) {
  json findings = json::array();
  for (const auto& finding : check.findings)
    findings.push_back({{"object", finding.object}, {"problem", finding.problem}});
  const char* outcome = check.outcome == Check::Outcome::kPassed   ? "passed"
                        : check.outcome == Check::Outcome::kFailed ? "failed"
                                                                   : "skipped";
  return {{"check", check.name},
          {"outcome", outcome},
          {"words", check.words},
          {"findings", std::move(findings)},
          {"findings_total", check.findings_total}};
}

// One component on its way through the phases.
struct Candidate {
  const ComponentPlan* plan = nullptr;
  std::string directory;
  std::unique_ptr<DrilledComponent> drilled;
  std::map<std::string, Duration> took;  // by phase
  std::vector<Check> checks;
  bool out = false;        // it failed in a phase: the later ones leave it out
  bool recovered = false;  // restored, booted, and all its checks made
  bool sound = false;      // recovered, and no check of its data failed
};

class Drill {
 public:
  Drill(Workspace& workspace, const DrillRequest& request)
      : workspace_(workspace), request_(request), clock_(workspace.machine().clock) {}

  Result<DrillOutcome> run();

 private:
  using Work = std::function<Result<void>(Candidate&)>;

  Result<void> carry_out();
  Result<void> choose();
  Result<void> choose_at_random(RestoreRequest& restore);
  Result<void> make_places();
  Result<void> check_way_of_server() const;
  Result<void> prepare_scratch() const;
  Result<void> for_each(DrillPhase phase, const Work& work);
  Result<void> restore(Candidate& candidate);
  Result<void> destroy();
  Result<void> record_proof();
  void measure();
  void hold_against(Candidate& candidate);
  Result<void> begin(DrillPhase phase);
  void end_phase();
  bool passed() const;
  bool is_persons(const Error& error) const;
  json body() const;
  json component_body(const Candidate& candidate) const;
  json asked_body() const;

  Workspace& workspace_;
  const DrillRequest& request_;
  Clock& clock_;
  std::string id_, scratch_, directory_;
  Time began_;
  std::optional<Time> asked_;  // empty: a point alone
  std::optional<DrillWindow> window_;
  int draws_ = 0;
  RestorePlan plan_;
  std::vector<Candidate> candidates_;
  std::unique_ptr<DrillMarker> marker_;
  std::vector<std::pair<DrillPhase, Duration>> phases_;
  std::optional<Duration> phase_began_;
  std::map<std::string, json> objectives_;
  bool destroyed_ = false;
  std::optional<Error> problem_;
};

// Whether the person's words, and not the stack's state, are what is wrong: a component
// that neither the stack nor any point has ever had. A point that is not there may have been lost.
bool Drill::is_persons(const Error& error) const {
  if (error.code() == ErrorCode::kUsage) return true;
  if (error.code() != ErrorCode::kNotFound) return false;
  const auto points = stack_points(workspace_);
  return points.ok() && std::any_of(request_.components.begin(), request_.components.end(), [&](const auto& name) {
           return workspace_.stack().find(name) == nullptr && snapshots_of(*points, name).empty();
         });
}

Result<void> Drill::begin(DrillPhase phase) {
  end_phase();
  phases_.emplace_back(phase, Duration{});
  phase_began_ = clock_.monotonic();
  TRY(marker_->set_phase(std::string(phase_name(phase))));
  request_.on_phase(phase);
  if (workspace_.machine().progress.stop && phase != DrillPhase::kDestroy)
    return make_error(ErrorCode::kInterrupted, "the drill was stopped");
  return {};
}

void Drill::end_phase() {
  if (phase_began_) phases_.back().second = clock_.monotonic() - *phase_began_;
  phase_began_.reset();
}

Result<void> Drill::choose_at_random(RestoreRequest& restore) {
  window_ = TRY(drill_window(workspace_, request_.components));
  while (true) {
    asked_ = random_instant(workspace_.machine().random, *window_);
    restore.target.time = asked_;
    auto planned = plan_restore(workspace_, restore);
    if (planned.ok()) {
      plan_ = std::move(planned).value();
      return {};
    }
    draws_++;
    if (planned.error().code() != ErrorCode::kUnreachableTarget || draws_ >= kMostDraws)
      return std::move(planned).error();
  }
}

Result<void> Drill::choose() {
  workspace_.machine().progress.phase = "choosing";
  RestoreRequest restore;
  restore.components = request_.components;
  restore.point = request_.point;
  restore.newest = request_.newest;
  restore.target.time = request_.at;
  restore.to = directory_;
  if (request_.random) return choose_at_random(restore);
  if (request_.at) asked_ = request_.at;
  if (!request_.at && (!request_.point || request_.newest)) asked_ = began_;
  plan_ = TRY(plan_restore(workspace_, restore));
  return {};
}

Result<void> Drill::make_places() {
  FileSystem& fs = workspace_.machine().fs;
  TRY(fs.make_directory(directory_, 0755));
  for (const ComponentPlan& plan : plan_.components) {
    Candidate candidate;
    candidate.plan = &plan;
    candidate.directory = join_path(directory_, plan.component);
    TRY(fs.make_directory(candidate.directory, 0700));
    candidates_.push_back(std::move(candidate));
  }
  return {};
}

// Some of the programs that check a cluster are the server's account's: what they can't get at
// would look like bad data.
Result<void> Drill::check_way_of_server() const {
  const auto& components = workspace_.stack().components;
  const bool any = std::any_of(components.begin(), components.end(), [&](const ComponentConfig& component) {
    const auto& wanted = request_.components;
    return component.kind == "postgres" &&
           (wanted.empty() || std::find(wanted.begin(), wanted.end(), component.name) != wanted.end());
  });
  if (!any) return {};
  return postgres::check_way_into(workspace_.machine().fs, TRY(postgres::server_user(scratch_)), scratch_);
}

// Where nothing can be made nothing can be removed either: a marker would be there for ever.
Result<void> Drill::prepare_scratch() const {
  TRY(check_way_of_server());
  auto made = make_directories(workspace_.machine().fs, scratch_);
  if (made.ok() && ::faccessat(AT_FDCWD, scratch_.c_str(), W_OK | X_OK, AT_EACCESS) != 0)
    made = Error::from_errno(errno, fmt::format("can't make anything in {}", scratch_));
  if (made.ok() || made.error().code() != ErrorCode::kPermission) return made;
  return std::move(made).error().with_hint("name a directory that this account may write to: --scratch DIR");
}

// A component that fails is left out from there on, and the reason is a failed check of it.
Result<void> Drill::for_each(DrillPhase phase, const Work& work) {
  TRY(begin(phase));
  for (Candidate& candidate : candidates_) {
    if (candidate.out) continue;
    const Duration began = clock_.monotonic();
    auto done = work(candidate);
    candidate.took[std::string(phase_name(phase))] = clock_.monotonic() - began;
    if (done.ok()) continue;
    if (done.error().code() == ErrorCode::kInterrupted)
      return std::move(done).error().with_context("component " + candidate.plan->component);
    Check check{std::string(phase_name(phase))};
    check.add(candidate.plan->component, done.error().text());
    candidate.checks.push_back(std::move(check));
    candidate.out = true;
  }
  return {};
}

Result<void> Drill::restore(Candidate& candidate) {
  DrillPlace place;
  place.scratch = scratch_;
  place.directory = candidate.directory;
  place.deadline = request_.deadline;
  place.on_server = [this](pid_t process) { return marker_->add_process(process); };
  begin_stage(workspace_.machine().progress, candidate.plan->bytes);
  workspace_.machine().progress.phase = "restoring";
  candidate.drilled = TRY(make_drilled(workspace_, *candidate.plan, place));
  return candidate.drilled->restore();
}

Result<void> Drill::carry_out() {
  TRY(begin(DrillPhase::kChoose));
  TRY(choose());
  TRY(make_places());
  TRY(for_each(DrillPhase::kRestore, [this](Candidate& candidate) { return restore(candidate); }));
  TRY(for_each(DrillPhase::kBoot, [this](Candidate& candidate) {
    workspace_.machine().progress.phase = "booting";
    return candidate.drilled->boot();
  }));
  return for_each(DrillPhase::kVerify, [](Candidate& candidate) -> Result<void> {
    TRY(candidate.drilled->verify(candidate.checks));
    candidate.recovered = true;
    return {};
  });
}

// Whatever went wrong before, and whether or not the marker can say so.
Result<void> Drill::destroy() {
  FileSystem& fs = workspace_.machine().fs;
  if (auto begun = begin(DrillPhase::kDestroy); !begun.ok())
    log_warn("recovery.drill.marker", {{"drill", id_}, {"error", begun.error().text()}});
  workspace_.machine().progress.phase = "destroying";
  for (Candidate& candidate : candidates_) {
    if (!candidate.drilled) continue;
    if (auto stopped = candidate.drilled->stop(); !stopped.ok())
      log_warn("recovery.drill.killed", {{"drill", id_}, {"error", stopped.error().text()}});
  }
  TRY_CONTEXT(end_workers(fs, clock_, directory_), "ending what the drill started");
  TRY_CONTEXT(remove_tree(fs, directory_), "removing what the drill made");
  TRY_CONTEXT(marker_->remove(), "removing the drill's marker");
  end_phase();
  return {};
}

void Drill::hold_against(Candidate& candidate) {
  const ComponentConfig* config = workspace_.stack().find(candidate.plan->component);
  std::optional<Duration> rto, rpo, recovery, loss;
  if (config != nullptr) {
    rto = config->rto;
    rpo = config->rpo;
  }
  if (candidate.recovered) {
    recovery = phases_.front().second;
    for (const auto& [phase, took] : candidate.took) recovery = *recovery + took;
  }
  if (candidate.recovered && asked_) loss = std::max(Duration{}, *asked_ - candidate.plan->instant);
  const auto check = [&](const char* name, const std::optional<Duration>& target, const std::optional<Duration>& actual,
                         const char* unknown) {
    if (!target) return Check::skipped(name, "the component has no such objective");
    if (!actual) return Check::skipped(name, unknown);
    Check made(name);
    made.words = fmt::format("{} of {}", format_duration(*actual), format_duration(*target));
    if (*actual > *target)
      made.add(candidate.plan->component,
               fmt::format("missed: {} instead of {}", format_duration(*actual), format_duration(*target)));
    return made;
  };
  constexpr const char* kNotRecovered = "it was not recovered, or not all of it could be checked";
  candidate.checks.push_back(check("rto", rto, recovery, kNotRecovered));
  candidate.checks.push_back(
      check("rpo", rpo, loss, candidate.recovered ? "a point alone asks for no instant" : kNotRecovered));
  objectives_[candidate.plan->component] = {{"rto_seconds", seconds_or_null(rto)},
                                            {"rpo_seconds", seconds_or_null(rpo)},
                                            {"recovery_seconds", seconds_or_null(recovery)},
                                            {"loss_seconds", seconds_or_null(loss)}};
}

bool nothing_failed(const Candidate& candidate) {
  return std::none_of(candidate.checks.begin(), candidate.checks.end(),
                      [](const Check& check) { return check.outcome == Check::Outcome::kFailed; });
}

void Drill::measure() {
  end_phase();
  for (Candidate& candidate : candidates_) {
    candidate.sound = candidate.recovered && nothing_failed(candidate);
    hold_against(candidate);
  }
}

bool Drill::passed() const {
  if (problem_ || !destroyed_ || candidates_.empty()) return false;
  return std::all_of(candidates_.begin(), candidates_.end(), nothing_failed);
}

// A point that was restored whole and as captured has been verified, however long it took. With
// log on top nothing is known of it: replay writes whole pages over damaged ones.
Result<void> Drill::record_proof() {
  if (!request_.point || request_.newest || candidates_.empty()) return {};
  for (const Candidate& candidate : candidates_) {
    if (!candidate.sound) return {};
  }
  const repo::PointId id = candidates_.front().plan->point;
  const repo::Point point = TRY(workspace_.repository().find_point(id.hex()));
  if (candidates_.size() != point.snapshots.size()) return {};
  TRY(repo::record_verified(workspace_.repository(), id, clock_.now()));
  log_info("recovery.point.verified", {{"point", id.hex()}});
  return {};
}

json Drill::asked_body() const {
  const char* how = request_.random                      ? "random"
                    : request_.at                        ? "time"
                    : request_.point && !request_.newest ? "point"
                                                         : "latest";
  json asked = {{"how", how},
                {"instant", time_or_null(asked_)},
                {"point", request_.point ? json(*request_.point) : json()},
                {"window", nullptr},
                {"draws", draws_}};
  if (window_)
    asked["window"] = {{"from", format_rfc3339(window_->from())}, {"until", format_rfc3339(window_->until())}};
  return asked;
}

json Drill::component_body(const Candidate& candidate) const {
  const ComponentPlan& plan = *candidate.plan;
  json took = {{"restore", nullptr}, {"boot", nullptr}, {"verify", nullptr}};
  for (const auto& [phase, duration] : candidate.took) took[phase] = seconds(duration);
  json checks = json::array();
  for (const Check& check : candidate.checks) checks.push_back(json_of(check));
  json body = {{"component", plan.component},
               {"kind", plan.kind},
               {"point", plan.point.hex()},
               {"point_time", format_rfc3339(plan.point_time)},
               {"instant", format_rfc3339(plan.instant)},
               {"description", plan.description},
               {"restored_bytes", nullptr},
               {"seconds", std::move(took)},
               {"objectives", objectives_.at(plan.component)},
               {"server_version", nullptr},
               {"newest_transaction", nullptr},
               {"isolation", nullptr},
               {"checks", std::move(checks)}};
  if (candidate.drilled) candidate.drilled->describe(body);
  return body;
}

json Drill::body() const {
  json phases = json::array(), components = json::array();
  Duration recovery;
  for (const auto& [phase, took] : phases_) {
    phases.push_back({{"phase", phase_name(phase)}, {"seconds", seconds(took)}});
    if (phase != DrillPhase::kDestroy) recovery = recovery + took;
  }
  for (const Candidate& candidate : candidates_) components.push_back(component_body(candidate));
  return {{"id", id_},
          {"stack", workspace_.stack().stack},
          {"repository", workspace_.repository().id()},
          {"began", format_rfc3339(began_)},
          {"ended", format_rfc3339(clock_.now())},
          {"who", request_.who},
          {"host", repo::host_name()},
          {"version", kProgramVersion},
          {"asked", asked_body()},
          {"phases", std::move(phases)},
          {"components", std::move(components)},
          {"recovery_seconds", seconds(recovery)},
          {"destroyed", destroyed_},
          {"problem", problem_ ? problem_->text() : ""},
          {"result", passed() ? "passed" : "failed"}};
}

Result<DrillOutcome> Drill::run() {
  FileSystem& fs = workspace_.machine().fs;
  TRY(sweep_drills(fs, clock_, request_.registry));
  id_ = random_id(workspace_.machine().random);
  scratch_ = resolved_path(source::scratch_directory(request_.scratch_directory));
  TRY(prepare_scratch());
  directory_ = join_path(scratch_, drill_directory_name(id_));
  began_ = clock_.now();
  marker_ = TRY(DrillMarker::create(fs, request_.registry, id_, directory_));
  auto carried_out = carry_out();
  measure();
  auto destroyed = destroy();
  destroyed_ = destroyed.ok();
  if (!carried_out.ok())
    problem_ = std::move(carried_out).error();
  else if (!destroyed.ok())
    problem_ = std::move(destroyed).error();
  if (problem_ && candidates_.empty() && is_persons(*problem_)) return std::move(*problem_);
  EvidenceLog evidence(workspace_.repository(), fs, workspace_.stack().stack, request_.registry);
  DrillOutcome outcome;
  outcome.evidence.body = body();
  auto stored = evidence.append(outcome.evidence.body);
  log_info("recovery.drill.done", {{"drill", id_}, {"passed", passed()}, {"stored", stored.ok()}});
  if (!stored.ok()) {
    // What was measured is told all the same: it took hours, perhaps.
    outcome.not_stored = std::move(stored).error();
    return outcome;
  }
  outcome.evidence = std::move(stored).value();
  if (auto recorded = record_proof(); !recorded.ok())
    outcome.not_stored = std::move(recorded).error().with_context("recording that the point was verified");
  return outcome;
}

}  // namespace

std::string_view phase_name(DrillPhase phase) {
  switch (phase) {
    case DrillPhase::kChoose: return "choose";
    case DrillPhase::kRestore: return "restore";
    case DrillPhase::kBoot: return "boot";
    case DrillPhase::kVerify: return "verify";
    case DrillPhase::kDestroy: break;
  }
  return "destroy";
}

Result<DrillOutcome> run_drill(Workspace& workspace, const DrillRequest& request) {
  return Drill(workspace, request).run();
}

}  // namespace holdfast::recovery
