#include "source/redis/receiver.h"

#include <algorithm>

#include "base/log.h"
#include "base/units.h"

// Two parties: this thread reads the stream, says when each piece came and answers the
// server; the sink's thread stores. What stands between pieces (links, gaps, absences) is
// stored by this thread while the sink has nothing to do, before the first byte that
// follows it.

namespace holdfast::redis {

namespace {

constexpr Duration kStateInterval = Duration::seconds(1);
constexpr Duration kFirstPause = Duration::milliseconds(250);
constexpr Duration kFirstPauseOfSnapshots = Duration::seconds(5);
constexpr Duration kLongestPauseOfAsking = Duration::seconds(60);
constexpr int kLongDoubt = 10;                      // times what is late: so long may short delays add up
constexpr Duration kSteady = Duration::seconds(5);  // a connection that lasted so long was a good one
constexpr Duration kIdleSlice = Duration::milliseconds(100);
constexpr Duration kBusySlice = Duration::milliseconds(10);  // while something is to be acknowledged soon
constexpr size_t kReadBytes = 256u << 10;
// How a server ends what it sends when a client waits for replicas (WAIT).
constexpr std::string_view kAsksForAck = "*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n";

bool is_fatal(ErrorCode code, bool ever) {
  if (code == ErrorCode::kMismatch || code == ErrorCode::kConfig || code == ErrorCode::kUnsupported) return true;
  return code == ErrorCode::kPermission && !ever;
}

class Receiver {
 public:
  Receiver(const Connection& connection, CommandLog& log, Clock& clock, const ReceiverOptions& options,
           const std::optional<SnapshotPlace>& newest_snapshot, const TakeSnapshot& take_snapshot,
           const std::atomic<bool>& stop, const std::function<void(const ReceiverState&)>& on_state)
      : connection_(connection),
        log_(log),
        clock_(clock),
        options_(options),
        newest_snapshot_(newest_snapshot),
        take_snapshot_(take_snapshot),
        stop_(stop),
        on_state_(on_state),
        sink_(log, clock, options.sink),
        buffer_(kReadBytes) {}

  Result<void> run();

 private:
  // Where the stream is to go on.
  struct Place {
    Position position;
    Time instant;               // nothing is known of what came later
    std::optional<LogGap> gap;  // that going on there leaves: the log ended elsewhere
  };
  Result<void> choose_start();
  Result<void> look_ahead();
  Result<void> session();
  Result<void> resume(const SyncAnswer& answer, Time connected_at, uint64_t server_offset);
  Result<void> begin_anew(ReplicationSession& session, const SyncAnswer& answer);
  // What may have come late: nobody could say yet whether it did.
  struct Doubt {
    Time since;
    uint64_t from = 0;  // what comes from there on
    Duration pause;     // before the server is asked again,
    Duration ask_at;    // then
  };
  Result<void> note_delay(const Doubt& doubt);
  Result<void> ask_or_doubt(Time since);
  Result<void> end_doubt();
  Result<void> watch_clock(ReplicationSession& session);
  Result<void> end_set_back(const Position& end);
  void expect(uint64_t offset, Time now);
  Result<void> stream(ReplicationSession& session);
  void hold(Duration slice);
  Result<void> catch_up(ReplicationSession& session);
  Result<void> store_all(ReplicationSession& session);
  Result<void> take(ByteView bytes);
  Result<void> acknowledge(ReplicationSession& session);
  bool settle(Duration patience);
  void note_end(Duration began, Result<void> outcome);
  void rest(Duration pause);
  void report(bool now);

  const Connection& connection_;
  CommandLog& log_;
  Clock& clock_;
  const ReceiverOptions options_;
  const std::optional<SnapshotPlace> newest_snapshot_;
  const TakeSnapshot& take_snapshot_;
  const std::atomic<bool>& stop_;
  const std::function<void(const ReceiverState&)>& on_state_;
  LogSink sink_;
  Bytes buffer_;

  std::optional<Place> place_;
  ReceiverState state_;
  bool ever_ = false;         // a stream was received
  bool in_snapshot_ = false;  // the last session ended while a snapshot was taken
  std::optional<Error> fatal_;
  std::string tail_;  // the last bytes that came
  Duration pause_ = kFirstPause, pause_of_snapshots_ = kFirstPauseOfSnapshots;
  Duration came_at_, acknowledged_at_, reported_at_;
  uint64_t acknowledged_ = 0;

  // What the server had done when it was last asked, while that has not all come yet.
  struct Behind {
    uint64_t offset = 0;
    Time asked;
    Duration asked_at;
  };
  std::optional<Behind> behind_;
  std::optional<Doubt> doubt_;
  // Our clock was set back, or had been ahead: until it is where it was, all that comes counts as
  // received then.
  struct SetBack {
    Time since, until;
    uint64_t from = 0;  // what comes from there on is not yet said to
    Duration say_at;    // not before, as it could not be stored
  };
  std::optional<SetBack> set_back_;
  Duration held_;  // how long reading has waited for storing, since when all was read that had come
  Time held_since_;
};

// ---- one connection after another

Result<void> Receiver::run() {
  TRY(choose_start());
  while (!stop_ && !fatal_) {
    const Duration began = clock_.monotonic();
    auto outcome = session();
    // The server may be gone for good: what is in memory is all there is.
    while (!stop_ && !sink_.failure() && !settle(kStateInterval)) report(true);
    note_end(began, std::move(outcome));
  }
  report(true);
  if (fatal_) return std::move(*fatal_);
  if (!settle(options_.stop_patience))
    return make_error(ErrorCode::kTimeout, "{} bytes of received commands could not be stored before the end",
                      sink_.position().offset - sink_.stored())
        .with_hint("the server's backlog may still have them: they are received again at the next start");
  TRY(end_doubt());
  if (place_) TRY(end_set_back(place_->position));
  report(true);
  return {};
}

void Receiver::note_end(Duration began, Result<void> outcome) {
  const bool was_connected = std::exchange(state_.connected, false);
  if (auto failure = sink_.failure()) {
    fatal_ = std::move(failure);
    state_.trouble = fatal_->text();
    return;
  }
  if (outcome.ok() || stop_) return;
  state_.trouble = outcome.error().text();
  if (is_fatal(outcome.error().code(), ever_)) {
    fatal_ = std::move(outcome).error();
    return;
  }
  log_info("redis.receive.interrupted", {{"problem", state_.trouble}});
  report(true);
  state_.reconnects++;
  if (std::exchange(in_snapshot_, false)) {
    rest(pause_of_snapshots_);
    pause_of_snapshots_ = std::min(Duration{pause_of_snapshots_.ns * 2}, options_.longest_pause_of_snapshots);
    return;
  }
  if (was_connected && clock_.monotonic() - began > kSteady) pause_ = kFirstPause;
  rest(pause_);
  pause_ = std::min(Duration{pause_.ns * 2}, options_.longest_pause);
}

void Receiver::rest(Duration pause) {
  const Duration until = clock_.monotonic() + pause;
  while (!stop_ && clock_.monotonic() < until) clock_.sleep(std::min(kIdleSlice, until - clock_.monotonic()));
}

// Stores what is in memory; true when all of it is stored.
bool Receiver::settle(Duration patience) {
  if (!ever_) return true;
  const bool all = sink_.drain(patience);
  if (all && place_) *place_ = {sink_.position(), sink_.last_instant(), std::nullopt};
  return all;
}

// Where the stored log ends; at the newest snapshot when that is younger and no continuation
// of it; else nowhere.
Result<void> Receiver::choose_start() {
  const auto end = TRY(log_.newest());
  if (end) place_ = Place{{end->replid, end->to}, end->last, std::nullopt};
  if (!newest_snapshot_) return {};
  SnapshotPlace snapshot = *newest_snapshot_;
  // By a clock that was ahead; what comes would count as received then.
  snapshot.instant = std::min(snapshot.instant, clock_.now());
  if (!place_) {
    place_ = Place{snapshot.position, snapshot.instant, std::nullopt};
    return {};
  }
  // Where the server stood still, the snapshot may be all that tells of the time.
  if (place_->position.offset == snapshot.position.offset && log_.leads_to(snapshot.position, place_->position))
    place_->instant = std::max(place_->instant, snapshot.instant);
  const bool is_one_line = snapshot.position.replid == place_->position.replid ||
                           log_.leads_to(snapshot.position, place_->position) ||
                           log_.leads_to(place_->position, snapshot.position);
  if (is_one_line || snapshot.instant <= place_->instant) return {};
  LogGap gap{place_->position, place_->instant, snapshot.position, snapshot.instant,
             "the server began another history while nobody received"};
  place_ = Place{snapshot.position, snapshot.instant, std::move(gap)};
  return {};
}

// Another receiver of the component may have stored on while this one was away.
Result<void> Receiver::look_ahead() {
  if (!place_ || place_->gap) return {};
  TRY(log_.refresh());
  if (!log_.knows(place_->position)) return {};
  LogEnd end = TRY(log_.reach(place_->position));
  if (end.position == place_->position) return {};
  place_->position = std::move(end.position);
  place_->instant = std::max(place_->instant, end.covered_until);
  return {};
}

Result<void> Receiver::session() {
  behind_.reset();
  held_ = Duration{};
  TRY(end_doubt());
  if (place_) TRY(end_set_back(place_->position));
  if (auto looked = look_ahead(); !looked.ok())
    log_warn("redis.receive.not_looked_ahead", {{"problem", looked.error().text()}});
  const auto session = TRY(ReplicationSession::connect(connection_, &stop_));
  const Time connected_at = clock_.now();
  const SyncAnswer answer = TRY(session->sync(place_ ? std::optional(place_->position) : std::nullopt, false, clock_));
  TRY(answer.full ? begin_anew(*session, answer) : resume(answer, connected_at, session->facts().offset));
  return stream(*session);
}

// ---- what comes later than it was done

// The server has done all before `offset` by `now`; when, nobody knows.
void Receiver::expect(uint64_t offset, Time now) {
  sink_.count_as(offset, now);
  behind_ = Behind{offset, now, clock_.monotonic()};
}

// Asks how far the server is: what it did since then, and what has not come, comes late.
// The log is ours meanwhile.
Result<void> Receiver::note_delay(const Doubt& doubt) {
  const auto asked = TRY(ReplicationSession::connect(connection_, &stop_));
  const Time now = clock_.now();
  const Position server{asked->facts().replid, asked->facts().offset};
  const Position here = sink_.position();
  if (server.replid != here.replid)
    return make_error(ErrorCode::kMismatch, "the server at {} is in another history now", asked->place());
  const uint64_t to = std::max(server.offset, here.offset);
  if (to > doubt.from) TRY(log_.put_absence({here.replid, doubt.from, to, doubt.since, now}));
  if (server.offset > here.offset) expect(server.offset, now);
  return {};
}

// That the server does not answer, or the answer can't be stored, is no reason to end a stream
// that comes: it is asked again later, and all that came until then counts as late.
Result<void> Receiver::ask_or_doubt(Time since) {
  Doubt doubt = std::exchange(doubt_, std::nullopt)
                    .value_or(Doubt{since, sink_.position().offset, options_.ask_again, Duration{}});
  auto noted = note_delay(doubt);
  if (noted.ok() || stop_) return {};
  if (noted.error().code() == ErrorCode::kMismatch)
    return make_error(ErrorCode::kUnavailable, "{}", noted.error().message()).with_retryable();
  log_warn("redis.receive.delay_unknown", {{"problem", noted.error().text()}});
  doubt.ask_at = clock_.monotonic() + doubt.pause;
  doubt.pause = std::min(Duration{doubt.pause.ns * 2}, kLongestPauseOfAsking);
  doubt_ = doubt;
  return {};
}

// Nobody is asked any more: the stream has ended, and all of it is stored.
Result<void> Receiver::end_doubt() {
  if (!doubt_ || !place_) return {};
  const Position& end = place_->position;
  if (end.offset > doubt_->from)
    TRY(log_.put_absence({end.replid, doubt_->from, end.offset, doubt_->since, clock_.now()}));
  doubt_.reset();
  return {};
}

// The first byte's absence is stored at once: it tells of the time also when this is killed.
// That it can't be stored ends no stream either.
Result<void> Receiver::watch_clock(ReplicationSession& session) {
  const Time now = clock_.now(), until = sink_.last_instant();
  const bool ends = set_back_ && now >= set_back_->until && clock_.monotonic() >= set_back_->say_at;
  const bool begins = !set_back_ && until - now > options_.late;
  if (!ends && !begins) return {};
  TRY(store_all(session));
  if (stop_ || sink_.failure()) return {};
  const Position here = sink_.position();
  if (begins) {
    set_back_ = SetBack{now, until, here.offset, Duration{}};
    log_error("redis.receive.clock_set_back", {{"now", format_rfc3339(now)}, {"counts_as", format_rfc3339(until)}});
  }
  auto said = begins ? log_.put_absence({here.replid, here.offset, here.offset + 1, now, until}) : end_set_back(here);
  if (said.ok()) {
    if (begins) set_back_->from++;
    return {};
  }
  log_warn("redis.receive.clock_set_back_not_said", {{"problem", said.error().text()}});
  set_back_->say_at = clock_.monotonic() + options_.ask_again;
  return {};
}

// All that was received is stored.
Result<void> Receiver::end_set_back(const Position& end) {
  if (!set_back_) return {};
  if (end.offset > set_back_->from)
    TRY(log_.put_absence({end.replid, set_back_->from, end.offset, set_back_->since, set_back_->until}));
  set_back_.reset();
  return {};
}

// While it does not read, the server goes on.
void Receiver::hold(Duration slice) {
  const Duration began = clock_.monotonic();
  if (held_.ns == 0) held_since_ = clock_.now();
  clock_.sleep(slice);
  held_ = held_ + (clock_.monotonic() - began);
}

Result<void> Receiver::catch_up(ReplicationSession& session) {
  TRY(watch_clock(session));
  std::optional<Time> since;
  if (doubt_) {
    if (clock_.monotonic() < doubt_->ask_at) return {};
    since = doubt_->since;
  } else if (behind_) {
    if (sink_.position().offset < behind_->offset) return {};
    const Behind was = *std::exchange(behind_, std::nullopt);
    if (clock_.monotonic() - was.asked_at > options_.late) since = was.asked;
  } else if (held_ > options_.late ||
             (held_.ns > 0 && clock_.now() - held_since_ > Duration{options_.late.ns * kLongDoubt})) {
    since = held_since_;
  }
  if (!since) return {};
  held_ = Duration{};
  TRY(store_all(session));
  return stop_ || sink_.failure() ? Result<void>() : ask_or_doubt(*since);
}

Result<void> Receiver::store_all(ReplicationSession& session) {
  while (!stop_ && !sink_.failure() && !sink_.drain(kIdleSlice)) {
    TRY(acknowledge(session));
    report(false);
  }
  return {};
}

// The same history goes on.
Result<void> Receiver::resume(const SyncAnswer& answer, Time connected_at, uint64_t server_offset) {
  CHECK(place_.has_value());
  if (place_->gap) {
    TRY(log_.put_gap(*place_->gap));
    place_->gap.reset();
    state_.gaps++;
  }
  const Position from = place_->position;
  if (answer.position.replid != from.replid) {
    // A link proves nothing of the time: what is known of the place is stored in front of it.
    if (!log_.knows(from)) TRY(log_.put_mark(from, place_->instant));
    TRY(log_.put_link({from.replid, answer.position.replid, from.offset, connected_at}));
    log_info("redis.receive.failover",
             {{"from", from.replid}, {"to", answer.position.replid}, {"offset", from.offset}});
    state_.links++;
    place_->position = answer.position;
  }
  sink_.begin(answer.position, place_->instant);
  if (server_offset <= from.offset) return {};
  TRY(log_.put_absence({answer.position.replid, from.offset, server_offset, place_->instant, connected_at}));
  expect(server_offset, connected_at);
  return {};
}

// Why a server gives an RDB instead of what follows `from`.
std::string why_not_on(const Position& from, const Position& given, const ServerFacts& server) {
  constexpr const char* kBacklog = "did not reach back so far (repl-backlog-size)";
  if (given.replid == from.replid) return fmt::format("the server's backlog {}", kBacklog);
  if (server.replid != given.replid || server.left_replid != from.replid)
    return "the server began another history: it was restarted, or its data replaced";
  if (server.left_at >= from.offset)
    return fmt::format("the server goes on from that history, after a failover or a restart, and its backlog {}",
                       kBacklog);
  return fmt::format(
      "the server goes on from an earlier place, as a replica that lagged when it took over, or a master that started "
      "from an older file: from offset {}, without the last {} that were received",
      server.left_at, format_bytes(from.offset - server.left_at));
}

// The server can't give the rest: a snapshot is a new beginning, and what is between is a gap.
Result<void> Receiver::begin_anew(ReplicationSession& session, const SyncAnswer& answer) {
  in_snapshot_ = true;
  TRY_CONTEXT(take_snapshot_(session, answer), "taking a snapshot");
  state_.snapshots++;
  if (place_) {
    // Where the log itself ended, even if a snapshot was to be built on.
    LogGap gap{place_->position, place_->instant, answer.position, answer.time,
               why_not_on(place_->position, answer.position, session.facts())};
    if (place_->gap) gap.from = place_->gap->from;
    if (place_->gap) gap.from_instant = place_->gap->from_instant;
    TRY(log_.put_gap(gap));
    state_.gaps++;
    log_error("redis.receive.gap", {{"from", to_text(gap.from)},
                                    {"on_with", to_text(gap.to)},
                                    {"since", format_rfc3339(gap.from_instant)},
                                    {"reason", gap.reason}});
  } else {
    TRY(log_.put_mark(answer.position, answer.time));
  }
  place_ = Place{answer.position, answer.time, std::nullopt};
  sink_.begin(answer.position, answer.time);
  in_snapshot_ = false;
  pause_of_snapshots_ = kFirstPauseOfSnapshots;
  // While the RDB came, the server kept what it did for us.
  return ask_or_doubt(answer.time);
}

// ---- one stream

Result<void> Receiver::stream(ReplicationSession& session) {
  ever_ = true;
  state_.connected = true;
  state_.replid = sink_.position().replid;
  state_.trouble.clear();
  came_at_ = clock_.monotonic();
  tail_.clear();
  // At once: a server that sent its RDB without a file sends the commands only after this.
  acknowledged_ = sink_.stored();
  TRY(session.acknowledge(acknowledged_));
  acknowledged_at_ = clock_.monotonic();
  log_info("redis.receive.streaming", {{"replid", state_.replid}, {"from", acknowledged_}});
  report(true);
  while (!stop_) {
    const Duration until_due = sink_.tick();
    if (auto failure = sink_.failure()) return std::move(*failure);
    TRY(acknowledge(session));
    const bool is_busy = sink_.stored() != sink_.position().offset;
    const Duration slice = std::clamp(until_due, Duration{}, is_busy ? kBusySlice : kIdleSlice);
    if (sink_.full()) {
      hold(slice);
    } else {
      TRY(catch_up(session));
      auto got = session.session().read_some(buffer_.mutable_view(), slice);
      if (!got.ok() && stop_) return {};
      const size_t size = TRY(std::move(got));
      TRY(take(buffer_.view(0, size)));
    }
    report(false);
  }
  return {};
}

Result<void> Receiver::take(ByteView bytes) {
  const Duration now = clock_.monotonic();
  if (bytes.empty()) {
    held_ = Duration{};
    if (now - came_at_ > options_.silence)
      return make_error(ErrorCode::kTimeout, "the Redis server sent nothing for {}", format_duration(options_.silence))
          .with_retryable();
    return {};
  }
  came_at_ = now;
  if (bytes.size() < buffer_.size()) held_ = Duration{};  // that was all that had come
  state_.received_bytes += bytes.size();
  sink_.append(bytes);
  tail_.append(as_text(bytes.last(std::min(bytes.size(), kAsksForAck.size()))));
  if (tail_.size() > kAsksForAck.size()) tail_.erase(0, tail_.size() - kAsksForAck.size());
  if (tail_ == kAsksForAck) sink_.flush();
  return {};
}

Result<void> Receiver::acknowledge(ReplicationSession& session) {
  const Duration now = clock_.monotonic();
  const uint64_t stored = sink_.stored();
  if (stored == acknowledged_ && now - acknowledged_at_ < options_.acknowledge_interval) return {};
  TRY(session.acknowledge(stored));
  acknowledged_ = stored;
  acknowledged_at_ = now;
  return {};
}

void Receiver::report(bool now) {
  const Duration time = clock_.monotonic();
  if (!now && time - reported_at_ < kStateInterval) return;
  reported_at_ = time;
  const LogSink::Counts counts = sink_.counts();
  state_.received = sink_.position().offset;
  state_.stored = sink_.stored();
  state_.records = counts.records;
  state_.covered_until = counts.covered_until;
  const auto trouble = sink_.trouble();
  state_.not_stored = trouble ? trouble->text() : "";
  state_.store_is_full = trouble && trouble->code() == ErrorCode::kNoSpace;
  on_state_(state_);
}

}  // namespace

Result<void> receive_commands(const Connection& connection, CommandLog& log, Clock& clock,
                              const ReceiverOptions& options, const std::optional<SnapshotPlace>& newest_snapshot,
                              const TakeSnapshot& take_snapshot, const std::atomic<bool>& stop,
                              const std::function<void(const ReceiverState&)>& on_state) {
  return Receiver(connection, log, clock, options, newest_snapshot, take_snapshot, stop, on_state).run();
}

}  // namespace holdfast::redis
