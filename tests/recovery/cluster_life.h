#pragma once

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/result.h"
#include "recovery/moment.h"
#include "recovery/rig.h"
#include "recovery/workload.h"

namespace holdfast::servers {

// How a life's cluster is made and protected.
struct Kind {
  bool streaming = true;  // WAL by `wal receive`, otherwise by `wal push`
  bool checksums = true;
  int wal_segment_mib = 16;
};

// The life of one cluster under a load: what happens to it is drawn from a seed.
// Every act is written down in words, for whoever has to find out why a recovery
// differs. Not thread-safe.
class ClusterLife {
 public:
  // Makes and protects the cluster, and takes the first point.
  static Result<std::unique_ptr<ClusterLife>> begin(int major, const Kind& kind, uint64_t seed);
  ~ClusterLife();

  // Between three and seven acts, then waits until all WAL is stored.
  Result<void> live_a_while();
  // Restores beside the cluster to a quiet instant drawn from those noted, by a name drawn
  // from those it has, and compares. The error says what differs.
  Result<void> recover_and_compare();
  // The same, to a moment between commits under load, which stops just after or just before it.
  Result<void> recover_under_load_and_compare();

  const std::vector<std::string>& history() const { return history_; }
  // Incrementals that read what the log named.
  int captures_by_log() const { return captures_by_log_; }

 private:
  using Act = Result<void> (ClusterLife::*)();

  ClusterLife(std::unique_ptr<Rig> rig, uint64_t seed)
      : rig_(std::move(rig)), workload_(rig_->server()), random_(seed) {}

  size_t draw(size_t below) { return random_() % below; }
  std::string draw_method();
  void wrote(std::string what);
  Result<void> sql(const std::string& statement);
  Result<std::string> some_table();

  Result<void> write();
  Result<void> note();
  Result<void> note_under_load();
  Result<void> capture();
  Result<void> capture_under_changes();
  Result<void> create_table();
  Result<void> drop_table();
  Result<void> drop_and_create_again();
  Result<void> truncate();
  Result<void> vacuum_full();
  Result<void> delete_and_vacuum();
  Result<void> change_tablespace();
  Result<void> create_database();
  Result<void> kill_and_start();
  Result<void> promote();
  Result<void> go_back();

  Result<void> change_relations();
  Result<void> start_again();
  std::vector<std::string> target_words(const Instant& instant);
  Result<void> compare(PrivatePostgres& restored, const Instant& instant);
  Result<void> check_pages(PrivatePostgres& restored);

  std::unique_ptr<Rig> rig_;
  Workload workload_;
  std::mt19937_64 random_;
  std::vector<Instant> instants_;  // of the history that leads to the present, each after a point
  std::vector<Moment> moments_;    // likewise
  std::vector<std::string> history_;
  int tables_made_ = 0;
  int captures_by_log_ = 0;
  int instants_made_ = 0;
};

}  // namespace holdfast::servers
