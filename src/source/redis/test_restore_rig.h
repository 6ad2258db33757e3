#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "repo/log_store.h"
#include "repo/repository.h"
#include "repo/tree.h"
#include "repo/write_session.h"
#include "source/redis/command_log.h"
#include "source/redis/file_sink.h"
#include "source/redis/frame_codec.h"
#include "source/redis/private_server.h"
#include "source/redis/test_digest.h"
#include "source/scratch_place.h"
#include "store/memory_store.h"

namespace holdfast::redis {

// What tests of restoring need: servers of their own in a scratch folder, a repository in
// memory, snapshots of RDB files and logs of commands put into it by hand.
class RestoreRig {
 public:
  RestoreRig()
      : scratch_(source::ScratchPlace::make(real_file_system(), system_clock(), "/tmp").value()),
        store_(store::make_memory_store(system_clock())),
        world{real_file_system(), system_clock(), progress} {
    repo::InitOptions options;
    options.kdf_memory_bytes = 8 << 10;
    options.kdf_passes = 1;
    auto made = repo::init_repository({*store_, system_clock(), system_random()}, Secret::from_text("test"), options);
    EXPECT_TRUE(made.ok()) << (made.ok() ? "" : made.error().text());
    if (made.ok()) repository_ = std::move(made).value();
    logs_ = repo::open_log_store(*repository_);
  }

  std::string path(const std::string& name) const { return join_path(scratch_.path(), name); }
  repo::Repository& repository() { return *repository_; }

  // A server on <scratch>/<name>, which is made when it is missing.
  Result<std::unique_ptr<PrivateServer>> serve(const std::string& name, bool append_only = false,
                                               std::vector<std::string> more = {}) {
    TRY(make_directories(world.fs, path(name)));
    PrivateServer::Options options;
    options.program = TRY(find_server_program(""));
    options.directory = path(name);
    options.append_only = append_only;
    options.arguments = {"--enable-debug-command", "yes"};
    options.arguments.insert(options.arguments.end(), more.begin(), more.end());
    return PrivateServer::start(world, options);
  }
  Connection address(const std::string& name) const {
    Connection connection;
    connection.socket = path(name) + "/redis.sock";
    return connection;
  }

  // A snapshot of kind "redis" whose tree holds these bytes as dump.rdb.
  Result<repo::Snapshot> store_rdb(ByteView rdb, const Position& position, Time instant) {
    auto session = TRY(repo::WriteSession::begin(*repository_, {}));
    repo::ContentBuilder content(*session, 4 << 20);
    for (size_t at = 0; at < rdb.size(); at += kBlockBytes) {
      const ByteView piece = rdb.subspan(at, std::min(kBlockBytes, rdb.size() - at));
      repo::Extent extent;
      extent.length_bytes = piece.size();
      extent.block = TRY(session->put(repo::BlockKind::kData, piece));
      TRY(content.add(extent));
    }
    repo::TreeWriter tree(*session);
    repo::Entry entry;
    entry.path = kRdbName;
    entry.size_bytes = rdb.size();
    entry.mode = 0600;
    entry.content = TRY(content.finish());
    TRY(tree.add(entry));
    repo::Point point;
    repo::Snapshot snapshot;
    snapshot.component = "cache";
    snapshot.kind = "redis";
    snapshot.root = TRY(tree.finish());
    snapshot.instant = instant;
    snapshot.source_bytes = rdb.size();
    SnapshotSource source;
    source.position = position;
    source.rdb_bytes = rdb.size();
    source.rdb_version = 10;
    snapshot.source = to_json(source);
    point.snapshots.push_back(snapshot);
    TRY(session->commit(point));
    return snapshot;
  }
  // What the server holds now.
  Result<repo::Snapshot> snapshot_of(PrivateServer& server, const std::string& name, const Position& position,
                                     Time instant) {
    TRY(server.save());
    return store_rdb(TRY(read_file(world.fs, path(name) + "/" + kRdbName, 1 << 30)), position, instant);
  }

  // A record of the log for each list of frames.
  struct Arrival {
    Time received;
    std::string bytes;
  };
  Result<std::unique_ptr<CommandLog>> store_log(const Position& from, const std::vector<Arrival>& arrivals) {
    auto log = TRY(CommandLog::open(*logs_, "cache"));
    FrameWriter writer;
    writer.begin(from.offset);
    for (const Arrival& arrival : arrivals) {
      if (!arrival.bytes.empty()) writer.add(arrival.received, as_bytes(arrival.bytes));
    }
    if (!writer.empty()) TRY(log->put_record(writer.take(from.replid)));
    TRY(log->refresh());
    return log;
  }

  static Result<std::string> digest(PrivateServer& server) { return digest_of_all(*TRY(server.connect())); }

 private:
  static constexpr size_t kBlockBytes = 256 << 10;
  source::ScratchPlace scratch_;
  std::unique_ptr<store::ObjectStore> store_;
  std::unique_ptr<repo::Repository> repository_;
  std::unique_ptr<repo::LogStore> logs_;

 public:
  Progress progress;
  source::World world;
};

inline const std::string kTestReplid(40, 'a');

// Commands as a master sends them.
inline std::string encoded(const std::vector<std::string_view>& words) {
  return std::string(as_text(encode_command(words)));
}

// An RDB of three strings in database 0, and between them a value of the module "AAAAAAAAB". Its
// checksum is left out.
inline std::string rdb_with_module_value() {
  const std::string value("\x07\x01m\x81\x00\x00\x00\x00\x00\x00\x04\x01\x02\x05\x03\x00\x00\x00\x00\x05\x01x\x00", 23);
  return std::string(
             "REDIS0010\xfe\x00\x00\x01"
             "a\x01"
             "1\x00\x01"
             "b\x01"
             "2",
             21) +
         value +
         std::string(
             "\x00\x01"
             "c\x01"
             "3\xff",
             6) +
         std::string(8, '\0');
}

}  // namespace holdfast::redis
