#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/log.h"
#include "base/parallel.h"
#include "source/postgres/materialise.h"
#include "source/postgres/private_server.h"
#include "source/postgres/row_counts.h"
#include "source/postgres/snapshot_source.h"
#include "source/postgres/timeline.h"
#include "source/postgres/verify.h"
#include "source/postgres/wal_archive.h"

namespace holdfast::postgres {
namespace {

constexpr Duration kPollInterval = Duration::milliseconds(100);

// A private directory that goes with the object, whatever happened in it.
class ScratchDirectory {
 public:
  static Result<ScratchDirectory> make(FileSystem& fs, const std::string& below) {
    std::string pattern = join_path(below.empty() ? std::string("/tmp") : below, "holdfast-boot-XXXXXX");
    if (!below.empty()) TRY(make_directories(fs, below, 0755));
    if (!::mkdtemp(pattern.data())) return Error::from_errno(errno, "making a directory below " + below);
    return ScratchDirectory(fs, pattern);
  }
  ScratchDirectory(ScratchDirectory&& other) noexcept : fs_(other.fs_), path_(std::exchange(other.path_, {})) {}
  ~ScratchDirectory() {
    if (path_.empty()) return;
    const auto removed = remove_tree(fs_, path_);
    if (!removed.ok()) log_warn("postgres.boot.not_removed", {{"path", path_}, {"error", removed.error().text()}});
  }
  const std::string& path() const { return path_; }

 private:
  ScratchDirectory(FileSystem& fs, std::string path) : fs_(fs), path_(std::move(path)) {}
  FileSystem& fs_;
  std::string path_;
};

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
  Result<std::string> stage_wal();
  Result<void> restore_aside();
  Result<void> boot();
  Result<void> wait_for_end_of_recovery();
  Result<void> check_with_amcheck();
  Result<void> check_database(const std::string& database);
  Result<void> revalidate(ServerSession& session, const std::string& database);
  void compare_counts();
  void compare_table(const std::string& object, const nlohmann::json& then, const nlohmann::json& now);
  Result<void> run_assertions();
  Result<void> run_assertion(const Assertion& assertion);
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
  std::string bin_directory_, root_, data_;
  ServerUser user_;
  std::unique_ptr<PrivateServer> server_;
};

// The server runs as another user than we when we are root, and that user need not
// be able to read the repository or its passphrase: then the WAL is laid out for it.
Result<std::string> BootVerifier::stage_wal() {
  const std::string directory = join_path(root_, "wal");
  TRY(world_.fs.make_directory(directory, 0755));
  auto archive = TRY(WalArchive::open(repository_, {snapshot_.component, source_.system_id, source_.segment_bytes}));
  const auto stage = [&](const std::string& name) -> Result<void> {
    const auto content = TRY(archive->fetch(name));
    if (!content) return {};
    return write_file_durably(world_.fs, join_path(directory, name), *content, 0644);
  };
  const uint64_t size = source_.segment_bytes;
  const std::vector<TimelineSwitch> ancestors = TRY(archive->history(target_.timeline));
  for (const TimelinePiece& piece : path_to(target_.timeline, ancestors)) {
    if (piece.timeline > 1) TRY(stage(history_name(piece.timeline)));
    // A server that is to stop at once wants to see the record after that, too.
    const uint64_t from = std::max(piece.from.value, target_.replay_from.value) / size * size;
    const uint64_t to = std::min(piece.to.value, target_.replay_to.value + size);
    for (uint64_t at = from; at < to; at += size) TRY(stage(segment_name(piece.timeline, {at}, size)));
  }
  return "cp '" + directory + "/%f' '%p'";
}

Result<void> BootVerifier::restore_aside() {
  user_ = TRY(server_user(root_));
  data_ = join_path(root_, "data");
  for (const char* name : {"s", "spaces"}) {
    const std::string path = join_path(root_, name);
    TRY(world_.fs.make_directory(path, 0700));
    if (user_.uid && ::chown(path.c_str(), *user_.uid, *user_.gid) != 0) return Error::from_errno(errno, path);
  }
  if (user_.uid && ::chown(root_.c_str(), *user_.uid, *user_.gid) != 0) return Error::from_errno(errno, root_);
  MaterialiseOptions options;
  options.to = data_;
  options.restore_command = user_.uid ? TRY(stage_wal()) : options_.restore_command;
  options.action = AfterRecovery::kPromote;
  options.uid = user_.uid;
  options.gid = user_.gid;
  for (const SnapshotTablespace& space : source_.tablespaces) {
    options.tablespaces[space.oid] = join_path(join_path(root_, "spaces"), space.oid);
  }
  const MaterialiseReport restored = TRY(materialise(world_, repository_, snapshot_, target_, options));
  report_.checked_bytes = restored.bytes;
  report_.details["restored_bytes"] = restored.bytes;
  return {};
}

Result<void> BootVerifier::boot() {
  world_.progress.phase = "booting";
  // Nobody but us comes in, and nothing goes out: no TCP, no archiving, no
  // replication. Its own hba file, because the cluster's may not let us in.
  const std::string hba = join_path(root_, "hba.conf"), ident = join_path(root_, "ident.conf");
  TRY(write_file_durably(world_.fs, hba, as_bytes("local all all trust\n"), 0644));
  TRY(write_file_durably(world_.fs, ident, as_bytes(""), 0644));
  PrivateServer::Options options;
  options.bin_directory = bin_directory_;
  options.data_directory = data_;
  options.socket_directory = join_path(root_, "s");
  options.log_path = join_path(root_, "log");
  options.user = user_;
  options.start_deadline = left();
  options.settings = {{"data_directory", data_},
                      {"hba_file", hba},
                      {"ident_file", ident},
                      {"external_pid_file", join_path(root_, "external.pid")},
                      {"archive_mode", "off"},
                      {"primary_conninfo", ""},
                      {"primary_slot_name", ""},
                      {"synchronous_standby_names", ""},
                      {"ssl", "off"},
                      {"logging_collector", "off"},
                      {"log_destination", "stderr"},
                      {"fsync", "off"},
                      {"autovacuum", "off"},
                      {"hot_standby", "on"},
                      {"shared_preload_libraries", ""},
                      {"session_preload_libraries", ""},
                      {"local_preload_libraries", ""},
                      {"cluster_name", "holdfast-boot"}};
  server_ = TRY(PrivateServer::start(std::move(options)));
  return wait_for_end_of_recovery();
}

Result<void> BootVerifier::wait_for_end_of_recovery() {
  world_.progress.phase = "recovering";
  while (true) {
    auto session = ServerSession::connect(server_->connection());
    if (session.ok()) {
      auto recovering = session.value()->value("select pg_is_in_recovery()");
      if (recovering.ok() && recovering.value() == "f") return {};
    }
    if (world_.progress.stop) return make_error(ErrorCode::kInterrupted, "the verification was stopped");
    if (left().ns <= 0)
      return make_error(ErrorCode::kTimeout, "recovery did not end in time; the server's log ends with: {}",
                        server_->log_tail());
    world_.clock.sleep(kPollInterval);
  }
}

Result<void> BootVerifier::check_with_amcheck() {
  world_.progress.phase = "checking tables and indexes";
  report_.details["amcheck"] = false;
  if (!options_.amcheck || source_.major < 14) return {};
  std::vector<std::string> argv = {"pg_amcheck",
                                   "--all",
                                   "--install-missing",
                                   "--no-strict-names",
                                   fmt::format("--jobs={}", std::max<size_t>(world_.threads, 1)),
                                   "--heapallindexed"};
  auto checked = server_->run(argv, left());
  if (checked.ok()) {
    report_.details["amcheck"] = true;
    return {};
  }
  if (checked.error().code() != ErrorCode::kSubprocess) return std::move(checked).error();
  add("pg_amcheck", checked.error().text());
  return {};
}

// NOT VALID constraints are left alone by their owner's wish; the others are
// proven anew, by making each again under another name and taking it back.
Result<void> BootVerifier::revalidate(ServerSession& session, const std::string& database) {
  const Rows constraints = TRY(session.exec(
      "select format('%I.%I', n.nspname, c.relname), o.conname, pg_get_constraintdef(o.oid), o.contype"
      " from pg_constraint o join pg_class c on c.oid = o.conrelid join pg_namespace n on n.oid = c.relnamespace"
      " where o.contype in ('c', 'f') and o.convalidated and o.conparentid = 0 and c.relkind in ('r', 'p')"
      " and c.relpersistence = 'p' and n.nspname not in ('pg_catalog', 'information_schema') order by 1, 2"));
  for (size_t i = 0; i < constraints.size(); i++) {
    const std::string table(constraints.at(i, 0)), name(constraints.at(i, 1)), definition(constraints.at(i, 2));
    TRY(session.exec("begin"));
    auto made = session.exec("alter table " + table + " add constraint holdfast_proof " + definition, {}, left());
    TRY(session.exec("rollback"));
    report_.checked_objects++;
    if (!made.ok()) add(fmt::format("{}: constraint {} of {}", database, name, table), made.error().message());
  }
  return {};
}

Result<void> BootVerifier::check_database(const std::string& database) {
  SessionOptions options;
  options.database = database;
  auto session = TRY(ServerSession::connect(server_->connection(), options));
  const Rows invalid = TRY(session->exec(
      "select format('%I.%I', n.nspname, c.relname) from pg_index i join pg_class c on c.oid = i.indexrelid"
      " join pg_namespace n on n.oid = c.relnamespace where not i.indisvalid and c.relkind = 'i' order by 1"));
  for (size_t i = 0; i < invalid.size(); i++)
    add(fmt::format("{}: index {}", database, invalid.at(i, 0)), "is marked invalid");
  return revalidate(*session, database);
}

void BootVerifier::compare_table(const std::string& object, const nlohmann::json& then, const nlohmann::json& now) {
  if (!then.value("exact", false) || !now.value("exact", false)) return;
  const auto before = then.value("rows", int64_t{0}), after = now.value("rows", int64_t{0});
  report_.checked_objects++;
  if (before != after) add(object, fmt::format("has {} rows, {} were counted at capture", after, before));
}

// Only where recovery ends is where the rows were counted.
void BootVerifier::compare_counts() {
  const bool immediate = target_.as_captured;
  report_.details["counts_compared"] = options_.compare_counts && immediate;
  if (!options_.compare_counts) return;
  auto session = ServerSession::connect(server_->connection());
  if (!session.ok()) return add("counts", session.error().text());
  const nlohmann::json now = count_rows(server_->connection(), *session.value());
  for (const auto& [database, tables] : source_.counts.items()) {
    if (!now.contains(database)) {
      if (immediate) add(database, "the database is missing");
      continue;
    }
    for (const auto& [table, then] : tables.items()) {
      const std::string object = database + ": " + table;
      if (now[database].contains(table)) {
        if (immediate) compare_table(object, then, now[database][table]);
      } else if (immediate && then.value("exact", false)) {
        add(object, "the table is missing");
      }
    }
  }
}

Result<void> BootVerifier::run_assertion(const Assertion& assertion) {
  SessionOptions options;
  options.database = assertion.database;
  options.deadline = left();
  const std::string object = "assertion '" + assertion.name + "'";
  auto session = ServerSession::connect(server_->connection(), options);
  if (!session.ok()) {
    add(object, session.error().text());
    return {};
  }
  TRY(session.value()->exec("reset search_path"));
  auto rows = session.value()->exec(assertion.sql);
  report_.checked_objects++;
  if (!rows.ok())
    add(object, rows.error().message());
  else if (rows.value().size() != 1)
    add(object, fmt::format("returned {} rows instead of one", rows.value().size()));
  else if (rows.value().at(0, 0) != "t")
    add(object, fmt::format("does not hold: {}", rows.value().is_null(0, 0) ? "null" : rows.value().at(0, 0)));
  return {};
}

Result<void> BootVerifier::run_assertions() {
  world_.progress.phase = "running assertions";
  for (const Assertion& assertion : options_.assertions) TRY(run_assertion(assertion));
  report_.details["assertions"] = options_.assertions.size();
  return {};
}

Result<source::VerifyReport> BootVerifier::run() {
  until_ = world_.clock.monotonic() + options_.deadline;
  bin_directory_ = TRY(find_bin_directory(source_.major, options_.bin_directory));
  const ScratchDirectory scratch = TRY(ScratchDirectory::make(world_.fs, options_.scratch_directory));
  root_ = scratch.path();
  report_.details = {{"method", "boot"}, {"target", target_.description}};
  auto outcome = [&]() -> Result<void> {
    TRY(restore_aside());
    TRY(boot());
    compare_counts();
    TRY(check_with_amcheck());
    auto session = TRY(ServerSession::connect(server_->connection()));
    const Rows databases = TRY(session->exec("select datname from pg_database where datallowconn order by 1"));
    for (size_t i = 0; i < databases.size(); i++) TRY(check_database(std::string(databases.at(i, 0))));
    session.reset();
    TRY(run_assertions());
    return server_->stop();
  }();
  server_.reset();  // before its directory goes
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
