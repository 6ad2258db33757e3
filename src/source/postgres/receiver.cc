#include "source/postgres/receiver.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <mutex>
#include <utility>

#include "base/log.h"
#include "source/postgres/beside.h"
#include "source/postgres/mark_writer.h"
#include "source/postgres/replication_session.h"
#include "source/postgres/resume_proof.h"
#include "source/postgres/server_watch.h"
#include "source/postgres/slot_warning.h"
#include "source/postgres/sqlstate.h"
#include "source/postgres/timeline.h"
#include "source/postgres/wal_format.h"
#include "source/postgres/wal_sink.h"

// Three parties: this thread reads the stream and answers the server; the sink's
// threads store; the watch asks the server over an ordinary session what the time
// is and where its log ends. A mark (time, end) is written once everything before
// that end is stored: it proves that no commit acknowledged by then is missing.
// The sink wakes this thread through an eventfd, so that a synchronous commit
// waits for nothing but the store.

namespace holdfast::postgres {

namespace {

constexpr Duration kLoopInterval = Duration::milliseconds(100);
constexpr Duration kStateInterval = Duration::seconds(1);
constexpr Duration kFirstPause = Duration::milliseconds(250);
constexpr Duration kSteady = Duration::seconds(5);     // a connection that lasted so long was a good one
constexpr Duration kLastWords = Duration::seconds(2);  // for what is still on its way when we are stopped

// Wakes a poll() from another thread.
class Bell {
 public:
  Bell() : descriptor_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) { CHECK(descriptor_ >= 0); }
  ~Bell() { close(descriptor_); }
  Bell(const Bell&) = delete;
  Bell& operator=(const Bell&) = delete;
  void ring() {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = write(descriptor_, &one, sizeof one);
  }
  void silence() {
    uint64_t count;
    [[maybe_unused]] const ssize_t taken = read(descriptor_, &count, sizeof count);
  }
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

class Receiver {
 public:
  Receiver(const Connection& connection, WalArchive& archive, Clock& clock, const ReceiverOptions& options,
           const std::atomic<bool>& stop, const std::function<void(const ReceiverState&)>& on_state)
      : connection_(connection),
        archive_(archive),
        clock_(clock),
        options_(options),
        stop_(stop),
        on_state_(on_state),
        sink_(
            archive, clock,
            {options.synchronous, options.flush_interval, options.flush_bytes, options.storers, Duration::seconds(10)},
            [this] { bell_.ring(); }),
        marks_(archive, [this] { bell_.ring(); }) {}

  Result<void> run();

 private:
  Result<void> session();
  Result<StreamStart> plan();
  Result<StreamStart> by_way_of_ancestor(const StreamStart& from);
  Result<void> check_not_set_back();
  std::optional<bool> is_standby();
  Result<std::optional<Lsn>> ask_slot_restart();
  bool is_our_slot();
  Result<std::optional<bool>> ask_whether_physical();
  Result<StreamStart> begin_sink(const StreamStart& from);
  Result<std::optional<StreamStart>> stream(const StreamStart& planned);
  Result<bool> take_messages();
  Result<void> take(ByteView message);
  void note_proof();
  void pause(Duration until_due);
  Result<void> tell_server();
  Result<void> stop_stream();
  bool is_stored_to_end();
  bool settle(Duration patience);
  void note_server(const ServerState& state);
  void warn_of_slot(const ServerState& server);
  void warn_of_settings(const ServerState& server);
  void write_marks();
  void note_written_mark();
  void report(bool now);
  void rest(Duration pause);
  void note_refusal(const Error& error);
  Error naming_who_streams(Error refused);

  const Connection& connection_;
  WalArchive& archive_;
  Clock& clock_;
  const ReceiverOptions options_;
  const std::atomic<bool>& stop_;
  const std::function<void(const ReceiverState&)>& on_state_;
  Bell bell_;
  WalSink sink_;
  MarkWriter marks_;
  std::unique_ptr<ReplicationSession> session_;
  std::optional<ResumeProof> proof_;  // of the stream of this session
  Lsn unproven_before_;               // the server has not what lies before, and need not: it is stored

  ReceiverState state_;
  Lsn gone_before_;          // the server has removed the WAL before this, or we have
  std::optional<Lsn> lost_;  // what it was asked for then, until the gap is told
  bool is_try_ = false;      // streaming from before what the slot keeps, and nothing has come yet
  bool reply_now_ = false;
  Lsn told_;
  Duration told_at_, reported_at_, marks_at_;

  std::atomic<bool> stopping_{false};
  std::atomic<uint64_t> answers_{0};    // of the watch
  std::atomic<bool> is_proven_{false};  // the server's log is the one that is stored
  std::mutex watch_mutex_;
  std::optional<ServerState> server_state_;
  WalMark offered_;                     // the newest mark
  std::string slot_limit_;              // as the server said it last
  bool is_beside_ = false;              // likewise
  std::unique_ptr<ServerWatch> watch_;  // last: its thread uses the others
};

// ---- one connection after another

Result<void> Receiver::run() {
  watch_ = std::make_unique<ServerWatch>(connection_, options_.slot, options_.mark_interval,
                                         [this](const ServerState& state) { note_server(state); });
  Duration pause_time = kFirstPause;
  bool ever = false;
  std::optional<Error> fatal;
  while (!stop_ && !fatal) {
    const Duration began = clock_.monotonic();
    const Lsn gone_before = gone_before_, unproven_before = unproven_before_;
    auto outcome = session();
    ever = ever || state_.connected;
    const bool was_connected = state_.connected;
    state_.connected = false;
    is_proven_ = false;
    session_.reset();
    if (!outcome.ok()) state_.trouble = outcome.error().text();
    // The server may be gone for good: what is in memory is all there is.
    while (!stop_ && !sink_.failure() && !settle(kStateInterval)) report(true);
    if (auto failure = sink_.failure()) fatal = std::move(failure);
    if (outcome.ok() || stop_ || fatal) continue;
    const ErrorCode code = outcome.error().code();
    if (code == ErrorCode::kMismatch || code == ErrorCode::kConfig || (code == ErrorCode::kPermission && !ever)) {
      fatal = std::move(outcome).error();
      continue;
    }
    log_info("postgres.receive.interrupted", {{"problem", state_.trouble}});
    report(true);
    if (was_connected && clock_.monotonic() - began > kSteady) pause_time = kFirstPause;
    state_.reconnects++;
    // With what comes next: every time further on.
    if (gone_before_ > gone_before || unproven_before_ > unproven_before) continue;
    rest(pause_time);
    pause_time = std::min(Duration{pause_time.ns * 2}, options_.longest_pause);
  }
  report(true);
  if (fatal) return std::move(*fatal);
  if (!settle(options_.stop_patience))
    return make_error(ErrorCode::kTimeout, "{} of received WAL could not be stored before the end",
                      sink_.position().value - sink_.stored().value)
        .with_hint("the server's slot keeps it: it is received again at the next start");
  return {};
}

void Receiver::rest(Duration pause_time) {
  const Duration until = clock_.monotonic() + pause_time;
  while (!stop_ && clock_.monotonic() < until) clock_.sleep(std::min(kLoopInterval, until - clock_.monotonic()));
}

// Stores what is in memory; true when all of it is stored.
bool Receiver::settle(Duration patience) {
  if (sink_.timeline() == 0) return true;
  const bool all = sink_.drain(patience);
  write_marks();
  if (!marks_.wait_until_idle(patience)) log_warn("postgres.receive.mark", {{"problem", "the store takes too long"}});
  note_written_mark();
  return all;
}

Result<void> Receiver::session() {
  session_ = TRY(ReplicationSession::connect(connection_, options_.application_name, archive_.identity(), stop_));
  StreamStart from = TRY(plan());
  while (true) {
    const auto next = TRY(stream(from));
    if (stop_) return stop_stream();
    if (!next)
      return make_error(ErrorCode::kUnavailable, "the server ended the stream; it is shutting down").with_retryable();
    TRY(session_->fetch_histories(archive_, next->timeline));
    if (!settle(options_.stop_patience))
      return make_error(ErrorCode::kTimeout, "storing WAL takes too long").with_retryable();
    log_info("postgres.receive.timeline", {{"timeline", uint64_t{next->timeline}}, {"at", next->position.text()}});
    from = {next->timeline, segment_start(next->position, archive_.identity().segment_bytes)};
  }
}

Result<StreamStart> Receiver::plan() {
  std::optional<Lsn> slot_restart = TRY(session_->ensure_slot(options_.slot));
  watch_->wake();  // what the new slot may do to the server is told at once
  if (!slot_restart) slot_restart = TRY(ask_slot_restart());
  TRY(session_->fetch_histories(archive_, session_->timeline()));
  TRY(check_not_set_back());
  if (options_.expired_until) gone_before_ = std::max(gone_before_, options_.expired_until());
  const StreamStart from =
      TRY(plan_stream(archive_, session_->timeline(), slot_restart, session_->end(), gone_before_));
  is_try_ = slot_restart && from.position < segment_start(*slot_restart, archive_.identity().segment_bytes);
  const auto lost = std::exchange(lost_, std::nullopt);
  if (!lost || from.position <= *lost) return by_way_of_ancestor(from);
  // Going on with a gap (which log, points and restore name) protects from now on; waiting
  // would protect nothing.
  state_.gaps++;
  log_error("postgres.receive.gap", {{"from", lost->text()},
                                     {"on_with", from.position.text()},
                                     {"advice",
                                      "what is missing is gone from the server. Unless a backup was taken "
                                      "since, take one now; raise max_slot_wal_keep_size"}});
  return from;
}

// A timeline that begins where a segment does has nothing of its ancestor's in it. That it goes
// on from what is stored the end of the ancestor's own stream proves.
Result<StreamStart> Receiver::by_way_of_ancestor(const StreamStart& from) {
  const uint64_t segment_bytes = archive_.identity().segment_bytes;
  const auto path = path_to(session_->timeline(), TRY(archive_.history(session_->timeline())));
  const auto piece = std::find_if(path.begin(), path.end(), [&](const auto& p) { return p.timeline == from.timeline; });
  const bool begins = piece != path.end() && piece != path.begin() && piece->from == from.position;
  if (!begins || from.position.value % segment_bytes != 0) return from;
  const Lsn before{from.position.value - segment_bytes};
  const uint32_t ancestor = std::prev(piece)->timeline;
  const bool may_be_had = before >= std::max(gone_before_, unproven_before_);
  if (!may_be_had) return from;
  const auto stored = archive_.fetch_whole(segment_name(ancestor, before, segment_bytes));
  if (!stored.ok() && stored.error().code() != ErrorCode::kDamaged) return stored.error().clone();
  if (stored.ok() && !*stored) return from;  // a damaged one is passed over by the proof
  return StreamStart{ancestor, from.position};
}

// A standby may be behind what is stored, and catches up; a primary has all that it ever sent.
Result<void> Receiver::check_not_set_back() {
  const uint32_t timeline = session_->timeline();
  Lsn stored;
  for (const WalPiece& piece : TRY(archive_.pieces()))
    if (piece.timeline == timeline) stored = std::max(stored, piece.to);
  if (stored <= session_->end()) return {};
  TRY(session_->identify());  // what it has archived meanwhile is stored, too
  if (session_->timeline() != timeline)
    return make_error(ErrorCode::kUnavailable, "the server has just changed to another timeline").with_retryable();
  // Of one that does not tell, what it will send is compared.
  if (stored <= session_->end() || is_standby().value_or(true)) return {};
  return set_back(archive_.identity(), timeline, session_->end(), stored);
}

// Empty when the server does not tell: before 14 it does so in an ordinary session only.
std::optional<bool> Receiver::is_standby() {
  if (const std::string told = session_->session().parameter("in_hot_standby"); !told.empty()) return told == "on";
  SessionOptions options;
  options.stop = &stop_;
  auto session = ServerSession::connect(connection_, options);
  if (!session.ok()) return std::nullopt;
  const auto answer = session.value()->value("SELECT pg_is_in_recovery()");
  if (!answer.ok()) return std::nullopt;
  return answer.value() == "t";
}

// Servers before 15 do not tell over the replication protocol, nor whether a slot of
// that name is somebody's logical one, which must not be taken for ours.
Result<std::optional<Lsn>> Receiver::ask_slot_restart() {
  SessionOptions options;
  options.stop = &stop_;
  auto session = ServerSession::connect(connection_, options);
  if (!session.ok()) return std::optional<Lsn>();
  auto state = ask_server_state(*session.value(), options_.slot);
  if (!state.ok()) return std::optional<Lsn>();
  if (state->slot_is_logical) return logical_slot(options_.slot);
  return state->slot_restart;
}

// The server has removed the WAL that we asked for, or the slot is of no use any more. A
// new slot keeps what comes from now on; the old one is invalid, or points (by our own
// report) to what is gone. Not so when we asked for more than it keeps: then it goes on
// keeping what it keeps.
void Receiver::note_refusal(const Error& error) {
  const bool removed = sqlstate_of(error) == "58P01";
  if (!removed && sqlstate_of(error) != "55000") return;
  if (removed && proof_ && !proof_->done() &&
      proof_->start().position < segment_start(sink_.position(), archive_.identity().segment_bytes)) {
    unproven_before_ = sink_.position();
    return;
  }
  if (removed) {
    const uint64_t segment_bytes = archive_.identity().segment_bytes;
    lost_ = sink_.position();
    gone_before_ = std::max(gone_before_, Lsn{segment_start(*lost_, segment_bytes).value + segment_bytes});
  }
  if (removed && is_try_) return;
  if (!is_our_slot()) return;
  ignore(session_->drop_slot(options_.slot), "the next session tries again");
}

// A slot has one receiver. Who looks into why this one gets nothing wants to know which it is.
Error Receiver::naming_who_streams(Error refused) {
  constexpr std::string_view kInUse = "55006";
  if (sqlstate_of(refused) != kInUse) return refused;
  SessionOptions options;
  options.stop = &stop_;
  std::string who;
  if (auto session = ServerSession::connect(connection_, options); session.ok()) {
    const auto told = session.value()->exec(
        // A role that may not see another's session is not shown from where and since when it is.
        "SELECT format('%s%s, server process %s', quote_ident(a.application_name), "
        "CASE WHEN a.backend_start IS NOT NULL THEN format(' from %s since %s', "
        "coalesce(host(a.client_addr), 'the server''s own machine'), "
        "to_char(a.backend_start, 'YYYY-MM-DD HH24:MI:SSOF')) END, a.pid) "
        "FROM pg_replication_slots AS s JOIN pg_stat_activity AS a ON a.pid = s.active_pid WHERE s.slot_name = $1",
        {options_.slot});
    if (told.ok() && told.value().size() == 1 && !told.value().is_null(0, 0))
      who = fmt::format(": {}", told.value().at(0, 0));
  }
  return std::move(refused).with_hint(fmt::format(
      "another receiver uses the slot{}; end one of the two. If none runs, the server has not noticed yet that the "
      "last one is gone: it does after wal_sender_timeout",
      who));
}

// A slot for logical replication is somebody else's, whatever its name; so may be one of
// which the server does not tell.
bool Receiver::is_our_slot() {
  auto told = session_->slot_is_physical(options_.slot);
  if (told.ok() && !*told) told = ask_whether_physical();
  if (told.ok() && **told) return true;
  log_warn(
      "postgres.receive.slot_kept",
      {{"slot", options_.slot},
       {"problem", told.ok() ? "it is none for physical replication" : told.error().text()},
       {"advice", "if it is holdfast's, drop it with pg_drop_replication_slot: the next session makes a new one"}});
  return false;
}

// As servers before 15 tell it.
Result<std::optional<bool>> Receiver::ask_whether_physical() {
  SessionOptions options;
  options.stop = &stop_;
  const auto session = TRY(ServerSession::connect(connection_, options));
  return std::optional<bool>(!TRY(ask_server_state(*session, options_.slot)).slot_is_logical);
}

// ---- one stream

// Where what is stored of a segment in parts can't be read to its end it is received anew from
// there. Nothing is removed before: while the server has not sent it again the damage is all
// that tells how far the log went.
Result<StreamStart> Receiver::begin_sink(const StreamStart& from) {
  const Lsn segment = segment_start(from.position, archive_.identity().segment_bytes);
  auto begun = sink_.begin(from.timeline, from.position);
  if (begun.ok()) return from;
  if (begun.error().code() != ErrorCode::kDamaged || segment == from.position) return std::move(begun).error();
  const uint64_t intact = TRY(archive_.intact_beginning_of(from.timeline, segment)).size();
  const StreamStart anew{from.timeline, std::min(from.position, Lsn{segment.value + intact})};
  log_error("postgres.receive.not_compared",
            {{"segment", segment_name(from.timeline, from.position, archive_.identity().segment_bytes)},
             {"problem", begun.error().text()},
             {"advice", fmt::format("it is received anew from {} on", anew.position.text())}});
  TRY(sink_.begin(anew.timeline, anew.position));
  return anew;
}

Result<std::optional<StreamStart>> Receiver::stream(const StreamStart& planned) {
  const StreamStart from = TRY(begin_sink(planned));
  proof_ = TRY(ResumeProof::create(archive_, from, std::max(gone_before_, unproven_before_)));
  if (auto started = session_->start(options_.slot, proof_->start()); !started.ok()) {
    note_refusal(started.error());
    return naming_who_streams(std::move(started).error());
  }
  log_info("postgres.receive.streaming", {{"timeline", uint64_t{from.timeline}}, {"from", from.position.text()}});
  state_.connected = true;
  state_.trouble.clear();
  told_ = Lsn{};
  is_proven_ = false;
  note_proof();
  report(true);
  while (!stop_) {
    if (TRY(take_messages())) {
      auto next = session_->finish();
      if (!next.ok()) note_refusal(next.error());
      if (next.ok() && *next && !proof_->done())
        return make_error(ErrorCode::kUnavailable, "the stream ended before what is stored").with_retryable();
      return next;
    }
    const Duration until_due = sink_.tick();
    if (auto failure = sink_.failure()) return std::move(*failure);
    TRY(tell_server());
    write_marks();
    report(false);
    pause(until_due);
  }
  return std::optional<StreamStart>();
}

// Takes what has arrived; true at the end of the stream.
Result<bool> Receiver::take_messages() {
  while (!sink_.full()) {
    const auto message = TRY(session_->session().read_copy_within(Duration{}));
    if (message.state == ServerSession::CopyState::kEnd) return true;
    if (message.state == ServerSession::CopyState::kNothingYet) return false;
    TRY(take(message.data));
    if (reply_now_) TRY(tell_server());
  }
  return false;
}

Result<void> Receiver::take(ByteView bytes) {
  const ServerMessage message = TRY(parse_server_message(bytes));
  if (const auto* keepalive = std::get_if<Keepalive>(&message)) {
    state_.server_end = std::max(state_.server_end, keepalive->server_end);
    reply_now_ = reply_now_ || keepalive->reply_now;
    return {};
  }
  auto wal = std::get<WalData>(message);
  if (!proof_->done()) {
    const ByteView behind = TRY(proof_->take(wal.start, wal.data));
    wal.start.value += wal.data.size() - behind.size();
    wal.data = behind;
    note_proof();
    if (behind.empty()) return {};
  }
  if (wal.start != sink_.position())
    return make_error(ErrorCode::kInvalidData, "the server sent WAL from {} where {} is due", wal.start.text(),
                      sink_.position().text());
  state_.server_end = std::max(state_.server_end, wal.server_end);
  is_try_ = false;
  state_.received_bytes += wal.data.size();
  sink_.append(wal.data, wal.server_end);
  sink_.tick();
  return {};
}

// From now on the server's answers say something of what is stored.
void Receiver::note_proof() {
  if (!proof_->done() || is_proven_.exchange(true)) return;
  watch_->wake();
}

void Receiver::pause(Duration until_due) {
  const Duration longest = std::clamp(until_due, Duration{}, kLoopInterval);
  pollfd entries[2] = {{bell_.descriptor(), POLLIN, 0}, {session_->session().descriptor(), POLLIN, 0}};
  // While the sink is full the stream has to wait, and with it, by TCP, the server.
  const nfds_t count = sink_.full() ? 1 : 2;
  if (poll(entries, count, static_cast<int>((longest.ns + 999'999) / 1'000'000)) > 0 && (entries[0].revents & POLLIN))
    bell_.silence();
}

// Only what the archive has durably is told as flushed (and applied, for remote_apply); in
// synchronous mode also as written (for remote_write). Nothing of it (0/0) while the server's
// log is not proven to be the one that is stored: its commits would count as stored.
// Not before the server has shown that it has what a try asks for: the slot would let go of
// what it keeps and point to what is gone.
Result<void> Receiver::tell_server() {
  if (is_try_) return {};
  const Lsn stored = is_proven_ ? sink_.stored() : Lsn{};
  const Lsn written = is_proven_ && !options_.synchronous ? sink_.position() : stored;
  const Duration now = clock_.monotonic();
  if (stored == told_ && !reply_now_ && now - told_at_ < options_.status_interval) return {};
  const Bytes status = encode_standby_status({written, stored, stored, clock_.now(), false});
  TRY(session_->session().write_copy(status));
  told_ = stored;
  told_at_ = now;
  reply_now_ = false;
  return {};
}

// We were asked to stop: take what the server has by now, store it, tell the
// server, and leave.
Result<void> Receiver::stop_stream() {
  const uint64_t before = answers_;
  stopping_ = true;
  watch_->wake();
  const Duration until = clock_.monotonic() + kLastWords;
  while (clock_.monotonic() < until && !TRY(take_messages())) {
    sink_.flush();
    sink_.tick();
    TRY(tell_server());
    if (answers_ > before && is_stored_to_end()) break;
    pause(Duration::milliseconds(20));
  }
  settle(options_.stop_patience);
  reply_now_ = true;
  return tell_server();
}

bool Receiver::is_stored_to_end() {
  std::lock_guard lock(watch_mutex_);
  return server_state_->end.timeline == 0 || server_state_->end.lsn <= sink_.stored();
}

// ---- marks and state

void Receiver::note_server(const ServerState& state) {
  std::lock_guard lock(watch_mutex_);
  // An end that is not stored yet waits for it: replaced by each newer answer, a
  // busy server would never be marked.
  const bool waiting = server_state_ && server_state_->end.timeline != 0 && server_state_->end.lsn > sink_.stored();
  // While no stream is proven the answer may be another history's.
  const WalMark known = server_state_ ? server_state_->end : WalMark();
  const WalMark end = !is_proven_ || (waiting && !stopping_) ? known : state.end;
  server_state_ = state;
  server_state_->end = end;
  answers_++;
  bell_.ring();
}

// At the start, and whenever the slot falls behind.
void Receiver::warn_of_slot(const ServerState& server) {
  const bool first = server.slot_limit != slot_limit_;
  if (!server.slot_exists || (!first && server.slot_status == state_.slot_status)) return;
  slot_limit_ = server.slot_limit;
  const auto free = free_for_wal(server);
  const auto warning = slot_warning(options_.slot, server, free);
  state_.slot_warning = warning ? warning->problem : "";
  if (!warning || (!first && server.slot_status == "reserved")) return;
  std::vector<LogField> fields = {{"slot", options_.slot},
                                  {"status", server.slot_status},
                                  {"kept_bytes", server.slot_kept_bytes},
                                  {"max_slot_wal_keep_size", server.slot_limit},
                                  {"problem", warning->problem},
                                  {"advice", warning->advice}};
  if (free) fields.emplace_back("free_bytes", *free);
  log_warn("postgres.receive.slot", std::move(fields));
}

void Receiver::warn_of_settings(const ServerState& server) {
  if (server.is_beside && !is_beside_) log_warn("postgres.receive.beside", {{"problem", std::string(kStillBeside)}});
  is_beside_ = server.is_beside;
}

void Receiver::write_marks() {
  WalMark mark;
  {
    std::lock_guard lock(watch_mutex_);
    if (!server_state_) return;
    state_.slot_kept_bytes = server_state_->slot_kept_bytes;
    warn_of_slot(*server_state_);
    warn_of_settings(*server_state_);
    state_.slot_status = server_state_->slot_status;
    mark = server_state_->end;
  }
  state_.server_end = std::max(state_.server_end, mark.lsn);
  note_written_mark();
  if (mark.timeline != sink_.timeline() || mark.lsn > sink_.stored() || mark.time <= offered_.time) return;
  const Duration now = clock_.monotonic();
  if (!stopping_ && marks_at_ != Duration{} && now - marks_at_ < Duration{options_.mark_interval.ns / 2}) return;
  marks_.offer(mark);
  marks_at_ = now;
  offered_ = mark;
}

void Receiver::note_written_mark() {
  if (const auto written = marks_.written()) state_.proven_until = written->time;
}

void Receiver::report(bool now) {
  const Duration time = clock_.monotonic();
  if (!now && time - reported_at_ < kStateInterval) return;
  reported_at_ = time;
  state_.timeline = sink_.timeline();
  state_.received = sink_.position();
  state_.stored = sink_.stored();
  const auto counts = sink_.counts();
  state_.parts = counts.parts;
  state_.segments = counts.segments;
  state_.store_retries = counts.retries;
  const auto trouble = sink_.trouble();
  state_.not_stored = trouble ? trouble->text() : "";
  state_.store_is_full = trouble && trouble->code() == ErrorCode::kNoSpace;
  if (on_state_) on_state_(state_);
}

}  // namespace

Result<void> receive_wal(const Connection& connection, WalArchive& archive, Clock& clock,
                         const ReceiverOptions& options, const std::atomic<bool>& stop,
                         const std::function<void(const ReceiverState&)>& on_state) {
  return Receiver(connection, archive, clock, options, stop, on_state).run();
}

}  // namespace holdfast::postgres
