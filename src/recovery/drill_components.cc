#include "recovery/drill_components.h"

#include <unistd.h>

#include <cerrno>

#include "base/accounts.h"
#include "recovery/redis_restore.h"
#include "source/files/restore.h"
#include "source/postgres/drilled_cluster.h"
#include "source/redis/drilled_server.h"

namespace holdfast::recovery {

namespace {

using source::Check;

nlohmann::json isolation_of(const IsolatedProcess& server, const std::string& account) {
  return {{"level", isolation_name(server.level())},
          {"network", server.level() == IsolationLevel::kNone ? "the machine's" : "loopback only"},
          {"account", account},
          {"why_not_more", server.why_not_more()}};
}

class DrilledPostgres final : public DrilledComponent {
 public:
  static Result<std::unique_ptr<DrilledComponent>> make(Workspace& workspace, const ComponentPlan& plan,
                                                        const DrillPlace& place) {
    postgres::DrillOptions options;
    options.directory = place.directory;
    options.user = TRY(postgres::server_user(place.scratch));
    options.deadline = place.deadline;
    options.on_server = place.on_server;
    if (const ComponentConfig* config = workspace.stack().find(plan.component)) {
      options.bin_directory = config->postgres.bin_directory;
      options.assertions = config->postgres.assertions;
    }
    if (options.user.uid && ::chown(place.directory.c_str(), *options.user.uid, *options.user.gid) != 0)
      return Error::from_errno(errno, place.directory);
    auto cluster = TRY(postgres::DrilledCluster::create(workspace.world(), workspace.repository(), plan.snapshot,
                                                        *plan.target, options));
    const uid_t account = options.user.uid.value_or(::geteuid());
    return std::unique_ptr<DrilledComponent>(new DrilledPostgres(std::move(cluster), account_label(account)));
  }

  Result<void> restore() override { return cluster_->restore(); }
  Result<void> boot() override {
    auto booted = cluster_->boot();
    if (const IsolatedProcess* server = cluster_->server()) {
      isolation_ = isolation_of(*server, account_);
      isolation_["subscriptions_disabled"] = cluster_->subscriptions_disabled();
    }
    return booted;
  }
  Result<void> verify(std::vector<Check>& made) override { return cluster_->verify(made); }
  Result<void> stop() override { return cluster_->stop(); }

  void describe(nlohmann::json& component) const override {
    component["restored_bytes"] = cluster_->restored_bytes();
    component["isolation"] = isolation_;
    if (!cluster_->server_version().empty()) component["server_version"] = cluster_->server_version();
    if (const auto newest = cluster_->newest_transaction()) component["newest_transaction"] = format_rfc3339(*newest);
  }

 private:
  DrilledPostgres(std::unique_ptr<postgres::DrilledCluster> cluster, std::string account)
      : cluster_(std::move(cluster)), account_(std::move(account)) {}

  std::unique_ptr<postgres::DrilledCluster> cluster_;
  const std::string account_;
  nlohmann::json isolation_;
};

// The account of its server: that of the package, where there is one.
void choose_redis_account(redis::DrillOptions& options) {
  if (::geteuid() != 0) return;
  auto account = find_account("redis");
  if (!account) account = find_account("nobody");
  if (!account) return;
  options.uid = account->uid;
  options.gid = account->gid;
}

class DrilledRedis final : public DrilledComponent {
 public:
  static Result<std::unique_ptr<DrilledComponent>> make(Workspace& workspace, const ComponentPlan& plan,
                                                        const DrillPlace& place) {
    redis::DrillOptions options;
    options.directory = place.directory;
    options.deadline = place.deadline;
    options.on_server = place.on_server;
    choose_redis_account(options);
    if (const ComponentConfig* config = workspace.stack().find(plan.component))
      options.bin_directory = config->redis.bin_directory;
    if (options.uid && ::chown(place.directory.c_str(), *options.uid, *options.gid) != 0)
      return Error::from_errno(errno, place.directory);
    RedisLog log = TRY(open_redis_log(workspace, plan.component));
    return std::unique_ptr<DrilledComponent>(new DrilledRedis(workspace, plan, std::move(log), options));
  }

  Result<void> restore() override { return server_.restore(); }
  Result<void> boot() override {
    auto booted = server_.boot();
    if (const IsolatedProcess* server = server_.server()) isolation_ = isolation_of(*server, account_);
    return booted;
  }
  Result<void> verify(std::vector<Check>& made) override { return server_.verify(made); }
  Result<void> stop() override { return server_.stop(); }

  void describe(nlohmann::json& component) const override {
    component["restored_bytes"] = server_.restored_bytes();
    component["isolation"] = isolation_;
    if (!server_.server_version().empty()) component["server_version"] = server_.server_version();
  }

 private:
  DrilledRedis(Workspace& workspace, const ComponentPlan& plan, RedisLog log, const redis::DrillOptions& options)
      : account_(account_label(options.uid.value_or(::geteuid()))),
        log_(std::move(log)),
        server_(workspace.world(), workspace.repository(), *log_.log, plan.snapshot, *plan.redis_target, options) {}

  const std::string account_;
  const RedisLog log_;
  redis::DrilledServer server_;
  nlohmann::json isolation_;
};

// Files have no server: they are compared where they were restored.
class DrilledFiles final : public DrilledComponent {
 public:
  DrilledFiles(Workspace& workspace, const ComponentPlan& plan, const DrillPlace& place)
      : workspace_(workspace), plan_(plan), directory_(place.directory) {}

  Result<void> restore() override {
    source::World world = workspace_.world();
    files::RestoreOptions options;
    options.to = directory_;
    auto report = TRY(files::restore(world, workspace_.repository(), plan_.snapshot, options));
    restored_bytes_ = report.bytes;
    faults_ = std::move(report.faults);
    return {};
  }
  Result<void> boot() override { return {}; }

  Result<void> verify(std::vector<Check>& made) override {
    workspace_.machine().progress.phase = "comparing files";
    source::World world = workspace_.world();
    const auto report = TRY(files::verify(world, workspace_.repository(), plan_.snapshot, directory_));
    Check check("contents");
    check.objects = report.checked_objects;
    check.words = fmt::format("{} files and directories, {} bytes, and their metadata", report.checked_objects,
                              report.checked_bytes);
    for (const std::string& fault : faults_) check.add("restore", fault);
    for (const source::VerifyFinding& finding : report.findings) check.add(finding.object, finding.problem);
    made.push_back(std::move(check));
    return {};
  }
  Result<void> stop() override { return {}; }

  void describe(nlohmann::json& component) const override { component["restored_bytes"] = restored_bytes_; }

 private:
  Workspace& workspace_;
  const ComponentPlan& plan_;
  const std::string directory_;
  uint64_t restored_bytes_ = 0;
  std::vector<std::string> faults_;
};

}  // namespace

Result<std::unique_ptr<DrilledComponent>> make_drilled(Workspace& workspace, const ComponentPlan& plan,
                                                       const DrillPlace& place) {
  if (plan.kind == "postgres") return DrilledPostgres::make(workspace, plan, place);
  if (plan.kind == "redis") return DrilledRedis::make(workspace, plan, place);
  if (plan.kind == "files") return std::unique_ptr<DrilledComponent>(new DrilledFiles(workspace, plan, place));
  return make_error(ErrorCode::kUnsupported, "components of kind '{}' can't be drilled", plan.kind);
}

}  // namespace holdfast::recovery
