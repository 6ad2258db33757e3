#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "base/units.h"
#include "source/redis/file_sink.h"
#include "source/redis/private_server.h"
#include "source/redis/replication.h"
#include "source/redis/restore_command.h"
#include "source/redis/state_files.h"
#include "source/redis/verify.h"
#include "source/scratch_place.h"

// What a server loaded is compared with what stands in the file by the server's own
// digest of values (DEBUG DIGEST-VALUE), which does not depend on how a value is encoded
// or in which order a table has it. The bytes of a key's record are given to the same
// server once more, as RESTORE under another name in a database that the file does not
// have, and the two digests must be equal. A digest covers whether a key expires; when it
// does is asked for apart. Of a stream it covers the entries alone: its groups, consumers,
// pending entries and ids are in its DUMP, which has an order of its own for none of them,
// and of which the server makes the digest, so that no value comes to us.

namespace holdfast::redis {
namespace {

constexpr std::string_view kTwin = "twin";  // the other name
constexpr std::string_view kStream = "stream";
constexpr std::string_view kDigestOfDump = "return redis.sha1hex(redis.call('DUMP', KEYS[1]) or '')";
constexpr size_t kMostFindings = 50;
constexpr uint32_t kFewestDatabases = 16;

// Of a library, whose text begins with "#!<engine> name=<name>".
std::string_view library_name(std::string_view code) {
  constexpr std::string_view kName = " name=";
  const std::string_view line = code.substr(0, code.find('\n'));
  const size_t at = line.find(kName);
  if (at == std::string_view::npos) return "";
  const std::string_view name = line.substr(at + kName.size());
  return name.substr(0, name.find_first_of(" \t\r"));
}

std::string library(std::string_view name) { return fmt::format("function library '{}'", printable_key(name)); }

// Of what FUNCTION LIST says of one library, the text behind `field`.
std::string field_of(const Reply& said, std::string_view field) {
  for (size_t i = 0; i + 1 < said.elements.size(); i += 2) {
    if (said.elements[i].text == field) return said.elements[i + 1].text;
  }
  return "";
}

// The server looks for names in either case.
std::optional<std::string> code_of(const Reply& libraries, std::string_view name) {
  for (const Reply& said : libraries.elements) {
    if (field_of(said, "library_name") == name) return field_of(said, "library_code");
  }
  return std::nullopt;
}

class Comparer : public RdbVisitor {
 public:
  Comparer(source::World& world, ServerSession& session, const RdbSurvey& survey, source::VerifyReport& report)
      : world_(world),
        pipeline_(session),
        writer_(pipeline_, survey, true),
        twin_db_(std::to_string(survey.largest_db + 1)),
        report_(report) {}

  Result<void> begin_key(const RdbKey& key) override {
    if (world_.progress.stop) return make_error(ErrorCode::kInterrupted, "the verification was stopped");
    asked_ = std::make_shared<Asked>();
    asked_->what = describe(key);
    asked_->type = type_name(key.type);
    asked_->expires_ms = key.expires_ms;
    TRY(pipeline_.send({"SELECT", std::to_string(key.db)}, nothing_wrong(asked_)));
    TRY(pipeline_.send({"TYPE", key.key}, [asked = asked_](Reply& reply) { return take_type(*asked, reply); }));
    TRY(pipeline_.send({"PEXPIRETIME", key.key},
                       [asked = asked_](Reply& reply) { return take_expiry(*asked, reply); }));
    TRY(pipeline_.send({"DEBUG", "DIGEST-VALUE", key.key}, [asked = asked_](Reply& reply) -> Result<void> {
      asked->digest = digest_of(reply);
      return {};
    }));
    if (asked_->type == kStream) TRY(ask_for_dump(key.key, asked_->dump));
    TRY(pipeline_.send({"SELECT", twin_db_}, nothing_wrong(asked_)));
    return writer_.begin(key, kTwin);
  }

  Result<void> value(ByteView bytes) override { return writer_.value(bytes); }

  Result<void> end_key(uint64_t bytes) override {
    TRY(writer_.end(bytes, nothing_wrong(asked_)));
    if (asked_->type == kStream) TRY(ask_for_dump(kTwin, asked_->twin_dump));
    return pipeline_.send({"DEBUG", "DIGEST-VALUE", kTwin},
                          [this, asked = asked_](Reply& reply) { return take_twin(*asked, reply); });
  }

  Result<void> function_library(std::string_view code) override {
    const std::string name(library_name(code));
    libraries_.insert(name);
    return pipeline_.send({"FUNCTION", "LIST", "LIBRARYNAME", name, "WITHCODE"},
                          [this, name, code = std::string(code)](Reply& reply) -> Result<void> {
                            const auto there = code_of(reply, name);
                            if (!there) find(library(name), "the server did not load it");
                            if (there && *there != code) find(library(name), "the server has other code than the file");
                            return {};
                          });
  }

  // The twin goes, so that databases can be counted.
  Result<void> finish() {
    TRY(pipeline_.send({"DEL", kTwin}, [](Reply&) -> Result<void> { return {}; }));
    return pipeline_.drain();
  }
  uint64_t compared() const { return compared_; }
  uint64_t expired() const { return expired_; }
  const std::set<std::string>& libraries() const { return libraries_; }  // of the file

 private:
  // One key, between what was asked of it and the answers.
  struct Asked {
    std::string what, digest, problem;
    std::string dump, twin_dump;  // of a stream: digests
    std::string_view type;
    std::optional<int64_t> expires_ms;
  };

  static std::string digest_of(const Reply& reply) {
    if (reply.kind == Reply::Kind::kArray && reply.elements.size() == 1) return reply.elements[0].text;
    return reply.text;
  }

  // Into one of those of asked_.
  Result<void> ask_for_dump(std::string_view key, std::string& digest) {
    return pipeline_.send({"EVAL", kDigestOfDump, "1", key}, [asked = asked_, &digest](Reply& reply) -> Result<void> {
      if (reply.is_error() && asked->problem.empty()) asked->problem = "its DUMP can't be had: " + reply.text;
      digest = reply.text;
      return {};
    });
  }

  Pipeline::OnReply nothing_wrong(const std::shared_ptr<Asked>& asked) {
    return [asked](Reply& reply) -> Result<void> {
      if (reply.is_error() && asked->problem.empty()) asked->problem = "the server refuses it: " + reply.text;
      return {};
    };
  }

  static Result<void> take_type(Asked& asked, const Reply& reply) {
    const bool module = asked.type == "module";  // a server says the module's own name for it
    if (reply.text == "none") {
      asked.problem = "the server did not load it";
    } else if (reply.text != asked.type && !module) {
      asked.problem = fmt::format("the server takes it for a {}", reply.text);
    }
    return {};
  }

  static Result<void> take_expiry(Asked& asked, const Reply& reply) {
    if (reply.integer != asked.expires_ms.value_or(-1) && asked.problem.empty()) {
      asked.problem = fmt::format("it expires at {} ms in the server, at {} ms in the file", reply.integer,
                                  asked.expires_ms.value_or(-1));
    }
    return {};
  }

  Result<void> take_twin(Asked& asked, const Reply& reply) {
    // Its time may have passed at any moment until now: then no answer means anything.
    if (asked.expires_ms && *asked.expires_ms <= world_.clock.now().ns / 1'000'000) {
      expired_++;
      return {};
    }
    compared_++;
    if (asked.problem.empty() && (reply.is_error() || asked.digest != digest_of(reply)))
      asked.problem = "the server has another value than the file";
    if (asked.problem.empty() && asked.dump != asked.twin_dump)
      asked.problem = "the server has other groups, consumers, pending entries or ids of it than the file";
    if (!asked.problem.empty()) find(asked.what, asked.problem);
    return {};
  }

  void find(const std::string& object, std::string problem) {
    if (report_.findings.size() < kMostFindings) report_.findings.push_back({object, std::move(problem)});
  }

  source::World& world_;
  Pipeline pipeline_;
  RestoreWriter writer_;
  const std::string twin_db_;
  source::VerifyReport& report_;
  std::shared_ptr<Asked> asked_;
  std::set<std::string> libraries_;
  uint64_t compared_ = 0, expired_ = 0;
};

// What the server has and the file has not.
Result<void> compare_counts(ServerSession& session, const RdbSurvey& survey, const Comparer& comparer,
                            source::VerifyReport& report) {
  const uint64_t expired = comparer.expired();
  std::map<uint32_t, uint64_t> keys_of = survey.summary.keys_of;
  for (const DatabaseSize& size : parse_keyspace(TRY(session.command({"INFO", "keyspace"})).text))
    keys_of.try_emplace(static_cast<uint32_t>(size.number), 0);
  for (const auto& [db, keys] : keys_of) {
    TRY(session.command({"SELECT", std::to_string(db)}));
    const auto there = static_cast<uint64_t>(TRY(session.command({"DBSIZE"})).integer);
    if (there <= keys && there + expired >= keys) continue;
    report.findings.push_back(
        {fmt::format("database {}", db), fmt::format("the server has {} key{}, the file {}", format_count(there),
                                                     there == 1 ? "" : "s", format_count(keys))});
  }
  for (const Reply& said : TRY(session.command({"FUNCTION", "LIST"})).elements) {
    const std::string name = field_of(said, "library_name");
    if (!comparer.libraries().contains(name))
      report.findings.push_back({library(name), "the server has it, the file has not"});
  }
  return {};
}

class BootVerifier {
 public:
  BootVerifier(source::World& world, repo::Repository& repository, CommandLog& log, const repo::Snapshot& snapshot,
               const BootOptions& options, std::string directory)
      : world_(world),
        repository_(repository),
        log_(log),
        snapshot_(snapshot),
        options_(options),
        directory_(std::move(directory)) {}

  Result<source::VerifyReport> run() {
    TRY(write());
    report_.details = {{"method", "boot"}};
    auto booted = boot();
    if (!booted.ok() && booted.error().code() == ErrorCode::kServer) {
      report_.findings.push_back({kRdbName, booted.error().text()});  // what no server loads is no backup
      return std::move(report_);
    }
    TRY(std::move(booted));
    world_.progress.phase = "comparing keys";
    auto session = TRY(server_->connect());
    report_ = TRY(compare_with_rdb(world_, *session, [this] { return open(); }, survey_));
    report_.details["method"] = "boot";
    report_.details["server"] = program_.version;
    return std::move(report_);
  }

 private:
  Result<void> write() {
    ResolvedTarget target;
    target.from = TRY(snapshot_source(snapshot_)).position;
    target.to = target.from.offset;
    StateOptions state;
    state.directory = directory_;
    const StateFiles files = TRY(write_state(world_, repository_, log_, snapshot_, target, state));
    rdb_ = join_path(directory_, kRdbName);
    TRY(world_.fs.rename(files.base, rdb_));
    survey_ = TRY(survey_rdb([this] { return open(); }));
    return {};
  }

  Result<std::unique_ptr<ByteSource>> open() {
    return std::unique_ptr<ByteSource>(TRY(FileSource::open(world_.fs, rdb_)));
  }

  Result<void> boot() {
    world_.progress.phase = "booting";
    program_ = TRY(find_program_for(survey_.summary, options_.bin_directory));
    PrivateServer::Options server;
    server.program = program_;
    server.directory = directory_;
    server.databases = std::max(kFewestDatabases, survey_.largest_db + 2);
    server.arguments = {"--enable-debug-command", "yes"};
    server.deadline = options_.deadline;
    server_ = TRY(PrivateServer::start(world_, server));
    return {};
  }

  source::World& world_;
  repo::Repository& repository_;
  CommandLog& log_;
  const repo::Snapshot& snapshot_;
  const BootOptions& options_;
  const std::string directory_;
  std::string rdb_;
  RdbSurvey survey_;
  ServerProgram program_;
  std::unique_ptr<PrivateServer> server_;
  source::VerifyReport report_;
};

}  // namespace

Result<source::VerifyReport> compare_with_rdb(source::World& world, ServerSession& session, const OpenRdb& open,
                                              const RdbSurvey& survey) {
  source::VerifyReport report;
  Comparer comparer(world, session, survey, report);
  auto source = TRY(open());
  TRY(read_rdb(*source, comparer));
  TRY(comparer.finish());
  TRY(compare_counts(session, survey, comparer, report));
  report.checked_objects = comparer.compared();
  report.checked_bytes = survey.summary.bytes;
  report.details = {
      {"keys", comparer.compared()}, {"expired", comparer.expired()}, {"functions", survey.summary.functions}};
  return report;
}

Result<source::VerifyReport> verify_by_booting(source::World& world, repo::Repository& repository, CommandLog& log,
                                               const repo::Snapshot& snapshot, const BootOptions& options) {
  const auto scratch = TRY(source::ScratchPlace::make(world.fs, world.clock, options.scratch_directory));
  return BootVerifier(world, repository, log, snapshot, options, TRY(scratch.folder("state")))
      .run()
      .context(fmt::format("verifying '{}'", snapshot.component));
}

}  // namespace holdfast::redis
