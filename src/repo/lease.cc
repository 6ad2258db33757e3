#include "repo/lease.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <map>

#include "base/accounts.h"
#include "base/log.h"
#include "repo/access.h"
#include "repo/checked_json.h"
#include "repo/host.h"
#include "repo/object_names.h"
#include "repo/process_mark.h"
#include "repo/read_whole.h"
#include "repo/visibility.h"

namespace holdfast::repo {
namespace {

// A name under leases/, taken apart.
struct LeaseName {
  std::string id;
  uint32_t sequence = 0;
};

std::string lease_name(const std::string& id, uint32_t sequence) {
  return fmt::format("{}{}.{:08x}", kLeasesPrefix, id, sequence);
}

std::optional<LeaseName> parse_lease_name(std::string_view name) {
  name.remove_prefix(kLeasesPrefix.size());
  if (name.size() != 25 || name[16] != '.') return std::nullopt;
  const Bytes id = from_hex(name.substr(0, 16)), sequence = from_hex(name.substr(17));
  if (id.size() != 8 || sequence.size() != 4) return std::nullopt;
  uint32_t number = 0;
  for (const uint8_t byte : sequence) number = number << 8 | byte;
  return LeaseName{std::string(name.substr(0, 16)), number};
}

nlohmann::json to_json(const LeaseInfo& lease) {
  nlohmann::json json = {{"kind", lease_kind_name(lease.kind)},      {"host", printable_text(lease.host)},
                         {"user", printable_text(lease.user)},       {"pid", lease.pid},
                         {"purpose", printable_text(lease.purpose)}, {"since_ns", lease.since.ns},
                         {"expires_ns", lease.expires.ns},           {"process", lease.process}};
  if (!lease.point.empty()) json["point"] = lease.point;
  return json;
}

Result<LeaseKind> parse_kind(const std::string& name) {
  for (const LeaseKind kind : {LeaseKind::kWriter, LeaseKind::kReader, LeaseKind::kCollector}) {
    if (name == lease_kind_name(kind)) return kind;
  }
  return make_error(ErrorCode::kInvalidData, "unknown kind of lease \"{}\"", name);
}

Result<LeaseInfo> decode_lease(ByteView bytes, const std::string& object, const LeaseName& name) {
  const nlohmann::json json = TRY(decode_checked_json(bytes, object));
  LeaseInfo lease;
  lease.id = name.id;
  lease.sequence = name.sequence;
  lease.object = object;
  lease.kind = TRY(parse_kind(TRY(string_field(json, "kind"))));
  lease.host = TRY(string_field(json, "host"));
  lease.user = TRY(string_field(json, "user"));
  lease.purpose = TRY(string_field(json, "purpose"));
  lease.pid = TRY(signed_field(json, "pid"));
  lease.since.ns = TRY(signed_field(json, "since_ns"));
  lease.expires.ns = TRY(signed_field(json, "expires_ns"));
  if (json.contains("process")) lease.process = TRY(string_field(json, "process"));
  if (json.contains("point")) lease.point = TRY(string_field(json, "point"));
  return lease;
}

// What an unreadable lease object stands for: somebody who may be using anything.
LeaseInfo unknown_lease(const store::ObjectInfo& object, const std::string& id) {
  LeaseInfo lease;
  lease.id = id;
  lease.kind = LeaseKind::kWriter;
  lease.host = "an unknown host";
  lease.purpose = fmt::format("unreadable lease {}", object.name);
  lease.since = {INT64_MIN};
  lease.expires = object.modified + kDamagedTerm;
  lease.object = object.name;
  return lease;
}

// The newest object of each lease, live or not. An object that is gone when it is
// to be read was released, or replaced twice: whoever finds that lists again.
struct LeaseState {
  std::map<std::string, LeaseInfo> newest;
  std::vector<std::pair<std::string, LeaseName>> objects;
  std::vector<store::ObjectInfo> foreign;  // names that are none of ours
  bool changed = false;
};

Result<LeaseState> list_leases(store::ObjectStore& store, const OnDamagedObject& damaged) {
  std::map<std::string, std::pair<store::ObjectInfo, LeaseName>> newest;
  LeaseState state;
  TRY(store.list(kLeasesPrefix, [&](const store::ObjectInfo& object) -> Result<void> {
    const auto name = parse_lease_name(object.name);
    if (!name) {
      state.foreign.push_back(object);
      if (damaged)
        damaged(object.name, make_error(ErrorCode::kInvalidData, "object {} is not named as a lease is", object.name));
      return {};
    }
    state.objects.emplace_back(object.name, *name);
    auto& best = newest[name->id];
    if (best.first.name.empty() || best.second.sequence < name->sequence) best = {object, *name};
    return {};
  }));
  for (const auto& [id, found] : newest) {
    const auto& [object, name] = found;
    auto bytes = read_whole(store, object.name);
    if (!bytes.ok() && bytes.error().code() == ErrorCode::kNotFound) {
      state.changed = true;
      continue;
    }
    if (!bytes.ok() && bytes.error().code() != ErrorCode::kDamaged) return std::move(bytes).error();
    auto lease =
        bytes.ok() ? decode_lease(bytes.value(), object.name, name) : Result<LeaseInfo>(std::move(bytes).error());
    if (!lease.ok() && damaged) damaged(object.name, lease.error());
    state.newest[id] = lease.ok() ? std::move(lease).value() : unknown_lease(object, id);
    state.newest[id].made = object.modified;
  }
  return state;
}

// By the store's clock, and not within the last `not_within`; or because its holder was killed on
// this machine: such a one does nothing more, and all that it did was done before we looked.
bool has_ended(const LeaseInfo& lease, Time now, Duration not_within) {
  if (lease.expires <= now) return lease.expires + not_within <= now;
  return is_proven_dead(static_cast<pid_t>(lease.pid), lease.process);
}

// A machine that can't tell that a writer was killed goes by its lease, as long as its listing of the
// points may be older than what that writer has committed.
bool may_be_swept(const LeaseInfo& lease, Time now, Duration ended_within) {
  if (lease.expires > now && lease.kind == LeaseKind::kWriter && lease.made + Lease::kCommitMargin + ended_within > now)
    return false;
  return has_ended(lease, now, ended_within);
}

// What a person has to mend comes first: which repository, and what it is that it lacks.
Error not_writable(Error error, const store::ObjectStore& store) {
  const ErrorCode code = error.code();
  const bool permission = code == ErrorCode::kPermission, full = code == ErrorCode::kNoSpace;
  const std::string hint = !error.hint().empty() ? error.hint()
                           : permission ? fmt::format("give account {} write access to it, or mount it for writing",
                                                      account_label(::geteuid()))
                           : full       ? "make room on its disk: without some even 'holdfast prune' can't free any"
                                        : "";
  const bool retryable = error.retryable();
  Error told = make_error(code, "the repository at {} {}: {}", store.location(),
                          permission ? "is not writable"
                          : full     ? "is full"
                                     : "could not be written",
                          std::move(error).with_hint("").text())
                   .with_hint(hint);
  return std::move(told).with_retryable(retryable);
}

}  // namespace

std::string_view lease_kind_name(LeaseKind kind) {
  switch (kind) {
    case LeaseKind::kWriter: return "writer";
    case LeaseKind::kReader: return "reader";
    case LeaseKind::kCollector: return "collector";
  }
  return "unknown";
}

Lease::Lease(Environment& environment, const LeaseOptions& options) : environment_(environment), options_(options) {
  std::array<uint8_t, 8> id;
  environment.random.fill(id);
  info_.id = to_hex(id);
  info_.kind = options.kind;
  info_.host = host_name();
  info_.user = account_label(::geteuid());
  info_.pid = getpid();
  info_.process = own_process_mark();
  info_.purpose = options.purpose;
}

Result<std::unique_ptr<Lease>> Lease::take(Environment& environment, const LeaseOptions& options) {
  std::unique_ptr<Lease> lease(new Lease(environment, options));
  auto since = environment.store.server_time();
  if (!since.ok()) return not_writable(std::move(since).error(), environment.store);
  lease->info_.since = since.value();
  auto created = lease->create_next(lease->info_.since + options.term);
  if (!created.ok()) return not_writable(std::move(created).error(), environment.store);
  TRY(lease->ensure_held());
  if (options.kind == LeaseKind::kCollector) TRY(lease->ensure_alone());
  if (options.renew_in_background) {
    lease->renewer_ = std::jthread([raw = lease.get()](std::stop_token stop) { raw->renew_until_stopped(stop); });
  }
  return lease;
}

Lease::~Lease() {
  const bool was_made = !info_.object.empty();
  const auto released = release();
  // Where nothing may be written nothing was made.
  const bool is_nothing_left = !was_made && !released.ok() && released.error().code() == ErrorCode::kPermission;
  if (!released.ok() && !is_nothing_left)
    log_warn("repo.lease.not_released", {{"lease", info_.object}, {"error", released.error().text()}});
}

// Two collectors that begin at once both see the other and both give up: each
// makes its object before it looks.
Result<void> Lease::ensure_alone() {
  for (const LeaseInfo& other : TRY(live_leases(environment_.store))) {
    if (other.kind != LeaseKind::kCollector || other.id == info_.id) continue;
    return make_error(ErrorCode::kLocked, "{} collects already: process {} on {}, since {}", other.user, other.pid,
                      other.host, format_rfc3339(other.since))
        .with_hint(fmt::format("wait for it; if it was killed on another machine, its lease ends at {}",
                               format_rfc3339(other.expires)));
  }
  return {};
}

Result<void> Lease::create_next(Time expires) {
  LeaseInfo next = info_;
  next.sequence = next_sequence_++;
  next.expires = expires;
  next.object = lease_name(next.id, next.sequence);
  auto created = environment_.store.create(next.object, encode_checked_json(to_json(next)));
  (created.ok() ? objects_ : doubtful_).push_back(next.object);
  TRY(std::move(created));
  info_ = next;
  return {};
}

Error Lease::lost_error() {
  lost_ = true;
  if (!removed_.empty()) {
    return make_error(ErrorCode::kLeaseLost, "{}, the lease for \"{}\", was removed before the work ended", removed_,
                      info_.purpose)
        .with_hint("nothing was committed; run it again");
  }
  return make_error(ErrorCode::kLeaseLost, "the lease for \"{}\" ended at {}, before the work did", info_.purpose,
                    format_rfc3339(info_.expires))
      .with_hint("nothing was committed; run it again");
}

Result<void> Lease::ensure_held(Duration margin) {
  std::lock_guard lock(mutex_);
  if (lost_ || released_) return lost_error();
  Time now = TRY(environment_.store.server_time());
  if (now >= info_.expires) return lost_error();
  if (now + margin < info_.expires) return {};
  TRY(renew_locked());
  now = TRY(environment_.store.server_time());
  if (now + margin >= info_.expires) return lost_error();
  return {};
}

// A collection may have seen nobody since it went. A store that is mounted elsewhere may be seen
// as it was about a minute ago.
Result<void> Lease::ensure_there(const std::string& object) {
  const auto there = environment_.store.stat(object);
  if (there.ok()) return {};
  if (there.error().code() != ErrorCode::kNotFound) return there.error().clone();
  removed_ = object;
  return lost_error();
}

Result<void> Lease::freshen() {
  std::lock_guard lock(mutex_);
  if (lost_ || released_) return lost_error();
  TRY(ensure_there(info_.object));
  const Time now = TRY(environment_.store.server_time());
  if (info_.expires - options_.term + kCommitMargin > now) return {};
  return renew_locked();
}

Result<void> Lease::renew() {
  std::lock_guard lock(mutex_);
  return renew_locked();
}

// The successor must be there for all to see before the predecessor ends or is removed, or a
// collector may have looked in between and seen nobody.
Result<void> Lease::renew_locked() {
  if (lost_ || released_) return lost_error();
  const Time before = TRY(environment_.store.server_time());
  const LeaseInfo held = info_;
  if (before >= held.expires) return lost_error();
  TRY(create_next(before + options_.term));
  // Until it is known that it came in time the old end counts: a store that hung may have let that pass.
  LeaseInfo next = std::exchange(info_, held);
  TRY(ensure_there(held.object));
  if (TRY(environment_.store.server_time()) >= held.expires) return lost_error();
  info_ = std::move(next);
  while (objects_.size() > 2) {
    auto removed = environment_.store.remove(objects_.front());
    if (!removed.ok() && removed.error().code() != ErrorCode::kNotFound) {
      log_debug("repo.lease.predecessor_stays", {{"lease", objects_.front()}, {"error", removed.error().text()}});
    }
    objects_.erase(objects_.begin());
  }
  return {};
}

Result<void> Lease::release() {
  stop_renewing();
  std::lock_guard lock(mutex_);
  if (released_) return {};
  released_ = true;
  objects_.insert(objects_.begin(), doubtful_.begin(), doubtful_.end());
  return remove_objects();
}

Result<void> Lease::conclude(const std::string& point) {
  stop_renewing();
  std::lock_guard lock(mutex_);
  if (released_) return {};
  released_ = true;
  info_.point = point;
  TRY(create_next(TRY(environment_.store.server_time())));
  objects_.pop_back();
  objects_.insert(objects_.begin(), doubtful_.begin(), doubtful_.end());
  TRY(remove_objects());
  // Where nobody collects they would become more with each commit.
  TRY(sweep_leases(environment_.store, kVisibilityMargin));
  return {};
}

void Lease::stop_renewing() {
  if (!renewer_.joinable()) return;
  renewer_.request_stop();
  renewer_.join();
}

Result<void> Lease::remove_objects() {
  for (const std::string& object : objects_) {
    auto removed = environment_.store.remove(object);
    if (!removed.ok() && removed.error().code() != ErrorCode::kNotFound) return removed;
  }
  objects_.clear();
  return {};
}

LeaseInfo Lease::info() const {
  std::lock_guard lock(mutex_);
  return info_;
}

void Lease::renew_until_stopped(std::stop_token stop) {
  const auto usual = std::chrono::nanoseconds(options_.term.ns / 3);
  const auto soon = std::chrono::nanoseconds(options_.term.ns / 30);
  auto pause = usual;
  std::unique_lock lock(mutex_);
  while (true) {
    stopping_.wait_for(lock, stop, pause, [] { return false; });
    if (stop.stop_requested()) return;
    const auto renewed = renew_locked();
    if (lost_) {
      log_error("repo.lease.lost", {{"lease", info_.object}, {"purpose", info_.purpose}});
      return;
    }
    if (!renewed.ok()) log_warn("repo.lease.not_renewed", {{"lease", info_.object}, {"error", renewed.error().text()}});
    pause = renewed.ok() ? usual : soon;
  }
}

Result<std::vector<LeaseInfo>> live_leases(store::ObjectStore& store, const OnDamagedObject& damaged) {
  return recent_leases(store, {}, damaged);
}

Result<std::vector<LeaseInfo>> recent_leases(store::ObjectStore& store, Duration ended_within,
                                             const OnDamagedObject& damaged) {
  // Leases come and go while this looks; what was there all the time must be seen.
  constexpr int kMaxLists = 10;
  LeaseState state = TRY(list_leases(store, damaged));
  for (int i = 1; state.changed && i < kMaxLists; i++) state = TRY(list_leases(store, damaged));
  if (state.changed) {
    return make_error(ErrorCode::kUnavailable, "leases change faster than they can be read").with_retryable();
  }
  const Time now = TRY(store.server_time());
  std::vector<LeaseInfo> live;
  for (auto& [id, lease] : state.newest) {
    if (!has_ended(lease, now, ended_within)) live.push_back(std::move(lease));
  }
  for (const store::ObjectInfo& object : state.foreign) {
    LeaseInfo lease = unknown_lease(object, "");
    if (lease.expires + ended_within > now) live.push_back(std::move(lease));
  }
  return live;
}

Result<bool> is_being_written(Repository& repository) {
  const auto leases = TRY(live_leases(access(repository).store()));
  return std::any_of(leases.begin(), leases.end(), [](const auto& lease) { return lease.kind == LeaseKind::kWriter; });
}

Result<uint64_t> sweep_leases(store::ObjectStore& store, Duration ended_within) {
  const LeaseState state = TRY(list_leases(store, nullptr));
  const Time now = TRY(store.server_time());
  uint64_t removed = 0;
  const auto remove = [&](const std::string& object) -> Result<void> {
    auto result = store.remove(object);
    if (!result.ok() && result.error().code() != ErrorCode::kNotFound) return result;
    removed++;
    return {};
  };
  for (const auto& [object, name] : state.objects) {
    const auto newest = state.newest.find(name.id);
    if (newest != state.newest.end() && may_be_swept(newest->second, now, ended_within)) TRY(remove(object));
  }
  for (const store::ObjectInfo& object : state.foreign) {
    if (object.modified + kDamagedTerm <= now) TRY(remove(object.name));
  }
  return removed;
}

}  // namespace holdfast::repo
