#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "base/filesystem.h"
#include "base/subprocess.h"
#include "source/postgres/private_server.h"

namespace holdfast::postgres {

// A private PostgreSQL server for tests, under a directory of its own that the
// destructor removes. Runs as an unprivileged user when the tests are root.
class TestCluster {
 public:
  struct Options {
    bool checksums = true;
    std::vector<std::string> settings;  // lines of postgresql.conf
    std::vector<std::string> initdb;    // further arguments of initdb
  };
  static bool available() { return find_bin_directory(0).ok(); }

  static Result<std::unique_ptr<TestCluster>> create(const Options& options) {
    auto cluster = TRY(prepare());
    std::vector<std::string> argv = {"initdb", "-A", "trust", "-U", "postgres", "-N", "-D", cluster->data_};
    if (options.checksums) argv.push_back("-k");
    argv.insert(argv.end(), options.initdb.begin(), options.initdb.end());
    TRY(cluster->run(argv));
    std::string lines = "fsync = off\nautovacuum = off\nmax_wal_size = 2GB\n";
    for (const std::string& line : options.settings) lines += line + "\n";
    TRY(cluster->append_configuration(lines));
    TRY(cluster->start());
    return cluster;
  }
  static Result<std::unique_ptr<TestCluster>> create() { return create(Options()); }
  // For a data directory that something else makes at data(); not started.
  static Result<std::unique_ptr<TestCluster>> prepare() {
    std::unique_ptr<TestCluster> cluster(new TestCluster());
    const char* temporary = std::getenv("TMPDIR");
    std::string pattern = std::string(temporary ? temporary : "/tmp") + "/hfXXXXXX";
    if (!mkdtemp(pattern.data())) return Error::from_errno(errno, pattern);
    cluster->scratch_ = pattern;
    cluster->data_ = pattern + "/data";
    cluster->user_ = TRY(server_user(pattern));
    cluster->bin_ = TRY(find_bin_directory(0));
    TRY(real_file_system().make_directory(pattern + "/s", 0700));
    cluster->own(pattern);
    cluster->own(pattern + "/s");
    return cluster;
  }
  ~TestCluster() {
    server_.reset();
    if (!scratch_.empty()) ignore(remove_tree(real_file_system(), scratch_), "a test's leftovers");
  }

  Result<void> start() {
    PrivateServer::Options options;
    options.bin_directory = bin_;
    options.data_directory = data_;
    options.socket_directory = scratch_ + "/s";
    options.log_path = scratch_ + "/log";
    options.user = user_;
    server_ = TRY(PrivateServer::start(options));
    return {};
  }
  Result<void> stop(const std::string& mode = "fast") {
    if (!server_) return {};
    auto stopped = server_->stop(mode);
    server_.reset();
    return stopped;
  }
  const std::string& data() const { return data_; }
  const std::string& scratch() const { return scratch_; }
  const ServerUser& user() const { return user_; }
  const Connection& connection() const { return server_->connection(); }
  std::string log() const { return as_text(read_file(real_file_system(), scratch_ + "/log").value()).data(); }

  // The last statement's first value ("" when it returns no rows).
  Result<std::string> sql(const std::string& statement, const std::string& database = "postgres") {
    SessionOptions options;
    options.database = database;
    auto session = TRY(ServerSession::connect(connection(), options));
    TRY(session->exec("set search_path to public"));
    auto rows = TRY(session->exec(statement));
    return rows.size() > 0 && rows.columns() > 0 ? std::string(rows.at(0, 0)) : std::string();
  }
  // A program of the server's, as the server's user.
  Result<std::string> run(std::vector<std::string> argv) {
    if (server_) return server_->run(std::move(argv), Duration::seconds(120));
    CommandOptions command;
    argv[0] = join_path(bin_, argv[0]);
    command.argv = std::move(argv);
    command.uid = user_.uid;
    command.gid = user_.gid;
    command.working_directory = scratch_;
    command.deadline = Duration::seconds(120);
    return TRY(run_command_checked(command)).output;
  }
  Result<void> append_configuration(const std::string& lines) {
    const std::string path = data_ + "/postgresql.conf";
    Bytes content = TRY(read_file(real_file_system(), path));
    content.append(lines);
    TRY(write_file_durably(real_file_system(), path, content, 0600));
    own(path);
    return {};
  }
  void own(const std::string& path) const {
    if (user_.uid) {
      EXPECT_EQ(0, ::chown(path.c_str(), *user_.uid, *user_.gid)) << path;
    }
  }

 private:
  TestCluster() = default;
  std::string scratch_, data_, bin_;
  ServerUser user_;
  std::unique_ptr<PrivateServer> server_;
};

#define SKIP_WITHOUT_SERVER()                          \
  if (!::holdfast::postgres::TestCluster::available()) \
  GTEST_SKIP() << "no PostgreSQL server programs here: install postgresql-15 or set HOLDFAST_PG_BIN"

// For TRY-like use in tests: fails the test with the error's words.
#define ASSERT_OK(expression)                                                \
  do {                                                                       \
    auto&& assert_ok_result_ = (expression);                                 \
    ASSERT_TRUE(assert_ok_result_.ok()) << assert_ok_result_.error().text(); \
  } while (false)

}  // namespace holdfast::postgres
