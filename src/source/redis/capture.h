#pragma once

#include "repo/point.h"
#include "repo/repository.h"
#include "source/redis/connection.h"
#include "source/redis/replication.h"
#include "source/source.h"

namespace holdfast::redis {

// Takes a server's RDB into `session`, as a replica that goes away behind it. One try:
// each costs the server a fork. Errors are those of ServerSession and RdbStream.
// The returned snapshot has no component name yet.
Result<repo::Snapshot> capture(source::World& world, repo::WriteSession& session, const Connection& connection);

// The same for a connection whose answer to PSYNC was `answer`, a full one; what comes
// behind the RDB stays in the connection.
Result<repo::Snapshot> capture_rdb(source::World& world, repo::WriteSession& session, ReplicationSession& replication,
                                   const SyncAnswer& answer);

}  // namespace holdfast::redis
