#include "source/redis/state_files.h"

#include <algorithm>

#include "source/redis/append_only.h"
#include "source/redis/file_sink.h"
#include "source/redis/private_server.h"
#include "source/redis/stored_file.h"

namespace holdfast::redis {
namespace {

constexpr const char* kFoldFolder = "fold";
constexpr uint32_t kFewestDatabases = 1024;  // MOVE and COPY name some that SELECT never does
constexpr mode_t kFileMode = 0600;

// Loading ends with keys that expire at once, before SAVE could be sent. A server that
// loads an AOF executes whatever is in it, and this stops it; it is in no other part.
constexpr const char* kStopExpiry = "*3\r\n$5\r\nDEBUG\r\n$17\r\nSET-ACTIVE-EXPIRE\r\n$1\r\n0\r\n";

class StateWriter {
 public:
  StateWriter(source::World& world, repo::Repository& repository, CommandLog& log, const repo::Snapshot& snapshot,
              const ResolvedTarget& target, const StateOptions& options)
      : world_(world), repository_(repository), log_(log), snapshot_(snapshot), target_(target), options_(options) {}

  Result<StateFiles> run() {
    TRY(write_base());
    if (target_.replay_bytes() == 0) return std::move(files_);
    TRY(write_replay());
    if (options_.folding == Folding::kNever) {
      files_.why_not_folded = "it was not asked for";
      return std::move(files_);
    }
    auto program = find_program_for(files_.base_rdb, options_.bin_directory);
    if (!program.ok()) {
      if (options_.folding == Folding::kRequired) return std::move(program).error();
      files_.why_not_folded = program.error().message();
      return std::move(files_);
    }
    TRY(fold(*program));
    return std::move(files_);
  }

 private:
  Result<void> write_base() {
    files_.base = join_path(options_.directory, "base.rdb");
    StoredFile stored(world_, repository_, TRY(find_rdb(repository_, snapshot_)));
    FileSink sink = TRY(FileSink::create(world_.fs, files_.base, kFileMode));
    CopyingSource copying(stored, sink);
    RdbVisitor nothing;
    files_.base_rdb = TRY_CONTEXT(read_rdb(copying, nothing), "{}", kRdbName);
    return sink.finish();
  }

  Result<void> write_replay() {
    world_.progress.phase = "writing commands";
    files_.commands = join_path(options_.directory, "commands.aof");
    FileSink sink = TRY(FileSink::create(world_.fs, files_.commands, kFileMode));
    written_ = TRY(write_commands(log_, target_.from, target_.to, files_.base_rdb.stream_db.value_or(0), sink));
    files_.command_count = written_.commands;
    files_.command_bytes = sink.bytes();
    return sink.finish();
  }

  Result<void> prepare(const std::string& directory) {
    const std::string parts = join_path(directory, kAppendDirectory);
    TRY(world_.fs.make_directory(directory, 0700));
    TRY(world_.fs.make_directory(parts, 0700));
    TRY(world_.fs.hard_link(files_.base, join_path(parts, kAppendBase)));
    TRY(write_file_durably(world_.fs, join_path(parts, append_part_name(1)), as_bytes(kStopExpiry)));
    TRY(world_.fs.hard_link(files_.commands, join_path(parts, append_part_name(2))));
    // The server opens the last part to append to, and nothing may be appended to the commands.
    TRY(write_file_durably(world_.fs, join_path(parts, append_part_name(3)), {}));
    return write_file_durably(world_.fs, join_path(parts, kAppendManifest), as_bytes(append_manifest(3)));
  }

  Result<void> fold(const ServerProgram& program) {
    world_.progress.phase = "replaying commands";
    const std::string directory = join_path(options_.directory, kFoldFolder);
    TRY(prepare(directory));
    PrivateServer::Options server_options;
    server_options.program = program;
    server_options.directory = directory;
    server_options.append_only = true;
    uint32_t largest = written_.largest_db;
    if (!files_.base_rdb.keys_of.empty()) largest = std::max(largest, files_.base_rdb.keys_of.rbegin()->first);
    server_options.databases = std::max(kFewestDatabases, largest + 1);
    {
      auto server = TRY_CONTEXT(PrivateServer::start(world_, server_options), "replaying the commands");
      TRY(note_errors(*server));
      world_.progress.phase = "saving";
      TRY(server->save());
    }
    files_.folded = join_path(options_.directory, "folded.rdb");
    TRY(world_.fs.rename(join_path(directory, kRdbName), files_.folded));
    TRY(remove_tree(world_.fs, directory));
    return read_folded();
  }

  // What the server refused while it loaded, by kind: "errorstat_ERR:count=1". Being asked
  // too early is no error of the replay.
  Result<void> note_errors(PrivateServer& server) {
    constexpr std::string_view kMark = "errorstat_", kTooEarly = "LOADING";
    auto session = TRY(server.connect());
    const Reply reply = TRY(session->command({"INFO", "errorstats"}));
    const std::string_view info = reply.text;
    for (size_t at = info.find(kMark); at != std::string_view::npos; at = info.find(kMark, at + 1)) {
      const std::string_view line = info.substr(at + kMark.size(), info.find('\r', at) - at - kMark.size());
      if (line.starts_with(kTooEarly)) continue;
      files_.faults.push_back(fmt::format("commands of the log were refused in the replay: {}", line));
    }
    return {};
  }

  Result<void> read_folded() {
    OpenOptions open;
    open.write = true;
    auto file = TRY(world_.fs.open(files_.folded, open));
    TRY(file->sync());
    auto source = TRY(FileSource::open(world_.fs, files_.folded));
    RdbVisitor nothing;
    files_.folded_rdb = TRY_CONTEXT(read_rdb(*source, nothing), "what the private server saved");
    return {};
  }

  source::World& world_;
  repo::Repository& repository_;
  CommandLog& log_;
  const repo::Snapshot& snapshot_;
  const ResolvedTarget& target_;
  const StateOptions& options_;
  StateFiles files_;
  WrittenCommands written_;
};

}  // namespace

Result<StateFiles> write_state(source::World& world, repo::Repository& repository, CommandLog& log,
                               const repo::Snapshot& snapshot, const ResolvedTarget& target,
                               const StateOptions& options) {
  world.progress.phase = "restoring";
  return StateWriter(world, repository, log, snapshot, target, options).run();
}

}  // namespace holdfast::redis
