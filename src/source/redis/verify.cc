#include "source/redis/verify.h"

#include "source/redis/command_stream.h"
#include "source/redis/rdb_reader.h"
#include "source/redis/stored_file.h"
#include "source/redis/target.h"

namespace holdfast::redis {
namespace {

constexpr const char* kCommands = "the commands after it";

// Damage is what is looked for; trouble in reaching the store is not damage.
bool is_damage(const Error& error) {
  return error.code() == ErrorCode::kDamaged || error.code() == ErrorCode::kNotFound ||
         error.code() == ErrorCode::kInvalidData || error.code() == ErrorCode::kUnreachableTarget;
}

class OfflineVerifier {
 public:
  OfflineVerifier(source::World& world, repo::Repository& repository, CommandLog& log, const repo::Snapshot& snapshot)
      : world_(world), repository_(repository), log_(log), snapshot_(snapshot) {}

  Result<source::VerifyReport> run() {
    source_ = TRY(snapshot_source(snapshot_));
    world_.progress.phase = "verifying keys";
    world_.progress.bytes_total = snapshot_.source_bytes;
    report_.details = {{"method", "offline"}};
    TRY(check_rdb());
    TRY(check_log());
    return std::move(report_);
  }

 private:
  Result<void> check_rdb() {
    RdbVisitor nothing;
    StoredFile stored(world_, repository_, TRY(find_rdb(repository_, snapshot_)));
    auto read = read_rdb(stored, nothing);
    if (!read.ok()) return find(kRdbName, std::move(read).error());
    const RdbSummary& summary = *read;
    report_.checked_bytes += summary.bytes;
    report_.checked_objects = summary.keys;
    if (summary.bytes != source_.rdb_bytes) {
      report_.findings.push_back(
          {kRdbName, fmt::format("is {} bytes long, the snapshot says {}", summary.bytes, source_.rdb_bytes)});
    }
    nlohmann::json databases = nlohmann::json::object();
    for (const auto& [db, keys] : summary.keys_of) databases[std::to_string(db)] = keys;
    report_.details["keys"] = summary.keys;
    report_.details["expiring"] = summary.expiring;
    report_.details["functions"] = summary.functions;
    report_.details["databases"] = std::move(databases);
    report_.details["rdb_version"] = summary.version;
    report_.details["checksum"] = summary.checksummed;
    return {};
  }

  Result<void> check_log() {
    const Position& from = source_.position;
    uint64_t bytes = 0;
    if (log_.knows(from)) {
      world_.progress.phase = "verifying commands";
      CommandStream commands(from.offset);
      auto read = log_.read(from, {}, [&](const Frame& frame) {
        bytes += frame.bytes.size();
        return commands.feed(frame.bytes);
      });
      if (!read.ok()) {
        TRY(find(kCommands, std::move(read).error()));
      } else if (auto hole = TRY(hole_behind(log_, from, *read)); !hole.empty()) {
        report_.findings.push_back({kCommands, std::move(hole)});
      }
    }
    report_.checked_bytes += bytes;
    report_.details["command_bytes"] = bytes;
    return {};
  }

  Result<void> find(const std::string& object, Error error) {
    if (!is_damage(error)) return error;
    report_.findings.push_back({object, error.text()});
    return {};
  }

  source::World& world_;
  repo::Repository& repository_;
  CommandLog& log_;
  const repo::Snapshot& snapshot_;
  SnapshotSource source_;
  source::VerifyReport report_;
};

}  // namespace

Result<source::VerifyReport> verify_offline(source::World& world, repo::Repository& repository, CommandLog& log,
                                            const repo::Snapshot& snapshot) {
  return OfflineVerifier(world, repository, log, snapshot)
      .run()
      .context(fmt::format("verifying '{}'", snapshot.component));
}

}  // namespace holdfast::redis
