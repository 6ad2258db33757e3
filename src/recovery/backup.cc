#include "recovery/backup.h"

#include <optional>

#include "base/log.h"
#include "recovery/cluster.h"
#include "recovery/points.h"
#include "recovery/redis_component.h"
#include "recovery/stage.h"
#include "recovery/this_host.h"
#include "source/files/capture.h"
#include "source/postgres/capture.h"

namespace holdfast::recovery {

namespace {

Result<repo::Snapshot> capture_files(Workspace& workspace, repo::WriteSession& session,
                                     const ComponentConfig& component, const BackupOptions& options,
                                     const repo::Snapshot* previous) {
  files::CaptureOptions capture;
  capture.paths = component.files.paths;
  capture.excludes = component.files.excludes;
  capture.one_file_system = component.files.one_file_system;
  capture.repository = workspace.stack().repository_directory();
  capture.force = options.full;
  source::World world = workspace.world();
  return files::capture(world, session, capture, previous);
}

Result<repo::Snapshot> capture_postgres(Workspace& workspace, repo::WriteSession& session,
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
  source::World world = workspace.world();
  auto snapshot = TRY(postgres::capture(world, session, capture, previous));
  if (!snapshot.source.contains(kDataDirectoryKey)) {
    std::string place = component.postgres.data_directory;
    if (place.empty()) place = TRY(postgres::identify_server(connection)).data_directory;
    snapshot.source[kDataDirectoryKey] = place;
  }
  return snapshot;
}

Result<repo::Snapshot> capture_component(Workspace& workspace, repo::WriteSession& session,
                                         const ComponentConfig& component, const BackupOptions& options,
                                         const std::vector<repo::Point>& points) {
  const auto earlier = snapshots_of(points, component.name);
  const repo::Snapshot* previous = nullptr;
  if (!earlier.empty() && earlier.back().snapshot->kind == component.kind) previous = earlier.back().snapshot;
  // A component is about as large as it was.
  begin_stage(workspace.machine().progress, previous == nullptr ? 0 : previous->source_bytes);
  auto snapshot = component.kind == "files"   ? capture_files(workspace, session, component, options, previous)
                  : component.kind == "redis" ? capture_redis(workspace, session, component)
                                              : capture_postgres(workspace, session, component, options, previous);
  if (!snapshot.ok()) return std::move(snapshot).error().with_context(fmt::format("component {}", component.name));
  snapshot->component = component.name;
  return snapshot;
}

}  // namespace

Result<BackupReport> take_point(Workspace& workspace, const BackupOptions& options) {
  const StackConfig& stack = workspace.stack();
  const auto components = TRY(select_components(stack, options.components));
  Clock& clock = workspace.machine().clock;
  const Duration began = clock.monotonic();

  const auto points = TRY(stack_points(workspace));
  repo::WriteOptions write;
  write.compression_level = stack.compression_level;
  auto session = TRY(repo::WriteSession::begin(workspace.repository(), write));

  BackupReport report;
  report.point.stack = stack.stack;
  report.point.host = host_name();
  report.point.version = kProgramVersion;
  report.point.tags = options.tags;
  for (const ComponentConfig* component : components) {
    const Duration component_began = clock.monotonic();
    const uint64_t stored_before = session->stats().stored_bytes;
    repo::Snapshot snapshot = TRY(capture_component(workspace, *session, *component, options, points));
    // Flushed one by one, so that each component's own new bytes are known.
    TRY_CONTEXT(session->flush(), "component {}", component->name);
    snapshot.stored_bytes = session->stats().stored_bytes - stored_before;
    snapshot.took = clock.monotonic() - component_began;
    report.point.snapshots.push_back(std::move(snapshot));
  }
  workspace.machine().progress.phase = "committing";
  report.point.time = clock.now();
  TRY_CONTEXT(session->commit(report.point), "committing the recovery point");
  report.stats = session->stats();
  report.took = clock.monotonic() - began;
  log_info("recovery.point.committed", {{"point", report.point.id.hex()}, {"stored_bytes", report.stats.stored_bytes}});
  return report;
}

Result<void> faults_of(const repo::Point& point) {
  size_t pages = 0, files = 0;
  for (const repo::Snapshot& snapshot : point.snapshots) {
    (snapshot.kind == "postgres" ? pages : files) += snapshot.faults.size();
  }
  const std::string id = point.id.hex().substr(0, 8);
  if (pages > 0) {
    return make_error(ErrorCode::kSourceDamaged, "point {} was taken, but {} of the database can't be trusted", id,
                      pages == 1 ? "1 page" : fmt::format("{} pages", pages))
        .with_hint("the list of faults names the relations: compare with an earlier point, and repair the source");
  }
  if (files > 0) {
    return make_error(ErrorCode::kIncomplete, "point {} was taken, with {}", id,
                      files == 1 ? "1 fault" : fmt::format("{} faults", files))
        .with_hint("the list of faults names the files");
  }
  return {};
}

}  // namespace holdfast::recovery
