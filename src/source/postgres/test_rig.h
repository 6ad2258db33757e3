#pragma once

#include "source/postgres/test_cluster.h"

#include "repo/repository.h"
#include "source/postgres/capture.h"
#include "source/postgres/materialise.h"
#include "source/postgres/snapshot_source.h"
#include "source/postgres/wal_archive.h"
#include "store/memory_store.h"

namespace holdfast::postgres {

// A repository in memory, and what tests do with a cluster and it.
class TestRig {
 public:
  TestRig() : TestRig(real_file_system()) {}
  explicit TestRig(FileSystem& fs)
      : store_(store::make_memory_store(system_clock())), world{fs, system_clock(), progress} {
    repo::InitOptions options;
    options.kdf_memory_bytes = 8 << 10;
    options.kdf_passes = 1;
    auto made = repo::init_repository({*store_, system_clock(), system_random()}, Secret::from_text("test"), options);
    EXPECT_TRUE(made.ok()) << (made.ok() ? "" : made.error().text());
    if (made.ok()) repository_ = std::move(made).value();
  }

  // Captures and commits.
  Result<repo::Snapshot> capture(TestCluster& cluster, const repo::Snapshot* previous = nullptr,
                                 CaptureMethod method = CaptureMethod::kFiles) {
    auto session = TRY(repo::WriteSession::begin(*repository_, {}));
    CaptureOptions options;
    options.component = "db";
    options.connection = connection ? connection : &cluster.connection();
    options.method = method;
    options.prove = prove;
    repo::Point point;
    point.snapshots.push_back(TRY(postgres::capture(world, *session, options, previous)));
    const uint64_t before = session->stats().stored_bytes;
    TRY(session->commit(point));
    repo::Snapshot snapshot = point.snapshots.front();
    snapshot.stored_bytes += session->stats().stored_bytes - before;
    return snapshot;
  }

  Result<std::unique_ptr<WalArchive>> archive(const repo::Snapshot& snapshot) {
    const SnapshotSource source = TRY(snapshot_source(snapshot));
    return WalArchive::open(*repository_, {"db", source.system_id, source.segment_bytes});
  }

  // Puts all stored WAL into <cluster's scratch>/wal and returns a restore_command.
  Result<std::string> export_wal(TestCluster& cluster, const repo::Snapshot& snapshot) {
    const std::string directory = cluster.scratch() + "/wal";
    ignore(real_file_system().make_directory(directory, 0755), "it may be there");
    auto log = TRY(archive(snapshot));
    const uint64_t size = log->identity().segment_bytes;
    for (const WalRange& range : TRY(log->ranges())) {
      for (Lsn at{range.from.value / size * size}; at < range.to; at.value += size) {
        const std::string name = segment_name(range.timeline, at, size);
        const auto segment = TRY(log->fetch(name));
        if (segment) TRY(write_file_durably(real_file_system(), directory + "/" + name, *segment, 0644));
      }
    }
    return "cp " + directory + "/%f %p";
  }

  // Restores into a new cluster's place and starts it; waits until it is promoted.
  Result<std::unique_ptr<TestCluster>> restore(const repo::Snapshot& snapshot, MaterialiseOptions options = {}) {
    auto cluster = TRY(TestCluster::prepare());
    TRY(materialise_into(*cluster, snapshot, std::move(options)));
    TRY(cluster->start());
    TRY(wait_for_promotion(*cluster));
    return cluster;
  }
  Result<MaterialiseReport> materialise_into(TestCluster& cluster, const repo::Snapshot& snapshot,
                                             MaterialiseOptions options = {}) {
    options.to = cluster.data();
    options.restore_command = TRY(export_wal(cluster, snapshot));
    options.uid = cluster.user().uid;
    options.gid = cluster.user().gid;
    ResolvedTarget target;
    // A standby's snapshot is consistent only where its WAL ends, and a server that
    // is to stop as soon as it is consistent wants to see one record more.
    target.settings = {{"recovery_target_timeline", "latest"}};
    if (!snapshot.source.value("from_standby", false)) target.settings.emplace_back("recovery_target", "immediate");
    target.description = "as soon as consistent";
    return materialise(world, *repository_, snapshot, target, options);
  }
  static Result<void> wait_for_promotion(TestCluster& cluster) {
    for (int i = 0; i < 600; i++) {
      if (TRY(cluster.sql("select pg_is_in_recovery()")) == "f") return {};
      system_clock().sleep(Duration::milliseconds(50));
    }
    return make_error(ErrorCode::kTimeout, "the restored server was not promoted");
  }

  // Flips a byte in the middle of the largest pack: of the content of some file.
  Result<void> damage_content() {
    std::string name;
    uint64_t largest = 0;
    TRY(store_->list("packs/", [&](const store::ObjectInfo& pack) -> Result<void> {
      if (pack.size_bytes > largest) {
        name = pack.name;
        largest = pack.size_bytes;
      }
      return {};
    }));
    Bytes content = TRY(store_->read_all(name));
    content.mutable_view()[content.size() / 2] ^= 1;
    TRY(store_->remove(name));
    return store_->create(name, content);
  }

  repo::Repository& repository() { return *repository_; }

 private:
  std::unique_ptr<store::ObjectStore> store_;
  std::unique_ptr<repo::Repository> repository_;

 public:
  bool prove = false;                      // captures prove what they leave unread
  const Connection* connection = nullptr;  // by which captures go; null: the cluster's superuser
  Progress progress;
  source::World world;
};

}  // namespace holdfast::postgres
