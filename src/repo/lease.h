#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "repo/repository.h"

namespace holdfast::repo {

// ---- Leases say who is at work in a repository. docs/format.md, "Leases".
//
// A lease is an object `leases/<id>.<sequence>`. It is renewed by creating its
// successor (the same id, the next sequence); the one before stays until the next
// renewal, so that a listing that runs meanwhile sees at least one of them. All
// times are the store's (server_time()): machines' clocks don't matter.

enum class LeaseKind { kWriter, kReader, kCollector };
std::string_view lease_kind_name(LeaseKind kind);

struct LeaseInfo {
  std::string id;  // 16 hex digits, random
  uint32_t sequence = 0;
  LeaseKind kind = LeaseKind::kReader;
  std::string host, user, purpose;  // for people
  int64_t pid = 0;
  std::string process;  // process_mark.h; "" when unknown
  Time since;           // when it was first taken: read before the object was made
  Time expires;
  Time made;           // its newest object, by the store
  std::string object;  // its newest object's name
  std::string point;   // of a writer that has concluded: what it has committed, in hex; else ""
};

struct LeaseOptions {
  LeaseKind kind = LeaseKind::kReader;
  std::string purpose;
  Duration term = Duration::hours(1);
  bool renew_in_background = true;  // a thread renews it every third of the term
};

// A lease that this process holds. Thread-safe. The environment outlives it.
//
// A writer takes its lease first, then loads the tombstones (load_tombstones()),
// then the index: in this order, or collection may remove what it builds on.
class Lease {
 public:
  // kLocked: another live collector holds the exclusive kind (the error says who).
  static Result<std::unique_ptr<Lease>> take(Environment& environment, const LeaseOptions& options);
  // Releases; a failure to do so is logged (the lease then ends by itself).
  ~Lease();
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

  // Fails with kLeaseLost unless the lease still holds for at least `margin`.
  // Once lost it stays lost. A committer calls it right before it creates the
  // point (margin: kCommitMargin) and right after (no margin; on failure the point
  // is removed again).
  static constexpr Duration kCommitMargin = Duration::seconds(60);
  Result<void> ensure_held(Duration margin = {});
  // Renews it unless it was within the last kCommitMargin: a committer calls it before the point
  // is created, as what is left of one that is killed tells no later instant (sweep_leases()).
  // kLeaseLost also when somebody has removed its object.
  Result<void> freshen();
  // Creates the successor now. kLeaseLost when it came too late, or somebody has removed the object.
  Result<void> renew();
  // Removes the lease's objects. Later calls do nothing.
  Result<void> release();
  // For a writer that has committed `point`: ends the lease, and leaves a last object that says
  // when and what. Who sees a listing of the points that is older than the commit knows by it that
  // there is one more. Removes those that others left so long ago that none looks for them. Where
  // the last object can't be stored the lease stays as it is, until it expires. Later calls of
  // release() do nothing.
  Result<void> conclude(const std::string& point);

  LeaseInfo info() const;

 private:
  Lease(Environment& environment, const LeaseOptions& options);
  Result<void> create_next(Time expires);
  Result<void> renew_locked();
  Result<void> ensure_there(const std::string& object);
  Result<void> ensure_alone();
  void stop_renewing();
  Result<void> remove_objects();
  Error lost_error();
  void renew_until_stopped(std::stop_token stop);

  Environment& environment_;
  const LeaseOptions options_;
  mutable std::mutex mutex_;
  LeaseInfo info_;
  std::vector<std::string> objects_;   // made and not removed yet, oldest first
  std::vector<std::string> doubtful_;  // create() failed, so nobody knows
  uint32_t next_sequence_ = 0;
  bool lost_ = false;
  std::string removed_;  // the object that somebody has removed
  bool released_ = false;
  std::condition_variable_any stopping_;
  std::jthread renewer_;
};

// Leases that have not expired and whose holder is not known to have been killed
// (process_mark.h), the newest state of each, by id. An object that
// can't be understood is told to `damaged` when given; it counts as a writer's who
// began before everything, until kDamagedTerm after it was made.
constexpr Duration kDamagedTerm = Duration::hours(24);
using OnDamagedObject = std::function<void(const std::string& object, const Error& error)>;
Result<std::vector<LeaseInfo>> live_leases(store::ObjectStore& store, const OnDamagedObject& damaged = nullptr);
// The same, and those that expired or were concluded within the last `ended_within`.
Result<std::vector<LeaseInfo>> recent_leases(store::ObjectStore& store, Duration ended_within,
                                             const OnDamagedObject& damaged = nullptr);

// Whether a writer is at work that has not committed yet.
Result<bool> is_being_written(Repository& repository);

// Removes the objects of leases that have ended, and not within the last `ended_within`; of a writer that
// was killed nobody knows when it ended, but that it committed nothing later than Lease::kCommitMargin
// after its newest object. Returns how many.
Result<uint64_t> sweep_leases(store::ObjectStore& store, Duration ended_within);

}  // namespace holdfast::repo
