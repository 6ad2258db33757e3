#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "source/redis/connection.h"

namespace holdfast::redis_test {

// A redis-server of the test's own in a directory that the caller gives and keeps: its
// socket in it, no port unless an argument says so, no saving by itself. Killed by the
// destructor. Not thread-safe.
class RedisServer {
 public:
  // `arguments`: "--name", "value", ... Starts it and waits until it answers.
  static std::unique_ptr<RedisServer> start(const std::string& directory, std::vector<std::string> arguments = {});
  ~RedisServer();

  // Again, with what is in the directory.
  void start_again();
  void stop(bool save);  // SHUTDOWN, waits
  void kill();           // SIGKILL, waits

  redis::Connection connection() const;
  std::string socket() const { return directory_ + "/redis.sock"; }
  std::unique_ptr<redis::ServerSession> connect() const;
  // One command; the reply's text (an integer's digits). A test failure when it is an error.
  std::string run(const std::vector<std::string_view>& words) const;
  std::string info(const std::string& name) const;
  std::string digest() const;  // digest_of_all()

 private:
  RedisServer(std::string directory, std::vector<std::string> arguments)
      : directory_(std::move(directory)), arguments_(std::move(arguments)) {}
  void spawn();
  void await_end();
  bool answers() const;

  std::string directory_;
  std::vector<std::string> arguments_;
  pid_t pid_ = 0;
};

// A port that is free now.
uint16_t free_port();
bool has_redis();

}  // namespace holdfast::redis_test
