#pragma once

#include <string>
#include <vector>

#include "base/filesystem.h"
#include "base/result.h"
#include "recovery/settings.h"

namespace holdfast::recovery {

// A Redis server that was found on this machine (or where REDIS_URL points).
struct FoundRedis {
  std::string connection;  // address as holdfast.yaml has it, without a password
  std::string password;    // secret reference or ""
  std::string version;
  std::string data_directory;     // as the server says, where it is one of this machine; else ""
  bool password_missing = false;  // it wants one that no reference tells: REDIS_URL holds it
};

struct RedisDiscovery {
  std::vector<FoundRedis> servers;
  // What was seen but could not be asked: "redis://127.0.0.1:6379: NOAUTH ...".
  std::vector<std::string> refused;
};

// Where sockets of local servers are.
std::vector<std::string> usual_redis_sockets();

// Looks at REDIS_URL, at 127.0.0.1:6379, and at the sockets in these directories. The
// password is REDIS_PASSWORD's, else the one that REDIS_URL holds, which is used to ask the
// server and stands nowhere else. A server is listed once.
RedisDiscovery discover_redis(FileSystem& fs, const EnvironmentLookup& environment,
                              const std::vector<std::string>& socket_directories);

// The server at an address that somebody named; its password is REDIS_PASSWORD's. Errors of
// connecting to it.
Result<FoundRedis> ask_redis(const std::string& address, const EnvironmentLookup& environment);

}  // namespace holdfast::recovery
