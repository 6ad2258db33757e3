#include "source/redis/command_log.h"

#include <algorithm>

#include "base/log.h"
#include "source/redis/frame_codec.h"
#include "source/redis/histories.h"

namespace holdfast::redis {

namespace {

constexpr uint32_t kHeadersKept = 4096;
constexpr int kListings = 4;  // that are tried while others join records

std::string link_name(uint64_t offset) { return fmt::format("link-{:016x}", offset); }
// The same offset may see several: the instant tells them apart.
std::string gap_name(const LogGap& gap) {
  return fmt::format("gap-{:016x}-{:016x}", gap.to.offset, static_cast<uint64_t>(gap.to_instant.ns / 1000));
}
std::string absence_name(const LogAbsence& absence) {
  return fmt::format("away-{:016x}-{:016x}", absence.from, static_cast<uint64_t>(absence.to_instant.ns / 1000));
}

std::string when(Time time) { return format_rfc3339(time); }

// Whether between two records (by name) something is missing that no gap tells of.
bool has_hole(const std::vector<repo::LogStore::Info>& records) {
  std::optional<uint64_t> reach;
  for (const auto& info : records) {
    const auto span = parse_record_name(info.name);
    if (!span) continue;
    const std::string gap = fmt::format("gap-{:016x}-", span->from);
    const auto tells = [&](const auto& other) { return other.name.starts_with(gap); };
    if (reach && span->from > *reach && std::none_of(records.begin(), records.end(), tells)) return true;
    reach = std::max(reach.value_or(0), span->to);
  }
  return false;
}

// The bytes of a record's frames, without their instants.
Result<Bytes> commands_of(ByteView body, uint64_t from, uint64_t to) {
  Bytes commands;
  TRY(for_each_frame(body, from, to, [&](const Frame& frame) -> Result<void> {
    commands.append(frame.bytes);
    return {};
  }));
  return commands;
}

class StoredCommandLog final : public CommandLog {
 public:
  StoredCommandLog(repo::LogStore& store, std::string component) : store_(store), component_(std::move(component)) {}

  const std::string& component() const override { return component_; }
  Result<void> refresh() override;
  void count_on(const std::vector<SnapshotPlace>& snapshots) override {
    snapshots_.insert(snapshots_.end(), snapshots.begin(), snapshots.end());
  }

  Result<std::vector<LogRange>> ranges() override;
  const std::vector<LogLink>& links() const override { return histories_.links; }
  const std::vector<LogGap>& gaps() const override { return histories_.gaps; }
  const std::vector<LogAbsence>& absences() const override { return histories_.absences; }
  Result<std::optional<LogRange>> newest() override;
  bool leads_to(const Position& from, const Position& to) const override { return histories_.leads_to(from, to); }
  bool knows(const Position& place) const override { return histories_.knows(place); }
  Result<LogEnd> read(const Position& from, const LogUntil& until, const Visitor& visitor) override;
  Result<LogEnd> reach(const Position& from) override;
  Result<LogEnd> position_at(const Position& from, Time time) override;

  Result<void> put_record(const Record& record) override;
  Result<void> put_merged(const Record& record) override;
  Result<void> put_link(const LogLink& link) override;
  Result<void> put_gap(const LogGap& gap) override;
  Result<void> put_absence(const LogAbsence& absence) override;
  Result<void> put_mark(const Position& position, Time time) override;
  Result<std::vector<std::string>> expire_before(const std::vector<Position>& needed, bool dry_run) override;

 private:
  std::string stream(const std::string& replid) const { return stream_name(component_, replid); }
  Result<void> load_all();
  Result<void> load(const std::string& replid);
  Result<void> load_other(const std::string& replid, const std::string& name);
  Result<Bytes> body_of(const std::string& replid, const std::string& name);
  Result<RecordHeader> header_of(const std::string& replid, const Piece& piece);
  Result<void> put(const std::string& replid, const std::string& name, ByteView header, ByteView body);
  Result<void> put_beside_others(const Record& record);
  Result<void> add_range(const std::string& replid, std::vector<LogRange>& ranges);
  Result<std::optional<Time>> ended_at(Position place);
  Result<std::vector<LogRange>> listed_ranges();

  struct Plan {
    Way way;
    std::optional<Time> covered_until;
  };
  Result<Plan> plan(const Position& from);
  Result<Time> last_before(const Way& way, uint64_t offset);
  template <typename Body>
  auto up_to_date(const Body& body, const bool* is_over = nullptr) -> decltype(body());
  Result<LogEnd> read_on(const LogUntil& until, const Visitor& visitor, LogEnd& visited);
  Result<LogEnd> find_position(const Position& from, Time time);
  Result<void> check_reaches(const Plan& plan, const LogUntil& until) const;
  Error stops_short(const Plan& plan) const;
  Result<bool> visit_step(const Step& step, const LogUntil& until, const Visitor& visitor, LogEnd& end);

  void name_doomed(const std::map<std::string, uint64_t>& bounds, std::vector<StreamRecord>& doomed) const;

  repo::LogStore& store_;
  const std::string component_;
  Histories histories_;
  std::vector<SnapshotPlace> snapshots_;
  std::map<std::pair<std::string, uint64_t>, std::pair<uint64_t, RecordHeader>>
      headers_;  // (replid, from) -> (to, header)
};

// ---- what is there

Result<void> StoredCommandLog::refresh() {
  Histories before = std::exchange(histories_, Histories());
  headers_.clear();
  auto loaded = load_all();
  if (!loaded.ok()) histories_ = std::move(before);
  return loaded;
}

Result<void> StoredCommandLog::load_all() {
  for (const std::string& name : TRY(store_.streams())) {
    const auto id = parse_stream(name);
    if (id && id->component == component_) TRY_CONTEXT(load(id->replid), "log {}", name);
  }
  histories_.sort_pieces();
  std::sort(histories_.gaps.begin(), histories_.gaps.end(),
            [](const LogGap& a, const LogGap& b) { return a.to_instant < b.to_instant; });
  std::sort(histories_.absences.begin(), histories_.absences.end(),
            [](const LogAbsence& a, const LogAbsence& b) { return a.to_instant < b.to_instant; });
  return {};
}

Result<void> StoredCommandLog::load(const std::string& replid) {
  History& history = histories_.by_id[replid];
  auto records = TRY(store_.list(stream(replid)));
  // A listing during which a receiver joins records may have neither the parts nor the whole.
  if (has_hole(records)) records = TRY(store_.list(stream(replid)));
  for (const auto& info : records) {
    if (const auto span = parse_record_name(info.name)) {
      history.pieces.push_back({span->from, span->to, info.stored_bytes});
    } else if (const auto mark = parse_mark_name(info.name)) {
      history.marks.push_back(*mark);
    } else {
      auto loaded = load_other(replid, info.name);
      if (!loaded.ok() && loaded.error().code() == ErrorCode::kNotFound) continue;  // pruned since it was listed
      TRY_CONTEXT(std::move(loaded), "record {}", info.name);
    }
  }
  return {};
}

Result<Bytes> StoredCommandLog::body_of(const std::string& replid, const std::string& name) {
  return std::move(TRY(store_.get(stream(replid), name)).body);
}

Result<void> StoredCommandLog::load_other(const std::string& replid, const std::string& name) {
  if (name.starts_with("link-")) {
    histories_.add_link(TRY(decode_link(TRY(body_of(replid, name)))));
  } else if (name.starts_with("gap-")) {
    histories_.gaps.push_back(TRY(decode_gap(TRY(body_of(replid, name)))));
  } else if (name.starts_with("away-")) {
    histories_.absences.push_back(TRY(decode_absence(TRY(body_of(replid, name)))));
  } else {
    return make_error(ErrorCode::kNewerFormat, "what this record is this program does not know")
        .with_hint("use the holdfast that wrote it, or a newer one");
  }
  return {};
}

Result<RecordHeader> StoredCommandLog::header_of(const std::string& replid, const Piece& piece) {
  const auto key = std::pair(replid, piece.from);
  const auto known = headers_.find(key);
  if (known != headers_.end() && known->second.first == piece.to) return known->second.second;
  const std::string name = record_name(piece.from, piece.to);
  const Bytes bytes = TRY(store_.get_header(stream(replid), name));
  const RecordHeader header = TRY_CONTEXT(decode_record_header(bytes), "record {} of log {}", name, stream(replid));
  if (header.from != piece.from || header.to != piece.to)
    return make_error(ErrorCode::kDamaged, "record {} of log {} says that it is of other offsets", name,
                      stream(replid));
  if (headers_.size() >= kHeadersKept) headers_.clear();
  headers_[key] = {piece.to, header};
  return header;
}

// ---- ranges

// The stretches of one history: its pieces joined, and places that only a mark, link or gap
// tells of.
Result<void> StoredCommandLog::add_range(const std::string& replid, std::vector<LogRange>& ranges) {
  const History& history = histories_.by_id.at(replid);
  std::vector<Piece> stretches = history.pieces;
  for (const LogMark& mark : history.marks) stretches.push_back({mark.offset, mark.offset, 0});
  if (history.origin) stretches.push_back({history.origin->offset, history.origin->offset, 0});
  for (const LogGap& gap : histories_.gaps)
    if (gap.to.replid == replid) stretches.push_back({gap.to.offset, gap.to.offset, 0});
  std::sort(stretches.begin(), stretches.end(),
            [](const Piece& a, const Piece& b) { return std::pair(a.from, a.to) < std::pair(b.from, b.to); });
  const size_t first = ranges.size();
  for (const Piece& piece : stretches) {
    if (ranges.size() == first || piece.from > ranges.back().to)
      ranges.push_back({.replid = replid, .from = piece.from, .to = piece.from, .first = Time{}, .last = Time{}});
    LogRange& range = ranges.back();
    if (piece.to > piece.from) range.records++;
    range.stored_bytes += piece.stored_bytes;
    range.to = std::max(range.to, piece.to);
  }
  for (size_t i = first; i < ranges.size(); i++) {
    LogRange& range = ranges[i];
    range.last = TRY(ended_at({replid, range.to})).value_or(Time{INT64_MIN});
    range.first = range.records > 0 ? Time{INT64_MAX} : range.last;
    for (const Piece& piece : history.pieces) {
      if (piece.from == range.from) range.first = std::min(range.first, TRY(header_of(replid, piece)).first);
      if (piece.to == range.to) range.last = std::max(range.last, TRY(header_of(replid, piece)).last);
    }
    if (const auto instant = histories_.instant_at({replid, range.from})) range.first = std::min(range.first, *instant);
  }
  return {};
}

// What is proven of a place that no bytes of its own lead to: what the history before a link had.
Result<std::optional<Time>> StoredCommandLog::ended_at(Position place) {
  for (size_t i = 0; i <= histories_.links.size(); i++) {
    std::optional<Time> time = histories_.instant_at(place);
    const auto found = histories_.by_id.find(place.replid);
    if (found == histories_.by_id.end()) return time;
    for (const Piece& piece : found->second.pieces) {
      if (piece.to != place.offset) continue;
      const Time last = TRY(header_of(place.replid, piece)).last;
      time = std::max(time.value_or(last), last);
    }
    const auto& origin = found->second.origin;
    if (time || !origin || origin->offset != place.offset) return time;
    place.replid = origin->from;
  }
  return std::optional<Time>();
}

// A receiver joins small records meanwhile: what was listed may be part of a larger one by now.
template <typename Body>
auto StoredCommandLog::up_to_date(const Body& body, const bool* is_over) -> decltype(body()) {
  for (int listing = 1;; listing++) {
    auto result = body();
    const bool is_gone = !result.ok() && result.error().code() == ErrorCode::kNotFound;
    if (!is_gone || listing == kListings || (is_over != nullptr && *is_over)) return result;
    TRY(refresh());
  }
}

Result<std::vector<LogRange>> StoredCommandLog::ranges() {
  return up_to_date([&] { return listed_ranges(); });
}

Result<std::vector<LogRange>> StoredCommandLog::listed_ranges() {
  std::vector<LogRange> ranges;
  for (const auto& [replid, history] : histories_.by_id) TRY(add_range(replid, ranges));
  return ranges;
}

Result<std::optional<LogRange>> StoredCommandLog::newest() {
  std::optional<LogRange> newest;
  for (LogRange& range : TRY(ranges())) {
    const auto reaches = [](const LogRange& of) { return std::pair(of.last, of.to); };
    // Of a link that nothing follows yet, both sides end alike.
    const bool goes_on = newest && reaches(range) == reaches(*newest) &&
                         histories_.leads_to({newest->replid, newest->to}, {range.replid, range.to});
    if (!newest || goes_on || reaches(range) > reaches(*newest)) newest = std::move(range);
  }
  return newest;
}

// ---- reading

Result<StoredCommandLog::Plan> StoredCommandLog::plan(const Position& from) {
  if (!histories_.knows(from)) {
    return make_error(ErrorCode::kUnreachableTarget, "the command log of {} does not reach back to {}", component_,
                      to_text(from))
        .with_hint("'holdfast log' shows what is stored; only the state of the point itself can be restored");
  }
  Plan plan;
  plan.way = histories_.way(from);
  plan.covered_until = histories_.instant_at(plan.way.end);
  if (!plan.way.steps.empty()) {
    const Step& last = plan.way.steps.back();
    const Time time = TRY(header_of(last.replid, last.piece)).last;
    if (last.end == last.piece.to) plan.covered_until = std::max(plan.covered_until.value_or(time), time);
  }
  // One that stands elsewhere, or is of another history, tells nothing of what came behind the end.
  for (const SnapshotPlace& snapshot : snapshots_) {
    if (snapshot.position == plan.way.end)
      plan.covered_until = std::max(plan.covered_until.value_or(snapshot.instant), snapshot.instant);
  }
  // Where not all has come of what the server did in an absence, nothing is proven of it.
  const Position& end = plan.way.end;
  for (const LogAbsence& absence : histories_.absences) {
    if (absence.replid != end.replid || end.offset < absence.from || end.offset >= absence.to) continue;
    if (!plan.covered_until) continue;
    const Time proven = std::max(absence.from_instant, TRY(last_before(plan.way, absence.from)));
    plan.covered_until = std::min(*plan.covered_until, proven);
  }
  return plan;
}

// When the last byte before an offset came, along a way; the earliest of all times when none is.
Result<Time> StoredCommandLog::last_before(const Way& way, uint64_t offset) {
  LogEnd last{way.end, Time{INT64_MIN}};
  for (auto step = way.steps.rbegin(); step != way.steps.rend(); ++step) {
    if (step->begin >= offset) continue;
    TRY(visit_step(*step, {.time = std::nullopt, .offset = offset}, [](const Frame&) { return Result<void>(); }, last));
    break;
  }
  return last.covered_until;
}

// Why nothing behind the plan's end can be reached.
Error StoredCommandLog::stops_short(const Plan& plan) const {
  const Position& end = plan.way.end;
  const std::string until = plan.covered_until ? when(*plan.covered_until) : "an unknown instant";
  for (const LogGap& gap : histories_.gaps) {
    if (!(gap.from == end)) continue;
    return make_error(ErrorCode::kUnreachableTarget, "the command log of {} has a gap from {} ({}) to {} ({}): {}",
                      component_, when(gap.from_instant), to_text(gap.from), when(gap.to_instant), to_text(gap.to),
                      gap.reason);
  }
  if (plan.way.goes_on_at) {
    return make_error(ErrorCode::kUnreachableTarget,
                      "the command log of {} has a gap: history {} is not stored from offset {} ({}) to {}", component_,
                      end.replid.substr(0, 8), end.offset, until, *plan.way.goes_on_at);
  }
  return make_error(ErrorCode::kUnreachableTarget, "the command log of {} ends at {} ({})", component_, until,
                    to_text(end));
}

Result<void> StoredCommandLog::check_reaches(const Plan& plan, const LogUntil& until) const {
  const bool reaches_offset = !until.offset || *until.offset <= plan.way.end.offset;
  const bool reaches_time = !until.time || (plan.covered_until && *until.time <= *plan.covered_until);
  if (reaches_offset && reaches_time) return {};
  return stops_short(plan).with_hint("choose an instant before it, or a later recovery point to start from");
}

// Visits a step's frames; false when `until` ended it.
Result<bool> StoredCommandLog::visit_step(const Step& step, const LogUntil& until, const Visitor& visitor,
                                          LogEnd& end) {
  const std::string name = record_name(step.piece.from, step.piece.to);
  const Bytes body = TRY(body_of(step.replid, name));
  const uint64_t limit = std::min(step.end, until.offset.value_or(UINT64_MAX));
  bool goes_on = true;
  const auto take = [&](const Frame& frame) -> Result<void> {
    if (until.time && frame.received > *until.time) goes_on = false;
    if (!goes_on || frame.end() < step.begin || frame.offset > limit) return {};
    const uint64_t begin = std::max(frame.offset, step.begin), stop = std::min(frame.end(), limit);
    if (begin > stop) return {};
    const Frame part{frame.received, begin, frame.bytes.subspan(begin - frame.offset, stop - begin)};
    if (part.bytes.empty() && !frame.bytes.empty()) return {};
    TRY(visitor(part));
    end = {{step.replid, stop}, frame.received};
    return {};
  };
  TRY_CONTEXT(for_each_frame(body, step.piece.from, step.piece.to, take), "record {} of log {}", name,
              stream(step.replid));
  if (until.offset && end.position.offset >= *until.offset) goes_on = false;
  return goes_on;
}

Result<LogEnd> StoredCommandLog::read(const Position& from, const LogUntil& until, const Visitor& visitor) {
  LogEnd visited{from, Time{INT64_MIN}};
  bool refused = false;  // by the visitor: no fault of the listing
  const Visitor guarded = [&](const Frame& frame) {
    auto outcome = visitor(frame);
    refused = !outcome.ok();
    return outcome;
  };
  return up_to_date([&] { return read_on(until, guarded, visited); }, &refused);
}

// Goes on behind what was visited.
Result<LogEnd> StoredCommandLog::read_on(const LogUntil& until, const Visitor& visitor, LogEnd& visited) {
  const Plan plan = TRY(this->plan(visited.position));
  TRY(check_reaches(plan, until));
  visited.position = histories_.located(visited.position);
  LogEnd& end = visited;
  bool goes_on = !until.offset || end.position.offset < *until.offset;
  for (const Step& step : plan.way.steps) {
    if (!goes_on) break;
    goes_on = TRY(visit_step(step, until, visitor, end));
  }
  if (until.time) {
    end.covered_until = *until.time;
  } else if (!until.offset || *until.offset == plan.way.end.offset) {
    end.position = plan.way.end;  // behind a link that no bytes follow yet, too
    end.covered_until = plan.covered_until.value_or(end.covered_until);
  }
  return end;
}

Result<LogEnd> StoredCommandLog::reach(const Position& from) {
  const Plan plan = TRY(up_to_date([&] { return this->plan(from); }));
  return LogEnd{plan.way.end, plan.covered_until.value_or(Time{INT64_MIN})};
}

Result<LogEnd> StoredCommandLog::position_at(const Position& from, Time time) {
  return up_to_date([&] { return find_position(from, time); });
}

Result<LogEnd> StoredCommandLog::find_position(const Position& from, Time time) {
  const Plan plan = TRY(this->plan(from));
  TRY(check_reaches(plan, {.time = time, .offset = std::nullopt}));
  LogEnd end{histories_.located(from), time};
  // The last step that begins at or before `time`.
  size_t low = 0, high = plan.way.steps.size();
  while (low < high) {
    const size_t middle = (low + high) / 2;
    const Step& step = plan.way.steps[middle];
    if (TRY(header_of(step.replid, step.piece)).first <= time) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (low == 0) return end;
  const Step& step = plan.way.steps[low - 1];
  end.position = {step.replid, step.begin};
  TRY(visit_step(step, {.time = time, .offset = std::nullopt}, [](const Frame&) { return Result<void>(); }, end));
  end.covered_until = time;
  return end;
}

// ---- writing

Result<void> StoredCommandLog::put(const std::string& replid, const std::string& name, ByteView header, ByteView body) {
  TRY(store_.put(stream(replid), {name, header, body}));
  return {};
}

// Another receiver of the component may have stored the same stretch, with instants of its
// own: the record that came first stays.
Result<void> StoredCommandLog::put_beside_others(const Record& record) {
  const std::string name = record_name(record.from, record.to);
  const RecordHeader header{record.from, record.to, record.first, record.last};
  for (int tries = 1;; tries++) {
    auto stored = put(record.replid, name, encode_record_header(header), record.body);
    if (stored.ok() || stored.error().code() != ErrorCode::kMismatch) return stored;
    const auto there = body_of(record.replid, name);
    const bool is_gone = !there.ok() && there.error().code() == ErrorCode::kNotFound;  // joined meanwhile
    if (is_gone && tries < kListings) continue;
    if (!there.ok()) return there.error().clone();
    const Bytes theirs = TRY(commands_of(*there, record.from, record.to));
    const Bytes ours = TRY(commands_of(record.body, record.from, record.to));
    if (std::ranges::equal(theirs.view(), ours.view())) return {};
    return std::move(stored).error().with_hint(
        "two servers tell one history differently: the component's log is fed from both");
  }
}

Result<void> StoredCommandLog::put_record(const Record& record) {
  CHECK(record.to > record.from);
  TRY(put_beside_others(record));
  auto& pieces = histories_.by_id[record.replid].pieces;
  const Piece piece{record.from, record.to, record.body.size()};
  const auto place = std::upper_bound(pieces.begin(), pieces.end(), piece, [](const Piece& a, const Piece& b) {
    return std::pair(a.from, a.to) < std::pair(b.from, b.to);
  });
  pieces.insert(place, piece);
  return {};
}

Result<void> StoredCommandLog::put_merged(const Record& record) {
  TRY(put_record(record));
  std::erase_if(histories_.by_id[record.replid].pieces, [&](const Piece& piece) {
    const bool is_covered = piece.from >= record.from && piece.to <= record.to;
    if (!is_covered || (piece.from == record.from && piece.to == record.to)) return false;
    auto removed = store_.remove(stream(record.replid), record_name(piece.from, piece.to));
    const bool is_gone = removed.ok() || removed.error().code() == ErrorCode::kNotFound;
    if (!is_gone) log_debug("redis.part.kept", {{"problem", removed.error().text()}});
    return is_gone;
  });
  return {};
}

Result<void> StoredCommandLog::put_link(const LogLink& link) {
  const std::optional<LogLink>& known = histories_.by_id[link.to].origin;
  if (known && known->from == link.from && known->offset == link.offset) return {};
  auto stored = put(link.to, link_name(link.offset), Bytes(), encode_link(link));
  if (!stored.ok() && stored.error().code() == ErrorCode::kMismatch) {
    // Another receiver may have seen it at another instant.
    const LogLink there = TRY(decode_link(TRY(body_of(link.to, link_name(link.offset)))));
    if (there.from == link.from) stored = Result<void>();
  }
  TRY(std::move(stored));
  histories_.add_link(link);
  return {};
}

Result<void> StoredCommandLog::put_gap(const LogGap& gap) {
  TRY(put(gap.to.replid, gap_name(gap), Bytes(), encode_gap(gap)));
  histories_.by_id[gap.to.replid];  // known from now on, though nothing of it is stored yet
  LogGap stored = gap;
  stored.from_instant = cut_to_microseconds(gap.from_instant);
  stored.to_instant = cut_to_microseconds(gap.to_instant);
  histories_.gaps.push_back(std::move(stored));
  return {};
}

// A name tells where an absence begins and when it ends: an earlier connection, or another
// receiver, may have stored one that begins at another instant, or brings less. It stays, and
// says enough or gets another beside it, which ends a microsecond later.
Result<void> StoredCommandLog::put_absence(const LogAbsence& absence) {
  constexpr int kMostBeside = 100;
  LogAbsence stored = absence;
  for (int tries = 1;; tries++) {
    const std::string name = absence_name(stored);
    auto done = put(stored.replid, name, Bytes(), encode_absence(stored));
    if (!done.ok() && (done.error().code() != ErrorCode::kMismatch || tries == kMostBeside)) return done;
    if (!done.ok()) {
      const LogAbsence there = TRY(decode_absence(TRY(body_of(stored.replid, name))));
      if (there.to < stored.to || there.from_instant > cut_to_microseconds(stored.from_instant)) {
        stored.to_instant = stored.to_instant + Duration::microseconds(1);
        continue;
      }
      stored = there;
    }
    const auto is_it = [&](const LogAbsence& known) {
      return known.replid == stored.replid && absence_name(known) == name;
    };
    if (!std::ranges::any_of(histories_.absences, is_it)) histories_.absences.push_back(std::move(stored));
    return {};
  }
}

Result<void> StoredCommandLog::put_mark(const Position& position, Time time) {
  TRY(put(position.replid, mark_name(position.offset, time), Bytes(), Bytes()));
  histories_.by_id[position.replid].marks.push_back({position.offset, cut_to_microseconds(time)});
  return {};
}

// ---- expiry

void StoredCommandLog::name_doomed(const std::map<std::string, uint64_t>& bounds,
                                   std::vector<StreamRecord>& doomed) const {
  // Records first: what is left of an expiry that is cut short still says how lines go.
  const auto bound_of = [&](const std::string& replid) {
    const auto found = bounds.find(replid);
    return found == bounds.end() ? uint64_t{0} : found->second;
  };
  for (const auto& [replid, history] : histories_.by_id) {
    const uint64_t bound = bound_of(replid);
    for (const Piece& piece : history.pieces)
      if (piece.to <= bound) doomed.push_back({replid, record_name(piece.from, piece.to)});
    for (const LogMark& mark : history.marks)
      if (mark.offset < bound) doomed.push_back({replid, mark_name(mark.offset, mark.time)});
  }
  for (const LogAbsence& absence : histories_.absences)
    if (absence.to <= bound_of(absence.replid)) doomed.push_back({absence.replid, absence_name(absence)});
  for (const LogLink& link : histories_.links) {
    if (link.offset <= bound_of(link.to) && bound_of(link.from) == UINT64_MAX)
      doomed.push_back({link.to, link_name(link.offset)});
  }
  for (const LogGap& gap : histories_.gaps) {
    const bool is_before = gap.to.offset <= bound_of(gap.to.replid);
    const bool is_source_gone = bound_of(gap.from.replid) == UINT64_MAX || histories_.by_id.count(gap.from.replid) == 0;
    if (is_before && (is_source_gone || gap.from.replid == gap.to.replid))
      doomed.push_back({gap.to.replid, gap_name(gap)});
  }
}

Result<std::vector<std::string>> StoredCommandLog::expire_before(const std::vector<Position>& needed, bool dry_run) {
  std::vector<StreamRecord> doomed;
  name_doomed(histories_.needed_from(needed), doomed);
  std::vector<std::string> names;
  for (const StreamRecord& record : doomed) {
    if (!dry_run) {
      auto removed = store_.remove(stream(record.replid), record.name);
      if (!removed.ok() && removed.error().code() != ErrorCode::kNotFound) return std::move(removed).error();
    }
    names.push_back(stream(record.replid) + "/" + record.name);
  }
  if (!dry_run && !names.empty()) TRY(refresh());
  return names;
}

}  // namespace

Result<std::unique_ptr<CommandLog>> CommandLog::open(repo::LogStore& store, const std::string& component) {
  auto log = std::make_unique<StoredCommandLog>(store, component);
  TRY(log->refresh());
  return std::unique_ptr<CommandLog>(std::move(log));
}

bool is_replid(std::string_view text) {
  return text.size() == 40 &&
         std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

std::string to_text(const Position& position) {
  return fmt::format("offset {} of history {}", position.offset, position.replid.substr(0, 8));
}

std::string stream_name(const std::string& component, const std::string& replid) { return component + "." + replid; }

std::optional<StreamId> parse_stream(const std::string& stream) {
  const size_t dot = stream.rfind('.');
  if (dot == std::string::npos || dot == 0 || !is_replid(std::string_view(stream).substr(dot + 1))) return std::nullopt;
  return StreamId{stream.substr(0, dot), stream.substr(dot + 1)};
}

}  // namespace holdfast::redis
