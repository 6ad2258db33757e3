#include "source/redis/load.h"

#include <algorithm>

#include "base/units.h"
#include "source/redis/dump_payload.h"
#include "source/redis/file_sink.h"
#include "source/redis/replication.h"
#include "source/redis/state_files.h"
#include "source/redis/stored_file.h"
#include "source/scratch_place.h"

namespace holdfast::redis {
namespace {

// What a server takes of one word, and their defaults where CONFIG is not allowed.
constexpr std::pair<const char*, uint64_t> kLimits[] = {{"proto-max-bulk-len", 512ull << 20},
                                                        {"client-query-buffer-limit", 1ull << 30}};
constexpr Duration kCommandDeadline = Duration::seconds(300);  // a large value takes its time

constexpr const char* kRightsHint = "docs/redis.md, \"Into a running server\", lists the rights that a load needs";

bool lacks_rights(const Reply& reply) { return reply.is_error() && reply.text.starts_with("NOPERM"); }

Result<std::unique_ptr<ServerSession>> connect(source::World& world, const LoadOptions& options) {
  SessionOptions session;
  session.deadline = kCommandDeadline;
  session.stop = &world.progress.stop;
  return ServerSession::connect(options.server, session);
}

// Sends each key as it is read.
class Loader : public RdbVisitor {
 public:
  Loader(source::World& world, ServerSession& session, const RdbSurvey& survey, const LoadOptions& options,
         LoadReport& report)
      : world_(world),
        pipeline_(session),
        writer_(pipeline_, survey, options.replace),
        options_(options),
        report_(report) {}

  Result<void> auxiliary(std::string_view name, std::string_view value) override {
    if (name != "lua") return {};
    report_.scripts++;
    return pipeline_.send({"SCRIPT", "LOAD", value}, expect("a script"));
  }

  Result<void> function_library(std::string_view code) override {
    report_.functions++;
    std::vector<std::string_view> words = {"FUNCTION", "LOAD"};
    if (options_.replace) words.emplace_back("REPLACE");
    words.push_back(code);
    return pipeline_.send(words, expect("a function library"));
  }

  Result<void> begin_key(const RdbKey& key) override {
    if (world_.progress.stop) return make_error(ErrorCode::kInterrupted, "loading was stopped");
    if (!selected_ || *selected_ != key.db) {
      selected_ = key.db;
      TRY(pipeline_.send({"SELECT", std::to_string(key.db)}, expect(fmt::format("database {}", key.db))));
    }
    key_ = &key;
    return writer_.begin(key, key.key);
  }

  Result<void> value(ByteView bytes) override { return writer_.value(bytes); }

  Result<void> end_key(uint64_t bytes) override {
    report_.bytes += bytes;
    if (key_->expires_ms && *key_->expires_ms <= world_.clock.now().ns / 1'000'000) report_.expired++;
    return writer_.end(bytes, [this, db = key_->db, what = describe(*key_)](Reply& reply) -> Result<void> {
      if (reply.is_error()) return refused(what, reply);
      report_.keys++;
      report_.keys_of[db]++;
      return {};
    });
  }

  Result<void> finish() { return pipeline_.drain(); }

 private:
  Error refused(const std::string& what, const Reply& reply) const {
    const bool rights = lacks_rights(reply);
    Error error = make_error(rights ? ErrorCode::kPermission : ErrorCode::kServer,
                             "the server refused {}: {}; keys loaded before it: {}", what, reply.text,
                             format_count(report_.keys));
    if (rights) return std::move(error).with_hint(kRightsHint);
    return std::move(error).with_hint("they stay; with --replace the load can be repeated over them");
  }

  Pipeline::OnReply expect(std::string what) {
    return [this, what = std::move(what)](Reply& reply) -> Result<void> {
      if (reply.is_error()) return refused(what, reply);
      return {};
    };
  }

  source::World& world_;
  Pipeline pipeline_;
  RestoreWriter writer_;
  const LoadOptions& options_;
  LoadReport& report_;
  std::optional<uint32_t> selected_;
  const RdbKey* key_ = nullptr;  // of the reader, until its end_key()
};

std::string address(const LoadOptions& options) { return options.server.text(); }

Result<void> check_empty(ServerSession& session, const LoadOptions& options) {
  const std::string keyspace = TRY(session.command({"INFO", "keyspace"})).text;
  uint64_t keys = 0;
  for (const DatabaseSize& database : parse_keyspace(keyspace)) keys += database.keys;
  const Reply libraries = TRY(session.ask({"FUNCTION", "LIST"}));  // an error before Redis 7
  if (lacks_rights(libraries)) return server_error("FUNCTION LIST", libraries.text).with_hint(kRightsHint);
  if (keys == 0 && libraries.elements.empty()) return {};
  return make_error(ErrorCode::kTargetNotEmpty, "{} is not empty: it holds {}{} and {} {}", address(options),
                    format_count(keys), keys == 1 ? " key" : " keys", libraries.elements.size(),
                    libraries.elements.size() == 1 ? "function library" : "function libraries")
      .with_hint("--replace loads over them: keys of the same names are replaced, others stay");
}

Result<void> check_server(ServerSession& session, const LoadOptions& options) {
  const std::string replication = TRY(session.command({"INFO", "replication"})).text;
  if (info_value(replication, "role") != "master") {
    return make_error(ErrorCode::kRefused, "{} is a replica: what is loaded into it would be lost", address(options))
        .with_hint("load into its master");
  }
  const std::string cluster = TRY(session.command({"INFO", "cluster"})).text;
  if (info_value(cluster, "cluster_enabled") == "1") {
    return make_error(ErrorCode::kUnsupported, "{} is part of a Redis Cluster", address(options))
        .with_hint("restore to a directory instead, one for each master");
  }
  return options.replace ? Result<void>() : check_empty(session, options);
}

uint64_t limit_of(ServerSession& session, const char* name, uint64_t by_default) {
  const auto reply = session.ask({"CONFIG", "GET", name});
  if (!reply.ok() || reply.value().elements.size() != 2) return by_default;
  const uint64_t bytes = std::strtoull(reply.value().elements[1].text.c_str(), nullptr, 10);
  return bytes > 0 ? bytes : by_default;
}

Result<void> check_fits(ServerSession& session, const RdbSurvey& survey, const LoadOptions& options) {
  for (const auto& [name, by_default] : kLimits) {
    const uint64_t limit = limit_of(session, name, by_default);
    if (survey.largest_bytes + 1 + kDumpFooterBytes <= limit) continue;
    return make_error(ErrorCode::kUnsupported, "{} is {} long, and {} takes no more than {} at once",
                      survey.largest_key, format_bytes(survey.largest_bytes), address(options), format_bytes(limit))
        .with_hint(fmt::format("raise {} there, or restore to a directory", name));
  }
  const Reply selected = TRY(session.ask({"SELECT", std::to_string(survey.largest_db)}));
  if (lacks_rights(selected)) return server_error("SELECT", selected.text).with_hint(kRightsHint);
  if (selected.is_error()) {
    return make_error(ErrorCode::kMismatch, "{} has no database {}: {}", address(options), survey.largest_db,
                      selected.text)
        .with_hint("raise 'databases' in its configuration");
  }
  return {};
}

// Found out by the first such key, keys that came before it would be there already.
Result<void> check_modules(ServerSession& session, const RdbSurvey& survey, const LoadOptions& options) {
  if (survey.module_key.empty()) return {};
  const Reply loaded = TRY(session.ask({"MODULE", "LIST"}));
  if (loaded.is_error() || !loaded.elements.empty()) return {};  // the server will say
  return make_error(ErrorCode::kMismatch, "{} is of a module ({}), and {} has none loaded", survey.module_key,
                    fmt::join(survey.summary.modules, ", "), address(options))
      .with_hint("load the module there (loadmodule), or restore to a directory for a server that has it");
}

// So far, to stay below its maxmemory.
Result<uint64_t> evicted_of(ServerSession& session) {
  const std::string stats = TRY(session.command({"INFO", "stats"})).text;
  return std::strtoull(info_value(stats, "evicted_keys").c_str(), nullptr, 10);
}

void note_modules(const RdbSurvey& survey, LoadReport& report) {
  if (survey.summary.modules.empty()) return;
  report.notes.push_back(
      fmt::format("what the modules {} keep beside the keys is not loaded", fmt::join(survey.summary.modules, ", ")));
}

}  // namespace

Result<void> check_load(source::World& world, const LoadOptions& options) {
  auto session = TRY(connect(world, options));
  return check_server(*session, options);
}

Result<LoadReport> load_rdb(source::World& world, const OpenRdb& open, const LoadOptions& options) {
  LoadReport report;
  TRY(check_load(world, options));
  world.progress.phase = "reading";
  const RdbSurvey survey = TRY(survey_rdb(open));
  note_modules(survey, report);
  // Anew: reading may take longer than a server lets a client be idle.
  auto session = TRY(connect(world, options));
  TRY(check_server(*session, options));
  TRY(check_fits(*session, survey, options));
  TRY(check_modules(*session, survey, options));
  const uint64_t evicted = TRY(evicted_of(*session));
  world.progress.phase = "loading";
  auto source = TRY(open());
  Loader loader(world, *session, survey, options, report);
  TRY_CONTEXT(read_rdb(*source, loader), "loading into {}", address(options));
  TRY(loader.finish());
  if (const uint64_t now = TRY(evicted_of(*session)); now > evicted)
    report.faults.push_back(
        fmt::format("{} evicted {} keys while it was loaded, to stay below its maxmemory: with more, the load can be "
                    "repeated (--replace)",
                    address(options), format_count(now - evicted)));
  return report;
}

Result<LoadReport> load_snapshot(source::World& world, repo::Repository& repository, CommandLog& log,
                                 const repo::Snapshot& snapshot, const ResolvedTarget& target, const LoadState& state,
                                 const LoadOptions& options) {
  if (target.replay_bytes() == 0) {
    const repo::Entry entry = TRY(find_rdb(repository, snapshot));
    return load_rdb(
        world,
        [&]() -> Result<std::unique_ptr<ByteSource>> {
          return std::unique_ptr<ByteSource>(new StoredFile(world, repository, entry));
        },
        options);
  }
  TRY(check_load(world, options));
  const auto scratch = TRY(source::ScratchPlace::make(world.fs, world.clock, state.scratch_directory));
  StateOptions write;
  write.directory = TRY(scratch.folder("state"));
  write.bin_directory = state.bin_directory;
  write.folding = Folding::kRequired;
  const StateFiles files = TRY(write_state(world, repository, log, snapshot, target, write));
  const OpenRdb open = [&]() -> Result<std::unique_ptr<ByteSource>> {
    return std::unique_ptr<ByteSource>(TRY(FileSource::open(world.fs, files.folded)));
  };
  LoadReport report = TRY(load_rdb(world, open, options));
  report.faults.insert(report.faults.end(), files.faults.begin(), files.faults.end());
  return report;
}

}  // namespace holdfast::redis
