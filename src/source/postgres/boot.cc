#include "source/postgres/booted_cluster.h"
#include "source/postgres/server_checks.h"
#include "source/postgres/snapshot_source.h"
#include "source/postgres/verify.h"
#include "source/scratch_place.h"

namespace holdfast::postgres {
namespace {

class BootVerifier {
 public:
  BootVerifier(source::World& world, repo::Repository& repository, const repo::Snapshot& snapshot,
               const ResolvedTarget& target, const BootOptions& options, SnapshotSource source)
      : world_(world),
        repository_(repository),
        snapshot_(snapshot),
        target_(target),
        options_(options),
        source_(std::move(source)) {}
  Result<source::VerifyReport> run();

 private:
  Result<void> check_with_amcheck();
  Result<void> ask_server();
  void compare_counts(ServerChecks& checks);
  void take(source::Check check);
  Duration left() const { return until_ - world_.clock.monotonic(); }
  void add(std::string object, std::string problem) {
    report_.findings.push_back({std::move(object), std::move(problem)});
  }

  source::World& world_;
  repo::Repository& repository_;
  const repo::Snapshot& snapshot_;
  const ResolvedTarget& target_;
  const BootOptions& options_;
  const SnapshotSource source_;
  source::VerifyReport report_;
  Duration until_;
  std::unique_ptr<BootedCluster> cluster_;
};

Result<void> BootVerifier::check_with_amcheck() {
  world_.progress.phase = "checking tables and indexes";
  report_.details["amcheck"] = false;
  if (!options_.amcheck || source_.major < kFirstMajorWithAmcheck) return {};
  auto checked = cluster_->server().run(amcheck_command(world_.threads), left());
  if (checked.ok()) {
    report_.details["amcheck"] = true;
    return {};
  }
  if (checked.error().code() != ErrorCode::kSubprocess) return std::move(checked).error();
  add("pg_amcheck", checked.error().text());
  return {};
}

void BootVerifier::take(source::Check check) {
  report_.checked_objects += check.objects;
  for (source::VerifyFinding& finding : check.findings) report_.findings.push_back(std::move(finding));
}

// Only where recovery ends is where the rows were counted.
void BootVerifier::compare_counts(ServerChecks& checks) {
  source::Check check =
      target_.as_captured
          ? checks.row_counts(source_)
          : source::Check::skipped("row counts", "rows may have come and gone since they were counted at capture");
  report_.details["counts_compared"] = check.objects > 0;
  report_.details["tables_compared"] = check.objects;
  report_.details["counts_skipped"] = check.outcome == source::Check::Outcome::kSkipped ? check.words : "";
  take(std::move(check));
}

Result<void> BootVerifier::ask_server() {
  ServerChecks checks(cluster_->connection(), [this] { return left(); }, world_.progress.stop);
  compare_counts(checks);
  TRY(check_with_amcheck());
  take(TRY(checks.indexes()));
  take(TRY(checks.constraints()));
  world_.progress.phase = "running assertions";
  take(TRY(checks.assertions(options_.assertions)));
  report_.details["assertions"] = options_.assertions.size();
  return {};
}

Result<source::VerifyReport> BootVerifier::run() {
  until_ = world_.clock.monotonic() + options_.deadline;
  const auto scratch = TRY(source::ScratchPlace::make(world_.fs, world_.clock, options_.scratch_directory));
  report_.details = {{"method", "boot"}, {"target", target_.description}};
  BootedCluster::Options boot;
  boot.bin_directory = options_.bin_directory;
  boot.directory = TRY(scratch.folder("boot"));
  boot.restore_command = options_.restore_command;
  boot.deadline = left();
  cluster_ = TRY(BootedCluster::boot(world_, repository_, snapshot_, target_, std::move(boot)));
  report_.checked_bytes = cluster_->restored_bytes();
  report_.details["restored_bytes"] = cluster_->restored_bytes();
  auto outcome = ask_server();
  if (outcome.ok()) outcome = cluster_->stop();
  cluster_.reset();  // before its directory goes
  TRY(std::move(outcome));
  return std::move(report_);
}

}  // namespace

Result<source::VerifyReport> verify_by_booting(source::World& world, repo::Repository& repository,
                                               const repo::Snapshot& snapshot, const ResolvedTarget& target,
                                               const BootOptions& options) {
  SnapshotSource source = TRY(snapshot_source(snapshot));
  BootVerifier verifier(world, repository, snapshot, target, options, std::move(source));
  return verifier.run().context(fmt::format("booting '{}' aside", snapshot.component));
}

}  // namespace holdfast::postgres
