#include "recovery/backup.h"

#include <algorithm>
#include <mutex>
#include <optional>

#include "base/log.h"
#include "recovery/capture_commands.h"
#include "recovery/capture_order.h"
#include "recovery/clocks.h"
#include "recovery/cluster.h"
#include "recovery/points.h"
#include "recovery/program_version.h"
#include "recovery/redis_component.h"
#include "recovery/shared_progress.h"
#include "recovery/stage.h"
#include "recovery/windows.h"
#include "repo/host.h"
#include "repo/missing.h"
#include "repo/session_part.h"
#include "source/files/capture.h"
#include "source/postgres/capture.h"
#include "source/postgres/snapshot_source.h"

namespace holdfast::recovery {

namespace {

files::CaptureOptions files_options(const Workspace& workspace, const ComponentConfig& component,
                                    const BackupOptions& options) {
  files::CaptureOptions capture;
  capture.paths = component.files.paths;
  capture.excludes = component.files.excludes;
  capture.one_file_system = component.files.one_file_system;
  capture.repository = workspace.stack().repository_directory();
  capture.force = options.full;
  capture.allow_empty = options.allow_empty;
  return capture;
}

// What is taken of another cluster becomes the newest, and retention goes on from there.
Result<void> check_cluster(uint64_t found, const repo::Snapshot& previous) {
  const auto facts = cluster_facts(previous);
  if (!facts.ok() || found == facts->system_id) return {};
  return make_error(ErrorCode::kMismatch,
                    "the server is the cluster with system identifier {}, and the newest point of this component is of "
                    "the cluster with {}",
                    found, facts->system_id)
      .with_hint(
          "if 'connection' leads to the wrong server, correct it; after a new initdb or pg_upgrade, which gives "
          "another "
          "system identifier, say 'holdfast backup --new-cluster' once: the old cluster's points stay");
}

Result<repo::Snapshot> capture_postgres(Workspace& workspace, source::World& world, repo::WriteSession& session,
                                        const ComponentConfig& component, const BackupOptions& options,
                                        const repo::Snapshot* previous) {
  const postgres::Connection connection = TRY(connection_of(component));
  postgres::CaptureOptions capture;
  capture.component = component.name;
  capture.connection = &connection;
  capture.method = component.postgres.method == "files"      ? postgres::CaptureMethod::kFiles
                   : component.postgres.method == "protocol" ? postgres::CaptureMethod::kProtocol
                                                             : postgres::CaptureMethod::kAuto;
  capture.data_directory = component.postgres.data_directory;
  capture.compression_level = workspace.stack().compression_level;
  capture.force_full = options.full;
  capture.prove = options.prove;
  if (previous != nullptr && !options.new_cluster)
    capture.accept = [previous](uint64_t system_id) { return check_cluster(system_id, *previous); };
  return postgres::capture(world, session, capture, previous);
}

// Against what a component is captured: its newest snapshot of the same kind, if any.
const repo::Snapshot* snapshot_before(const std::vector<repo::Point>& points, const ComponentConfig& component) {
  const auto earlier = snapshots_of(points, component.name, component.kind);
  return earlier.empty() ? nullptr : earlier.back().snapshot;
}

// One backup, while it is made.
class PointTaker {
 public:
  PointTaker(Workspace& workspace, const BackupOptions& options, std::vector<const ComponentConfig*> components,
             std::vector<repo::Point> points)
      : workspace_(workspace),
        stack_(workspace.stack()),
        options_(options),
        components_(std::move(components)),
        points_(std::move(points)),
        outcomes_(components_.size()) {}

  Result<BackupReport> run() {
    Clock& clock = workspace_.machine().clock;
    const Duration began = clock.monotonic();
    repo::WriteOptions write;
    write.compression_level = stack_.compression_level;
    session_ = TRY(repo::WriteSession::begin(workspace_.repository(), write));
    if (runs_commands()) secrets_ = known_secrets(stack_);
    // 1. The snapshots, with the commands around them.
    CaptureCommands commands(stack_.commands, {"", stack_.stack}, secrets_);
    auto captured = capture_all(commands);
    note_problems(commands.run_after(captured.ok()), "");
    TRY(std::move(captured));
    // 2. The point.
    workspace_.machine().progress.phase = "committing";
    BackupReport report = make_report();
    TRY(count_stored_bytes(report.point));
    report.point.time = clock.now();
    TRY_CONTEXT(session_->commit(report.point), "committing the recovery point");
    report.stats = session_->stats();
    report.took = clock.monotonic() - began;
    warn_of_clocks(report);
    log_info("recovery.point.committed",
             {{"point", report.point.id.hex()}, {"stored_bytes", report.stats.stored_bytes}});
    note_timelines(report);
    return report;
  }

 private:
  bool several() const { return components_.size() > 1; }

  bool runs_commands() const {
    const auto any = [](const BackupCommands& commands) { return !commands.before.empty() || !commands.after.empty(); };
    return any(stack_.commands) || std::any_of(components_.begin(), components_.end(),
                                               [&](const auto* component) { return any(component->commands); });
  }

  Result<void> capture_all(CaptureCommands& commands) {
    Progress& whole = workspace_.machine().progress;
    if (!stack_.commands.before.empty()) whole.phase = "running commands";
    TRY(commands.run_before(whole.stop));
    TRY(look_at_files());
    if (several()) shared_.emplace(whole);
    in_order(components_, stack_.parallel, [&](size_t component) { return capture(component); });
    shared_.reset();
    if (failed_ == 0) return {};
    if (whole.stop) return make_error(ErrorCode::kInterrupted, "the backup was stopped: nothing was committed");
    const bool commit =
        stack_.when_a_component_fails == WhenAComponentFails::kCommitDegraded && failed_ < components_.size();
    if (commit) return {};
    return std::move(*first_failure_);
  }

  // What one refuses at once need not wait until the others were read. Commands of a
  // component may mount what is to be captured.
  Result<void> look_at_files() {
    const bool commands_follow = std::any_of(components_.begin(), components_.end(),
                                             [](const auto* component) { return !component->commands.before.empty(); });
    if (commands_follow || stack_.when_a_component_fails == WhenAComponentFails::kCommitDegraded) return {};
    for (const ComponentConfig* component : components_) {
      if (component->kind != "files") continue;
      TRY_CONTEXT(files::look_before_capture(workspace_.machine().fs, workspace_.repository(),
                                             files_options(workspace_, *component, options_),
                                             snapshot_before(points_, *component)),
                  "component {}", component->name);
    }
    return {};
  }

  // On any thread. False: nothing more has to begin.
  bool capture(size_t at) {
    const ComponentConfig& component = *components_[at];
    const repo::Snapshot* previous = snapshot_before(points_, component);
    // A component is about as large as it was.
    const uint64_t expected_bytes = previous == nullptr ? 0 : previous->source_bytes;
    Progress& progress = several() ? shared_->begin(component.name, expected_bytes) : workspace_.machine().progress;
    if (!several()) begin_stage(progress, expected_bytes);
    outcomes_[at] = capture_with_commands(component, previous, progress);
    if (several()) shared_->end(progress);
    if (outcomes_[at]->ok()) return true;

    const std::lock_guard lock(mutex_);
    failed_++;
    if (!first_failure_) first_failure_ = outcomes_[at]->error().clone();
    const bool go_on = stack_.when_a_component_fails == WhenAComponentFails::kCommitDegraded;
    if (!go_on && several()) shared_->stop_parts();
    return go_on && !workspace_.machine().progress.stop;
  }

  Result<repo::Snapshot> capture_with_commands(const ComponentConfig& component, const repo::Snapshot* previous,
                                               Progress& progress) {
    const std::string context = fmt::format("component {}", component.name);
    CaptureCommands commands(component.commands, {component.name, stack_.stack}, secrets_);
    if (!component.commands.before.empty()) progress.phase = "running commands";
    auto ready = commands.run_before(progress.stop);
    auto snapshot = ready.ok() ? capture_component(component, previous, progress)
                               : Result<repo::Snapshot>(std::move(ready).error());
    note_problems(commands.run_after(snapshot.ok()), context);
    if (!snapshot.ok()) return std::move(snapshot).error().with_context(context);
    return snapshot;
  }

  Result<repo::Snapshot> capture_component(const ComponentConfig& component, const repo::Snapshot* previous,
                                           Progress& progress) {
    Clock& clock = workspace_.machine().clock;
    const Duration began = clock.monotonic();
    // Of one alone all new bytes are its own, and nothing has to be counted apart.
    const auto part = several() ? repo::part_of(*session_) : nullptr;
    repo::WriteSession& session = part ? *part : *session_;
    source::World world{workspace_.machine().fs, clock, progress, stack_.effective_threads()};
    auto snapshot =
        TRY(component.kind == "files"
                ? files::capture(world, session, files_options(workspace_, component, options_), previous)
            : component.kind == "redis" ? capture_redis(world, session, component)
                                        : capture_postgres(workspace_, world, session, component, options_, previous));
    snapshot.component = component.name;
    snapshot.stored_bytes = session.stats().stored_bytes;
    snapshot.took = clock.monotonic() - began;
    return snapshot;
  }

  void note_problems(std::vector<std::string> problems, const std::string& context) {
    const std::lock_guard lock(mutex_);
    for (std::string& problem : problems)
      problems_.push_back(context.empty() ? std::move(problem) : context + ": " + problem);
  }

  // The point stands: that this can't be told is no fault of it.
  void note_timelines(BackupReport& report) {
    for (const repo::Snapshot& snapshot : report.point.snapshots) {
      if (snapshot.kind != "postgres") continue;
      auto notes = timelines_left_aside(workspace_, snapshot.component);
      if (!notes.ok()) {
        log_warn("recovery.timelines.unknown", {{"component", snapshot.component}, {"error", notes.error().text()}});
        continue;
      }
      for (const std::string& note : *notes) report.notes.push_back(snapshot.component + ": " + note);
    }
  }

  BackupReport make_report() {
    BackupReport report;
    report.point.stack = stack_.stack;
    report.point.host = repo::host_name();
    report.point.version = kProgramVersion;
    report.point.tags = options_.tags;
    for (size_t i = 0; i < components_.size(); i++) {
      if (!outcomes_[i]) continue;
      if (outcomes_[i]->ok()) {
        report.point.snapshots.push_back(std::move(*outcomes_[i]).value());
      } else {
        const std::string problem = outcomes_[i]->error().text();
        log_warn("recovery.component.missing", {{"component", components_[i]->name}, {"error", problem}});
        repo::note_missing(report.point, components_[i]->name, problem);
      }
    }
    report.problems = std::move(problems_);
    return report;
  }

  // A wrong date costs nothing today, and the choice of what is newest later.
  void warn_of_clocks(BackupReport& report) {
    const auto store_now = workspace_.repository().environment().store.server_time();
    if (!store_now.ok()) {
      log_warn("recovery.point.clock_unknown", {{"error", store_now.error().text()}});
      return;
    }
    const Duration ahead = report.point.time - *store_now;
    if (ahead > repo::kClockTolerance) {
      report.warnings.push_back(
          fmt::format("this point is dated {} ahead of the clock of the repository's disk: one of the two clocks is "
                      "wrong. Until it is set prune refuses; this point stays until its date has passed",
                      format_duration(ahead)));
    } else if (ahead < Duration{} - repo::kClockTolerance) {
      report.warnings.push_back(
          fmt::format("this point is dated {} behind the clock of the repository's disk: one of the two clocks is "
                      "wrong. Until it is set prune refuses; this point counts as that old",
                      format_duration(Duration{} - ahead)));
    }
    if (auto note = ahead_note(points_, *store_now); !note.empty()) report.warnings.push_back(std::move(note));
    for (const std::string& warning : report.warnings) log_warn("recovery.point.clock", {{"warning", warning}});
  }

  // All new bytes belong to some component: what packs and index take beside the blocks
  // is shared out by what each of them put.
  Result<void> count_stored_bytes(repo::Point& point) {
    TRY_CONTEXT(session_->flush(), "storing the components");
    uint64_t parts = 0;
    for (const repo::Snapshot& snapshot : point.snapshots) parts += snapshot.stored_bytes;
    const uint64_t all = session_->stats().stored_bytes;
    uint64_t left = all;
    for (repo::Snapshot& snapshot : point.snapshots) {
      const bool last = &snapshot == &point.snapshots.back();
      const double share = parts == 0 ? 0 : static_cast<double>(snapshot.stored_bytes) / static_cast<double>(parts);
      snapshot.stored_bytes = last ? left : std::min(left, static_cast<uint64_t>(share * static_cast<double>(all)));
      left -= snapshot.stored_bytes;
    }
    return {};
  }

  Workspace& workspace_;
  const StackConfig& stack_;
  const BackupOptions& options_;
  const std::vector<const ComponentConfig*> components_;
  const std::vector<repo::Point> points_;
  std::unique_ptr<repo::WriteSession> session_;
  std::vector<Secret> secrets_;
  std::optional<SharedProgress> shared_;                         // while several are captured
  std::vector<std::optional<Result<repo::Snapshot>>> outcomes_;  // each by the thread that captures it
  std::mutex mutex_;
  size_t failed_ = 0;  // guarded by mutex_, as is what follows
  std::optional<Error> first_failure_;
  std::vector<std::string> problems_;
};

Result<void> check_tags(const std::vector<std::string>& tags) {
  for (const std::string& tag : tags) {
    if (tag.empty()) return make_error(ErrorCode::kUsage, "a tag is empty");
    if (!tag.starts_with(repo::kMissingTag)) continue;
    return make_error(ErrorCode::kUsage, "'{}' can't be a tag: what begins with '{}' marks degraded points", tag,
                      repo::kMissingTag);
  }
  return {};
}

// What is to be said of a point that was taken, as one error.
class Findings {
 public:
  // `words` go on behind "point X was taken".
  void add(ErrorCode code, const std::string& words, const std::string& hint) {
    if (!code_) code_ = code;
    if (!words_.empty()) words_ += ';';
    words_ += words_.empty() ? words : words.substr(words.starts_with(',') ? 1 : 0);
    if (!hint_.empty()) hint_ += "; ";
    hint_ += hint;
  }
  Result<void> error(const std::string& beginning) const {
    if (!code_) return {};
    return make_error(*code_, "{}{}", beginning, words_).with_hint(hint_);
  }

 private:
  std::optional<ErrorCode> code_;
  std::string words_, hint_;
};

// Where bad pages are very many not each is named.
size_t fault_count(const repo::Snapshot& snapshot) {
  const auto count = snapshot.source.is_object() ? snapshot.source.value("bad_page_count", size_t{0}) : 0;
  return std::max(snapshot.faults.size(), count);
}

}  // namespace

Result<BackupReport> take_point(Workspace& workspace, const BackupOptions& options) {
  TRY(check_tags(options.tags));
  auto components = TRY(select_components(workspace.stack(), options.components));
  auto points = TRY(stack_points(workspace));
  return PointTaker(workspace, options, std::move(components), std::move(points)).run();
}

Result<void> faults_of(const BackupReport& report) {
  const repo::Point& point = report.point;
  size_t pages = 0, files = 0;
  for (const repo::Snapshot& snapshot : point.snapshots) {
    (snapshot.kind == "postgres" ? pages : files) += fault_count(snapshot);
  }
  // The gravest first: its code is the error's.
  Findings findings;
  if (pages > 0) {
    findings.add(ErrorCode::kSourceDamaged,
                 fmt::format(", but {} of the database can't be trusted",
                             pages == 1 ? "1 page" : fmt::format("{} pages", pages)),
                 "the list of faults names the relations: compare with an earlier point, and repair the source");
  }
  if (const auto missing = repo::missing_components(point); !missing.empty()) {
    std::vector<std::string> names;
    for (const auto& component : missing) names.push_back(component.component);
    findings.add(ErrorCode::kIncomplete,
                 fmt::format(" without {}: {}", fmt::join(names, ", "), missing.front().problem),
                 "its earlier points stay; 'when_a_component_fails' says what becomes of such a point");
  }
  if (!report.problems.empty()) {
    findings.add(ErrorCode::kIncomplete,
                 fmt::format(", but what had to be done after it failed: {}", report.problems.front()),
                 "what 'before_backup' began may still be on");
  }
  if (files > 0) {
    findings.add(ErrorCode::kIncomplete,
                 fmt::format(", with {}", files == 1 ? "1 fault" : fmt::format("{} faults", files)),
                 "the list of faults names the files");
  }
  return findings.error(fmt::format("point {} was taken", point.id.hex().substr(0, 8)));
}

std::vector<std::string> left_out_of(const repo::Point& point) {
  std::vector<std::string> notes;
  for (const repo::Snapshot& snapshot : point.snapshots) {
    if (const std::string note = postgres::settings_note(snapshot); !note.empty())
      notes.push_back(fmt::format("{}: {}: keep them in a files component", snapshot.component, note));
    if (!lacks_users(snapshot)) continue;
    notes.push_back(fmt::format(
        "{}: the users of the server's ACL are in no RDB: keep its users.acl or redis.conf in a files component",
        snapshot.component));
  }
  return notes;
}

}  // namespace holdfast::recovery
