#include "redis/redis_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/filesystem.h"
#include "servers/wait.h"
#include "source/redis/test_digest.h"

namespace holdfast::redis_test {

namespace {

constexpr const char* kProgram = "/usr/bin/redis-server";

}  // namespace

bool has_redis() { return access(kProgram, X_OK) == 0; }

uint16_t free_port() {
  const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  EXPECT_EQ(bind(descriptor, reinterpret_cast<sockaddr*>(&address), length), 0);
  EXPECT_EQ(getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &length), 0);
  close(descriptor);
  return ntohs(address.sin_port);
}

std::unique_ptr<RedisServer> RedisServer::start(const std::string& directory, std::vector<std::string> arguments) {
  EXPECT_TRUE(make_directories(real_file_system(), directory).ok());
  std::unique_ptr<RedisServer> server(new RedisServer(directory, std::move(arguments)));
  server->start_again();
  return server;
}

RedisServer::~RedisServer() {
  if (pid_ > 0) kill();
}

void RedisServer::start_again() {
  spawn();
  EXPECT_TRUE(servers::wait_until([&] { return answers(); }, Duration::seconds(60)))
      << "redis-server in " << directory_;
}

void RedisServer::spawn() {
  std::vector<std::string> words = {kProgram,     "--port",    "0",   "--unixsocket",
                                    "redis.sock", "--save",    "",    "--enable-debug-command",
                                    "yes",        "--logfile", "log", "--repl-diskless-sync-delay",
                                    "0"};
  words.insert(words.end(), arguments_.begin(), arguments_.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const pid_t parent = getpid();
  pid_ = fork();
  ASSERT_GE(pid_, 0);
  if (pid_ > 0) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent || chdir(directory_.c_str()) != 0) _exit(1);
  const int null = open("/dev/null", O_RDWR);
  for (const int descriptor : {0, 1, 2}) dup2(null, descriptor);
  execv(argv[0], argv.data());
  _exit(1);
}

bool RedisServer::answers() const {
  auto session = redis::ServerSession::connect(connection());
  return session.ok() || session.error().code() == ErrorCode::kPermission;
}

void RedisServer::await_end() {
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = 0;
}

void RedisServer::stop(bool save) {
  auto session = connect();
  ignore(session->ask({"SHUTDOWN", save ? "SAVE" : "NOSAVE"}), "the connection ends instead of an answer");
  await_end();
}

void RedisServer::kill() {
  ::kill(pid_, SIGKILL);
  await_end();
}

redis::Connection RedisServer::connection() const {
  redis::Connection connection;
  connection.socket = socket();
  return connection;
}

std::unique_ptr<redis::ServerSession> RedisServer::connect() const {
  auto session = redis::ServerSession::connect(connection());
  EXPECT_TRUE(session.ok()) << session.error().text();
  return std::move(session).value();
}

std::string RedisServer::run(const std::vector<std::string_view>& words) const {
  auto reply = connect()->command(words);
  EXPECT_TRUE(reply.ok()) << (reply.ok() ? "" : reply.error().text());
  if (!reply.ok()) return "";
  return reply->kind == redis::Reply::Kind::kInteger ? std::to_string(reply->integer) : reply->text;
}

std::string RedisServer::digest() const {
  auto digest = redis::digest_of_all(*connect());
  EXPECT_TRUE(digest.ok()) << (digest.ok() ? "" : digest.error().text());
  return digest.ok() ? std::move(digest).value() : "";
}

std::string RedisServer::info(const std::string& name) const { return redis::info_value(run({"INFO"}), name); }

}  // namespace holdfast::redis_test
