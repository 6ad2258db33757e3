#pragma once

#include <string>
#include <vector>

#include "recovery/discover_redis.h"
#include "recovery/settings.h"
#include "source/postgres/capture.h"

namespace holdfast::recovery {

// A PostgreSQL server that was found on this machine (or where DB_HOST points).
struct FoundServer {
  std::string connection;  // without a password
  std::string password;    // secret reference or ""
  postgres::ClusterIdentity identity;
};

struct Discovery {
  std::vector<FoundServer> servers;
  // What was seen but could not be asked: "host=/run/postgresql port=5432: no role ...".
  std::vector<std::string> refused;
};

// Looks at DB_* and PG* variables, at sockets in the usual directories, and at
// the postmaster.pid of running servers. A cluster is listed once.
Discovery discover_servers(FileSystem& fs, const EnvironmentLookup& environment);

// What `holdfast init` writes: a commented holdfast.yaml.
struct NewStack {
  std::string stack;
  std::string repository;  // absolute
  std::string passphrase;  // secret reference
  std::vector<FoundServer> servers;
  std::vector<FoundRedis> redis;
  std::vector<std::string> paths;  // of one files component; empty: none
};
std::string write_stack(const NewStack& stack);

}  // namespace holdfast::recovery
