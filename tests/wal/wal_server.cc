#include "wal/wal_server.h"

#include <gtest/gtest.h>

#include "base/filesystem.h"
#include "base/subprocess.h"
#include "source/postgres/dump.h"
#include "source/postgres/replication_session.h"
#include "source/postgres/wal_path.h"

namespace holdfast::wal_test {

using namespace postgres;

namespace {
void copy(const std::string& from, const std::string& to) {
  CommandOptions command;
  command.argv = {"cp", "-a", from, to};
  ASSERT_TRUE(run_command_checked(command).ok()) << from;
}
}  // namespace

Result<std::unique_ptr<WalServer>> WalServer::create(int major, int wal_segment_mib,
                                                     const std::map<std::string, std::string>& settings) {
  auto scratch = TRY(servers::ScratchDirectory::create());
  std::unique_ptr<WalServer> made(new WalServer(std::move(scratch)));
  servers::PostgresOptions options;
  options.major = major;
  options.wal_segment_mib = wal_segment_mib;
  options.settings = settings;
  options.settings.emplace("max_wal_size", fmt::format("{}MB", std::max(64, 4 * wal_segment_mib)));
  options.settings.emplace("min_wal_size", fmt::format("{}MB", std::max(2, 2 * wal_segment_mib)));
  made->server_ = TRY(servers::PrivatePostgres::create(made->scratch_.file("data"), options));
  TRY(made->server_->start());
  made->connection_.conninfo = made->server_->conninfo();
  const std::string id = TRY(made->server_->value("SELECT system_identifier FROM pg_control_system()"));
  made->identity_ = {"db", std::stoull(id), static_cast<uint64_t>(wal_segment_mib) << 20};
  made->archive_ = TRY(WalArchive::open(made->store_, system_clock(), made->identity_));
  return made;
}

std::unique_ptr<WalArchive> WalServer::another_archive() { return another_archive(store_); }

std::unique_ptr<WalArchive> WalServer::another_archive(repo::LogStore& store) {
  return WalArchive::open(store, system_clock(), identity_).value();
}

void WalServer::connect_as(const std::string& role) {
  connection_.conninfo = conninfo_with(connection_.conninfo, "user", role);
}

void WalServer::keep_copy() {
  ASSERT_TRUE(server_->stop().ok());
  copy(server_->data_directory(), scratch_.file("kept"));
  ASSERT_TRUE(server_->start().ok());
}

void WalServer::set_back() {
  server_->kill();
  ASSERT_TRUE(remove_tree(real_file_system(), server_->data_directory()).ok());
  copy(scratch_.file("kept"), server_->data_directory());
  ASSERT_TRUE(server_->start().ok());
}

std::string WalServer::sql(const std::string& statement) {
  auto session = server_->connect();
  EXPECT_TRUE(session.ok()) << session.error().text();
  if (!session.ok()) return "";
  const auto rows = session.value()->exec(statement);
  EXPECT_TRUE(rows.ok()) << rows.error().text();
  if (!rows.ok() || rows.value().size() == 0) return "";
  return std::string(rows.value().at(0, 0));
}

Lsn WalServer::flushed() { return parse_lsn(sql("SELECT pg_current_wal_flush_lsn()")).value(); }

Bytes WalServer::segment_file(const std::string& name) {
  auto content = read_file(real_file_system(), server_->data_directory() + "/pg_wal/" + name);
  EXPECT_TRUE(content.ok()) << content.error().text();
  return content.ok() ? std::move(content).value() : Bytes();
}

LiveReceiver::LiveReceiver(WalServer& server, const ReceiverOptions& options, repo::LogStore& store)
    : archive_(server.another_archive(store)) {
  thread_ = std::jthread([this, &server, options] {
    auto outcome =
        receive_wal(server.connection(), *archive_, system_clock(), options, stop_, [this](const ReceiverState& state) {
          std::lock_guard lock(mutex_);
          state_ = state;
        });
    std::lock_guard lock(mutex_);
    if (!outcome.ok()) problem_ = outcome.error().text();
    ended_ = true;
  });
}

LiveReceiver::~LiveReceiver() { stop_ = true; }

std::string LiveReceiver::stop() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
  std::lock_guard lock(mutex_);
  return problem_;
}

ReceiverState LiveReceiver::state() const {
  std::lock_guard lock(mutex_);
  return state_;
}

ReceiverOptions receiver_options() {
  ReceiverOptions options;
  options.slot = "holdfast_test";
  options.flush_interval = Duration::milliseconds(50);
  options.mark_interval = Duration::milliseconds(200);
  return options;
}

Lsn stored_end(WalArchive& archive, uint32_t timeline) {
  Lsn end;
  const auto pieces = archive.pieces();
  EXPECT_TRUE(pieces.ok()) << pieces.error().text();
  if (!pieces.ok()) return end;
  for (const WalPiece& piece : pieces.value())
    if (piece.timeline == timeline) end = std::max(end, piece.to);
  return end;
}

std::vector<uint32_t> stored_commits(WalArchive& archive, uint32_t timeline, Lsn from) {
  std::vector<uint32_t> xids;
  const auto path = WalPath::follow(archive, timeline, from);
  EXPECT_TRUE(path.ok()) << path.error().text();
  if (!path.ok()) return xids;
  const auto read = path.value().events(from, path.value().end(), [&](const WalEvent& event) {
    if (event.kind == WalEventKind::kCommit) xids.push_back(event.xid);
    return true;
  });
  EXPECT_TRUE(read.ok()) << read.error().text();
  return xids;
}

}  // namespace holdfast::wal_test
