#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "recovery/points.h"
#include "recovery/workspace.h"
#include "repo/log_store.h"
#include "repo/point.h"
#include "repo/point_dates.h"
#include "source/redis/command_log.h"
#include "source/redis/connection.h"
#include "source/redis/receiver.h"

namespace holdfast::recovery {

// Of a Redis component that says nowhere where `restore` is to put it, for people; "" of others.
std::string no_place_note(const ComponentConfig& component);

// The component's server, with its password resolved.
Result<redis::Connection> redis_connection_of(const ComponentConfig& component);

// Whether the server was known to have users of the ACL, which no restore of the snapshot brings back.
bool lacks_users(const repo::Snapshot& snapshot);

// Takes the component's RDB into a point that is being written.
Result<repo::Snapshot> capture_redis(source::World& world, repo::WriteSession& session,
                                     const ComponentConfig& component);

// What is known of when points were taken, beside what they say. Listed once, when it is first
// needed: one is made for a command, and passed. Not thread-safe.
class PointDates {
 public:
  explicit PointDates(Workspace& workspace) : workspace_(workspace) {}
  // The others may be called once this was.
  Result<void> know();
  Time now() const { return now_; }
  Time stored_at(const SnapshotRef& ref) const;
  bool is_wrong(const SnapshotRef& ref) const;  // dated by a clock that was ahead

 private:
  Workspace& workspace_;
  Time now_;
  std::optional<repo::StoredTimes> stored_;
};

// The component's snapshots of kind redis, by instant. Of those that were dated in the future when
// they were stored, or still are, only what was stored after the last with a right date.
Result<std::vector<SnapshotRef>> redis_snapshots(PointDates& dates, const std::vector<repo::Point>& points,
                                                 const std::string& component);

// The log of a Redis component, and the store that it reads.
struct RedisLog {
  std::unique_ptr<repo::LogStore> store;  // outlives the log
  std::unique_ptr<redis::CommandLog> log;
};
// Counts on the snapshots that have right dates. Who asks for instants, or goes to one, gives all
// that the component has, so that all find alike what can be reached.
Result<RedisLog> open_redis_log(Workspace& workspace, const std::string& component,
                                const std::vector<SnapshotRef>& snapshots, PointDates& dates);
// The same counting on none, for who reads to a place that is settled.
Result<RedisLog> open_redis_log(Workspace& workspace, const std::string& component);

// Instants that can be restored to, without a gap between them. Of the list of snapshots
// given (as indices): `begins` are the first, each with which it goes on along another
// history, and the one at which it ends; `astray` are those that one before them outlives. One of another history that
// the server is not proven to have left (redis::is_left_for) ends what is before it.
struct RedisWindow {
  Time from, until;
  std::vector<size_t> begins, astray;
};
// Joins what each snapshot and the log behind it reach. By instant, as redis_snapshots() are.
Result<std::vector<RedisWindow>> find_windows(redis::CommandLog& log, const std::vector<SnapshotRef>& snapshots);

// Between two windows.
struct RedisWindowGap {
  Time from, until;
  std::string reason;
};

// What is stored of one component between its snapshots.
struct RedisLogState {
  std::string component;
  uint64_t records = 0, stored_bytes = 0;
  std::vector<redis::LogRange> ranges;
  std::vector<redis::LogLink> links;
  std::vector<redis::LogAbsence> absences;
  std::vector<RedisWindow> windows;  // oldest first
  std::vector<RedisWindowGap> gaps;
};
// Of every component that has a log or a snapshot, and is the stack's.
Result<std::vector<RedisLogState>> redis_log_states(Workspace& workspace);

// What can be restored of a snapshot's history: until its log ends or has a gap; its own
// instant when there is no log.
Result<Time> protected_until(redis::CommandLog& log, const repo::Snapshot& snapshot);

// Follows the component's server until the machine's progress is stopped. A snapshot that the
// server sends because it can't go on is committed as a recovery point of this component.
Result<void> receive_redis(Workspace& workspace, const ComponentConfig& component,
                           const std::function<void(const redis::ReceiverState&)>& on_state);

}  // namespace holdfast::recovery
