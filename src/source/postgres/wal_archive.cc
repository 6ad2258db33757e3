#include "source/postgres/wal_archive.h"

#include <algorithm>
#include <deque>
#include <map>
#include <mutex>
#include <set>

#include "base/log.h"
#include "source/postgres/crc32c.h"
#include "source/postgres/segment_check.h"
#include "source/postgres/segment_parts.h"
#include "source/postgres/timeline.h"
#include "source/postgres/wal_expiry.h"
#include "source/postgres/wal_inventory.h"

namespace holdfast::postgres {

namespace {

constexpr Duration kRetirement = Duration::seconds(120);  // of parts whose segment is stored whole
// A hole may be a segment that is being stored: later ones can be there before it.
constexpr int kLooksAtHole = 10;
constexpr Duration kBetweenLooks = Duration::milliseconds(300);
constexpr size_t kMaxCachedSummaries = 65'536;
constexpr int kQuickLevel = 1;                   // of zstd
constexpr size_t kMaxTextFileBytes = 16u << 20;  // of .history and .backup files

void tell_not_compared(const std::string& record, const Error& problem) {
  log_warn("postgres.wal.not_compared", {{"record", record}, {"problem", problem.text()}});
}

uint32_t checksum(ByteView bytes) { return crc32c_finish(crc32c_update(kCrc32cStart, bytes)); }

class Archive final : public WalArchive {
 public:
  using OwnedStores = std::vector<std::unique_ptr<repo::LogStore>>;
  Archive(OwnedStores owned, repo::LogStore& store, repo::LogStore& quick, Clock& clock, const Identity& identity)
      : owned_(std::move(owned)),
        store_(store),
        quick_(quick),
        clock_(clock),
        identity_(identity),
        stream_(fmt::format("{}.{}", identity.component, identity.system_id)) {}

  const Identity& identity() const override { return identity_; }

  Result<void> push(const std::string& name, ByteView content, const PushOptions& options) override;
  Result<void> push_part(uint32_t timeline, Lsn start, ByteView content) override;
  Result<void> mark(uint32_t timeline, Lsn end, Time server_time) override;
  Result<std::optional<Bytes>> fetch(const std::string& name) override;
  Result<std::optional<Bytes>> fetch_whole(const std::string& name) override;
  Result<Bytes> beginning_of(uint32_t timeline, Lsn segment) override;
  Result<Bytes> intact_beginning_of(uint32_t timeline, Lsn segment) override;
  Result<Bytes> stored_before(uint32_t timeline, Lsn position) override;
  Result<bool> is_empty() override;
  Result<std::vector<WalRange>> ranges() override;
  Result<std::vector<std::string>> gaps(uint32_t timeline, Lsn from, Lsn to, Duration listed_within) override;
  Result<uint32_t> newest_descendant(uint32_t timeline, Lsn lsn) override;
  Result<std::vector<TimelineSwitch>> history(uint32_t timeline) override;
  Result<std::vector<WalPiece>> pieces(Duration listed_within) override;
  Result<std::shared_ptr<const WalSummary>> summary(const std::string& record) override;
  Result<std::optional<BlockMap>> block_map(const std::string& record) override;
  Result<std::vector<WalMark>> marks() override;
  void await_stores() override { clock_.sleep(kBetweenLooks); }
  Result<std::vector<std::string>> expire(const WalNeed& needed, bool dry_run) override;

 private:
  // Parts that this process stored itself, by where they begin, so that they need
  // not be read back to be compared.
  struct OwnPart {
    uint64_t to = 0;
    uint32_t checksum = 0;
  };
  using OwnParts = std::map<uint64_t, OwnPart>;
  // A part that was scanned and could not be stored: it will be given again. What is stored
  // before it need not be readable for that.
  struct Prepared {
    Lsn start;
    uint64_t bytes = 0;
    uint32_t checksum = 0;
    Bytes header;
    bool is(Lsn at, ByteView content) const {
      return at == start && content.size() == bytes && postgres::checksum(content) == checksum;
    }
  };
  // The segment that this process stores in parts at the moment, one for each timeline.
  struct OpenSegment {
    Lsn start;
    std::unique_ptr<SegmentScanner> scanner;  // behind `prepared`
    OwnParts own;
    std::optional<Prepared> prepared;
    bool expects(Lsn at, ByteView content) const {
      return prepared ? prepared->is(at, content) : scanner->position() == at;
    }
  };

  Result<void> put(const std::string& name, ByteView header, ByteView body, bool in_haste = false);
  Result<void> put_over_damaged(const std::string& name, ByteView header, ByteView content);
  Result<void> replace_damaged(const std::string& name, const Error& problem, ByteView header, ByteView content,
                               bool in_haste = false);
  Result<void> push_segment(const std::string& name, ByteView content, const PushOptions& options);
  Result<void> check_against_parts(const std::string& name, const OwnParts& own, ByteView content,
                                   bool beside_whole = false);
  Result<void> check_against_ancestor(uint32_t timeline, Lsn start, ByteView content);
  Result<Bytes> readable_beginning_of(uint32_t timeline, Lsn segment);
  OwnParts own_parts(const SegmentAddress& address);
  void retire(const std::string& name, const OwnParts& own);
  Result<OpenSegment*> open_segment(uint32_t timeline, Lsn start, ByteView content);
  Result<void> prepare(OpenSegment& open, const std::string& name, Lsn start, ByteView content);
  Result<std::vector<std::string>> names(Duration max_age);
  Result<WalInventory> inventory(Duration listed_within = {});
  Result<std::optional<Bytes>> get(const std::string& name);
  Result<SegmentBeginning> read_parts(const std::string& name, const WalInventory::Segment& segment);
  Result<Bytes> assemble(const std::string& name, const WalInventory::Segment& segment);
  Result<std::optional<Bytes>> fetch_segment(const std::string& name);
  Result<std::optional<Bytes>> look_for_segment(const std::string& name);
  Result<void> check_absence(const WalInventory& inventory, const SegmentAddress& address, const std::string& name);
  Result<void> add_times(WalRange& range, const std::vector<WalPiece>& pieces);
  std::vector<WalPiece> pieces_of(const WalInventory& inventory) const;

  const OwnedStores owned_;
  repo::LogStore& store_;
  repo::LogStore& quick_;  // the same place, at another price
  Clock& clock_;
  const Identity identity_;
  const std::string stream_;

  std::mutex names_mutex_;
  std::vector<std::string> names_;  // in no order: as last listed, and what was put since
  std::optional<Duration> names_read_at_;

  std::mutex summaries_mutex_;
  std::map<std::string, std::shared_ptr<const WalSummary>> summaries_;
  std::map<uint32_t, std::vector<TimelineSwitch>> histories_;

  std::mutex open_mutex_;
  std::map<uint32_t, OpenSegment> open_;
  struct Retired {
    Duration at;
    std::string name;
  };
  std::deque<Retired> retired_;  // own parts whose whole segment is stored
};

// ---- storing

Result<void> Archive::put(const std::string& name, ByteView header, ByteView body, bool in_haste) {
  repo::LogStore& store = in_haste ? quick_ : store_;
  auto stored = store.put(stream_, {name, header, body});
  if (!stored.ok() && stored.error().code() == ErrorCode::kMismatch)
    return make_error(ErrorCode::kMismatch, "{} is stored already, with other content", name)
        .with_hint(
            "two servers may be writing to one archive (a clone, or a machine that was rolled back): "
            "give each its own component");
  if (!stored.ok()) return std::move(stored).error().with_context(fmt::format("storing {}", name));
  std::lock_guard lock(names_mutex_);
  if (names_read_at_ && stored.value() == repo::LogStore::Outcome::kStored) names_.push_back(name);
  return {};
}

// Of what a server gives again a damaged record would be in the way.
Result<void> Archive::put_over_damaged(const std::string& name, ByteView header, ByteView content) {
  auto stored = put(name, header, content);
  if (stored.ok() || stored.error().code() != ErrorCode::kDamaged) return stored;
  return replace_damaged(name, stored.error(), header, content);
}

Result<void> Archive::replace_damaged(const std::string& name, const Error& problem, ByteView header, ByteView content,
                                      bool in_haste) {
  log_warn("postgres.wal.replaced", {{"record", name}, {"problem", problem.text()}});
  const auto removed = store_.remove(stream_, name);
  if (!removed.ok() && removed.error().code() != ErrorCode::kNotFound)
    return removed.error().clone().with_context(fmt::format("making room for {}", name));
  {
    std::lock_guard lock(names_mutex_);
    std::erase(names_, name);
  }
  return put(name, header, content, in_haste);
}

Result<void> Archive::push(const std::string& name, ByteView content, const PushOptions& options) {
  if (is_segment_name(name)) return push_segment(name, content, options);
  const std::string_view text(name);
  if (text.size() == 32 && is_segment_name(text.substr(0, 24)) && text.ends_with(".partial")) {
    TRY(check_segment(identity_, name, content, true));
    return put(name, {}, content);
  }
  const bool backup = text.size() == 40 && is_segment_name(text.substr(0, 24)) && text.ends_with(".backup");
  if (!backup && !is_history_name(name))
    return make_error(ErrorCode::kUsage, "'{}' is neither a WAL segment nor a .history, .partial or .backup file",
                      name);
  if (content.size() > kMaxTextFileBytes)
    return make_error(ErrorCode::kMismatch, "{} is too large to be what its name says: {} bytes", name, content.size());
  if (!backup) {
    const uint32_t timeline = TRY(parse_history_name(name));
    TRY(parse_history(content, timeline));
  }
  return put_over_damaged(name, {}, content);
}

Result<void> Archive::push_segment(const std::string& name, ByteView content, const PushOptions& options) {
  TRY(check_segment(identity_, name, content, true));
  const SegmentAddress address = TRY(parse_segment_name(name, identity_.segment_bytes));
  const OwnParts own = own_parts(address);
  TRY(check_against_parts(name, own, content));
  TRY(check_against_ancestor(address.timeline, address.start, content));
  SegmentScanner scanner(address.start, identity_.segment_bytes);
  const WalSummary summary = scanner.scan(content);
  const BlockMap map = scanner.take_map();
  if (summary.fault && options.refuse_faults) return faulty(name, *summary.fault);
  // The server has declared it done, and refusing would fill its disk: keep it, and say so.
  if (summary.fault)
    log_warn("postgres.wal.fault",
             {{"segment", name}, {"at", summary.fault->at.text()}, {"problem", summary.fault->problem}});
  const Bytes header = encode_summary(summary, &map);
  auto stored = put(name, header, content, options.in_haste);
  if (!stored.ok() && stored.error().code() == ErrorCode::kDamaged) {
    TRY(check_against_parts(name, own, content, true));
    stored = replace_damaged(name, stored.error(), header, content, options.in_haste);
  }
  TRY(std::move(stored));
  {
    std::lock_guard lock(open_mutex_);
    const auto open = open_.find(address.timeline);
    if (open != open_.end() && open->second.start == address.start) open_.erase(open);
  }
  retire(name, own);
  return {};
}

Archive::OwnParts Archive::own_parts(const SegmentAddress& address) {
  std::lock_guard lock(open_mutex_);
  const auto open = open_.find(address.timeline);
  if (open == open_.end() || open->second.start != address.start) return {};
  return open->second.own;
}

// Removes what this process stored in parts once the whole segment is stored, after
// a while: whoever is reading the parts has ended by then. A synchronous receiver
// makes hundreds a second. Where removing is forbidden they stay until expiry.
void Archive::retire(const std::string& name, const OwnParts& own) {
  const Duration now = clock_.monotonic();
  std::vector<std::string> due;
  {
    std::lock_guard lock(open_mutex_);
    for (const auto& [from, part] : own) retired_.push_back({now, part_name(name, from, part.to)});
    for (; !retired_.empty() && now - retired_.front().at >= kRetirement; retired_.pop_front())
      due.push_back(std::move(retired_.front().name));
  }
  for (const std::string& part : due) {
    const auto removed = store_.remove(stream_, part);
    if (!removed.ok()) log_debug("postgres.wal.part_kept", {{"part", part}, {"problem", removed.error().text()}});
  }
  const std::set<std::string> gone(due.begin(), due.end());
  std::lock_guard lock(names_mutex_);
  std::erase_if(names_, [&](const std::string& other) { return gone.contains(other); });
}

// A segment must not differ from the parts of it that are stored. It takes the place of those
// that are damaged. Where it is stored whole that tells, unless (`beside_whole`) it is damaged.
Result<void> Archive::check_against_parts(const std::string& name, const OwnParts& own, ByteView content,
                                          bool beside_whole) {
  const SegmentAddress address = TRY(parse_segment_name(name, identity_.segment_bytes));
  const auto differs = [&] {
    return make_error(ErrorCode::kMismatch, "WAL segment {} differs from the part of it that is stored already", name)
        .with_hint(
            "two servers may be writing to one archive (a clone, or a machine that was rolled back): "
            "give each its own component");
  };
  auto of_segment = TRY(names(kListedLately));
  std::erase_if(of_segment, [&](const std::string& other) { return !other.starts_with(name); });
  const WalInventory known = WalInventory::of(of_segment, identity_.segment_bytes);
  const auto timeline = known.timelines.find(address.timeline);
  if (timeline == known.timelines.end()) return {};
  const auto segment = timeline->second.find(address.start);
  if (segment == timeline->second.end() || (segment->second.whole && !beside_whole)) return {};
  for (const auto& part : segment->second.parts) {
    const ByteView ours = content.subspan(part.from, part.to - part.from);
    const auto mine = own.find(part.from);
    if (mine != own.end() && mine->second.to == part.to) {
      if (mine->second.checksum != checksum(ours)) return differs();
      continue;
    }
    const auto stored = get(part.record);
    if (!stored.ok() && stored.error().code() == ErrorCode::kDamaged) {
      tell_not_compared(part.record, stored.error());
      continue;
    }
    if (!stored.ok()) return stored.error().clone();
    if (*stored && !equal(**stored, ours)) return differs();
  }
  return {};
}

// What is stored of a segment, from its beginning; nothing, when that is not.
Result<Bytes> Archive::beginning_of(uint32_t timeline, Lsn segment) {
  const std::string name = segment_name(timeline, segment, identity_.segment_bytes);
  if (auto whole = TRY(get(name))) return std::move(*whole);
  const WalInventory known = TRY(inventory());
  const auto segments = known.timelines.find(timeline);
  if (segments == known.timelines.end() || !segments->second.contains(segment)) return Bytes();
  return assemble(name, segments->second.at(segment));
}

Result<Bytes> Archive::intact_beginning_of(uint32_t timeline, Lsn segment) {
  const WalInventory known = TRY(inventory());
  const auto segments = known.timelines.find(timeline);
  if (segments == known.timelines.end() || !segments->second.contains(segment)) return Bytes();
  const std::string name = segment_name(timeline, segment, identity_.segment_bytes);
  return std::move(TRY(read_parts(name, segments->second.at(segment))).content);
}

Result<Bytes> Archive::stored_before(uint32_t timeline, Lsn position) {
  const Lsn segment = segment_start(position, identity_.segment_bytes);
  const std::string name = segment_name(timeline, position, identity_.segment_bytes);
  auto fetched = fetch(name);
  if (fetched.ok() && !*fetched)
    return make_error(ErrorCode::kInvalidData, "the beginning of WAL segment {} is not stored", name);
  Bytes stored;
  if (fetched.ok())
    stored = std::move(**fetched);
  else if (fetched.error().code() == ErrorCode::kDamaged)
    stored = TRY(intact_beginning_of(timeline, segment));
  const uint64_t wanted = position.value - segment.value;
  if (stored.size() < wanted) return std::move(fetched).error();
  stored.resize(wanted);
  return stored;
}

// Only what is readable, and nothing where it contradicts itself: what the server has is not to
// be refused, and its disk filled, because of that.
Result<Bytes> Archive::readable_beginning_of(uint32_t timeline, Lsn segment) {
  auto stored = beginning_of(timeline, segment);
  if (stored.ok()) return stored;
  const ErrorCode code = stored.error().code();
  if (code != ErrorCode::kDamaged && code != ErrorCode::kMismatch) return stored;
  tell_not_compared(segment_name(timeline, segment, identity_.segment_bytes), stored.error());
  if (code == ErrorCode::kMismatch) return Bytes();
  auto intact = intact_beginning_of(timeline, segment);
  if (!intact.ok() && intact.error().code() == ErrorCode::kMismatch) return Bytes();
  return intact;
}

// Where a timeline begins within a segment, what stands before in it is its ancestor's. A
// server that was set back, lived on and was promoted then has left another history there than
// the one that is stored.
Result<void> Archive::check_against_ancestor(uint32_t timeline, Lsn start, ByteView content) {
  const auto ancestors = history(timeline);
  if (!ancestors.ok() && ancestors.error().code() == ErrorCode::kNotFound) return {};
  if (!ancestors.ok() && ancestors.error().code() == ErrorCode::kDamaged) {
    tell_not_compared(history_name(timeline), ancestors.error());
    return {};
  }
  if (!ancestors.ok()) return ancestors.error().clone();
  const Lsn segment = segment_start(start, identity_.segment_bytes);
  for (auto left = ancestors->rbegin(); left != ancestors->rend() && left->left_at > start; ++left) {
    if (segment_start(left->left_at, identity_.segment_bytes) != segment) return {};
    const Bytes stored = TRY(readable_beginning_of(left->timeline, segment));
    const uint64_t from = start.value - segment.value;
    const uint64_t to = std::min({from + content.size(), left->left_at.value - segment.value, uint64_t{stored.size()}});
    if (to <= from) continue;
    if (equal(stored.view(from, to - from), content.first(to - from))) return {};
    return make_error(ErrorCode::kMismatch,
                      "WAL segment {} differs, before timeline {} begins at {}, from what is stored of timeline {}",
                      segment_name(timeline, segment, identity_.segment_bytes), timeline, left->left_at.text(),
                      left->timeline)
        .with_hint(
            "the server was set back before it was promoted, and this is another history than the one that is stored: "
            "give its component another name in holdfast.yaml and take a backup (docs/postgres.md, \"A server that was "
            "set back\")");
  }
  return {};
}

// The open segment of a timeline, which expects that part: made anew from what is stored when
// this process did not store the bytes before.
Result<Archive::OpenSegment*> Archive::open_segment(uint32_t timeline, Lsn start, ByteView content) {
  const Lsn segment = segment_start(start, identity_.segment_bytes);
  const auto known = open_.find(timeline);
  if (known != open_.end() && known->second.start == segment && known->second.expects(start, content))
    return &known->second;
  OpenSegment fresh{segment, std::make_unique<SegmentScanner>(segment, identity_.segment_bytes), {}, {}};
  if (start > segment) {
    const Bytes before = TRY(intact_beginning_of(timeline, segment));
    if (before.size() != start.value - segment.value)
      return make_error(ErrorCode::kInvalidData, "a part of WAL segment {} begins at byte {} but {} bytes are stored",
                        segment_name(timeline, start, identity_.segment_bytes), start.value - segment.value,
                        before.size());
    fresh.scanner->scan(before);  // its summary is stored with it already
  }
  open_.insert_or_assign(timeline, std::move(fresh));
  return &open_.at(timeline);
}

Result<void> Archive::prepare(OpenSegment& open, const std::string& name, Lsn start, ByteView content) {
  const WalSummary summary = open.scanner->scan(content);
  const BlockMap map = open.scanner->take_map();
  if (summary.fault) return faulty(name, *summary.fault);
  open.prepared = Prepared{start, content.size(), checksum(content), encode_summary(summary, &map)};
  return {};
}

Result<void> Archive::push_part(uint32_t timeline, Lsn start, ByteView content) {
  const Lsn segment = segment_start(start, identity_.segment_bytes);
  const uint64_t from = start.value - segment.value, to = from + content.size();
  const std::string name = segment_name(timeline, start, identity_.segment_bytes);
  if (content.empty() || to > identity_.segment_bytes)
    return make_error(ErrorCode::kInvalidData, "a part of WAL segment {} covers bytes {} to {}", name, from, to);
  if (from == 0 && content.size() >= kWalLongHeaderBytes) TRY(check_segment(identity_, name, content, false));
  TRY(check_against_ancestor(timeline, start, content));
  std::lock_guard lock(open_mutex_);
  OpenSegment* open = TRY(open_segment(timeline, start, content));
  if (!open->prepared) {
    auto prepared = prepare(*open, name, start, content);
    if (!prepared.ok()) {
      open_.erase(timeline);  // its scanner has gone on
      return prepared;
    }
  }
  TRY(put_over_damaged(part_name(name, from, to), open->prepared->header, content));
  open->own[from] = {to, open->prepared->checksum};
  open->prepared.reset();
  return {};
}

Result<void> Archive::mark(uint32_t timeline, Lsn end, Time server_time) {
  return put(mark_name({timeline, end, server_time}), {}, {});
}

// ---- reading

// The names of all records; a listing of at most `max_age` will do.
Result<std::vector<std::string>> Archive::names(Duration max_age) {
  const Duration now = clock_.monotonic();
  {
    std::lock_guard lock(names_mutex_);
    if (names_read_at_ && max_age > Duration{} && now - *names_read_at_ <= max_age) return names_;
  }
  std::vector<std::string> names = TRY(store_.names(stream_));
  std::lock_guard lock(names_mutex_);
  names_ = names;
  names_read_at_ = now;
  return names;
}

// A history may stay where all WAL was removed.
Result<bool> Archive::is_empty() { return TRY(inventory()).timelines.empty(); }

Result<WalInventory> Archive::inventory(Duration listed_within) {
  return WalInventory::of(TRY(names(listed_within)), identity_.segment_bytes);
}

Result<std::optional<Bytes>> Archive::get(const std::string& name) {
  auto record = store_.get(stream_, name);
  if (record.ok()) return std::optional<Bytes>(std::move(record.value().body));
  if (record.error().code() == ErrorCode::kNotFound) return std::optional<Bytes>();
  return std::move(record).error().with_context(fmt::format("reading {}", name));
}

Result<SegmentBeginning> Archive::read_parts(const std::string& name, const WalInventory::Segment& segment) {
  return beginning_of_parts(name, segment, identity_.segment_bytes,
                            [this](const std::string& record) { return get(record); });
}

Result<Bytes> Archive::assemble(const std::string& name, const WalInventory::Segment& segment) {
  SegmentBeginning found = TRY(read_parts(name, segment));
  if (found.damage) return std::move(*found.damage);
  return std::move(found.content);
}

// A hole in the log, not its end: to call it absent would end a recovery early and in silence.
Result<void> Archive::check_absence(const WalInventory& inventory, const SegmentAddress& address,
                                    const std::string& name) {
  const auto found = inventory.timelines.find(address.timeline);
  if (found == inventory.timelines.end()) return {};
  const auto& segments = found->second;
  const auto later = segments.upper_bound(address.start);
  if (later == segments.end()) return {};
  bool after_beginning = segments.begin()->first <= address.start;
  if (!after_beginning && inventory.histories.contains(address.timeline)) {
    const auto ancestors = TRY(history(address.timeline));
    after_beginning =
        !ancestors.empty() && segment_start(ancestors.back().left_at, identity_.segment_bytes) <= address.start;
  }
  if (!after_beginning) return {};
  return make_error(ErrorCode::kDamaged, "WAL segment {} is not stored whole though {} behind it is: the log has a gap",
                    name, segment_name(address.timeline, later->first, identity_.segment_bytes))
      .with_data_loss()
      .with_hint("push it from the server, or restore a later point (--point ID) or another timeline (--timeline N)");
}

// Only a hole that stays is one: to PostgreSQL it is fatal.
Result<std::optional<Bytes>> Archive::fetch_segment(const std::string& name) {
  for (int look = 1;; look++) {
    auto found = look_for_segment(name);
    if (found.ok() || !found.error().data_loss() || look == kLooksAtHole) return found;
    await_stores();
  }
}

Result<std::optional<Bytes>> Archive::look_for_segment(const std::string& name) {
  if (auto whole = TRY(fetch_whole(name))) return whole;
  const SegmentAddress address = TRY(parse_segment_name(name, identity_.segment_bytes));
  const WalInventory known = TRY(inventory());
  const auto timeline = known.timelines.find(address.timeline);
  const WalInventory::Segment* segment = nullptr;
  if (timeline != known.timelines.end()) {
    const auto found = timeline->second.find(address.start);
    if (found != timeline->second.end()) segment = &found->second;
  }
  if (segment && segment->whole) {  // it came between our two questions
    if (auto whole = TRY(fetch_whole(name))) return whole;
    return make_error(ErrorCode::kUnavailable, "{} is listed but can't be read", name).with_retryable();
  }
  TRY(check_absence(known, address, name));
  if (!segment) return std::optional<Bytes>();
  auto assembled = assemble(name, *segment);
  if (!assembled.ok()) {  // its parts may just have been replaced by the whole
    if (auto whole = TRY(fetch_whole(name))) return whole;
    return std::move(assembled).error();
  }
  Bytes content = std::move(assembled).value();
  const size_t stored = content.size();
  if (segment->parts.empty() || stored < segment->parts.back().from || stored == 0)
    return make_error(ErrorCode::kDamaged, "of WAL segment {} the part from byte {} on is missing", name, stored)
        .with_data_loss();
  content.resize(identity_.segment_bytes);
  std::fill(content.begin() + stored, content.end(), uint8_t{0});
  return std::optional<Bytes>(std::move(content));
}

Result<std::optional<Bytes>> Archive::fetch_whole(const std::string& name) {
  auto content = TRY(get(name));
  if (content && is_segment_name(name) && content->size() != identity_.segment_bytes)
    return make_error(ErrorCode::kDamaged, "stored WAL segment {} has {} bytes instead of {}", name, content->size(),
                      identity_.segment_bytes);
  return content;
}

Result<std::optional<Bytes>> Archive::fetch(const std::string& name) {
  if (is_segment_name(name)) return fetch_segment(name);
  const std::string_view text(name);
  const bool known = is_history_name(name) || (text.size() > 24 && is_segment_name(text.substr(0, 24)) &&
                                               (text.ends_with(".partial") || text.ends_with(".backup")));
  if (!known) return make_error(ErrorCode::kUsage, "'{}' is not the name of a WAL file", name);
  return get(name);
}

Result<std::vector<TimelineSwitch>> Archive::history(uint32_t timeline) {
  if (timeline <= 1) return std::vector<TimelineSwitch>();
  {
    std::lock_guard lock(summaries_mutex_);
    const auto known = histories_.find(timeline);
    if (known != histories_.end()) return known->second;
  }
  const auto content = TRY(get(history_name(timeline)));
  if (!content)
    return make_error(ErrorCode::kNotFound, "the history of timeline {} is not stored", timeline)
        .with_hint(fmt::format("push {} from the server's pg_wal directory", history_name(timeline)));
  auto switches = TRY(parse_history(*content, timeline));
  std::lock_guard lock(summaries_mutex_);
  histories_[timeline] = switches;
  return switches;
}

Result<uint32_t> Archive::newest_descendant(uint32_t timeline, Lsn lsn) {
  const WalInventory known = TRY(inventory());
  uint32_t newest = timeline;
  for (const uint32_t candidate : known.histories) {
    // A timeline of which no WAL is stored leads nowhere yet.
    if (candidate <= newest || !known.timelines.contains(candidate)) continue;
    for (const TimelineSwitch& ancestor : TRY(history(candidate)))
      if (ancestor.timeline == timeline && ancestor.left_at >= lsn) newest = candidate;
  }
  return newest;
}

std::vector<WalPiece> Archive::pieces_of(const WalInventory& known) const {
  std::vector<WalPiece> pieces;
  for (const auto& [timeline, segments] : known.timelines) {
    for (const auto& [start, segment] : segments) {
      const std::string name = segment_name(timeline, start, identity_.segment_bytes);
      if (segment.whole) {
        pieces.push_back({name, timeline, start, Lsn{start.value + identity_.segment_bytes}, true});
        continue;
      }
      const auto gapless = segment.gapless();
      const uint64_t stored = gapless.empty() ? 0 : gapless.back().to;
      const auto add = [&, timeline = timeline, start = start](const WalInventory::Part& part) {
        pieces.push_back({part.record, timeline, Lsn{start.value + part.from}, Lsn{start.value + part.to}, false});
      };
      std::for_each(gapless.begin(), gapless.end(), add);
      for (const auto& part : segment.parts)
        if (part.from > stored) add(part);
    }
  }
  return pieces;
}

Result<std::vector<WalPiece>> Archive::pieces(Duration age) { return pieces_of(TRY(inventory(age))); }

Result<std::vector<WalMark>> Archive::marks() { return std::move(TRY(inventory()).marks); }

Result<std::shared_ptr<const WalSummary>> Archive::summary(const std::string& record) {
  {
    std::lock_guard lock(summaries_mutex_);
    const auto known = summaries_.find(record);
    if (known != summaries_.end()) return known->second;
  }
  const Bytes header = TRY_CONTEXT(store_.get_header(stream_, record), "reading the summary of {}", record);
  auto summary = std::make_shared<const WalSummary>(TRY_CONTEXT(decode_summary(header), "{}", record));
  std::lock_guard lock(summaries_mutex_);
  if (summaries_.size() >= kMaxCachedSummaries) summaries_.clear();
  summaries_[record] = summary;
  return std::shared_ptr<const WalSummary>(std::move(summary));
}

Result<std::optional<BlockMap>> Archive::block_map(const std::string& record) {
  const Bytes header = TRY_CONTEXT(store_.get_header(stream_, record), "reading the block map of {}", record);
  auto map = decode_map_of(header);
  if (!map.ok()) return std::move(map).error().with_context(record);
  return map;
}

// The first and last commit of a range: reads summaries from both ends inwards.
Result<void> Archive::add_times(WalRange& range, const std::vector<WalPiece>& pieces) {
  std::vector<const WalPiece*> inside;
  for (const WalPiece& piece : pieces)
    if (piece.timeline == range.timeline && piece.from >= range.from && piece.to <= range.to) inside.push_back(&piece);
  for (auto piece = inside.begin(); piece != inside.end() && !range.first_commit; ++piece)
    range.first_commit = TRY(summary((*piece)->record))->first_commit;
  for (auto piece = inside.rbegin(); piece != inside.rend() && !range.last_commit; ++piece)
    range.last_commit = TRY(summary((*piece)->record))->last_commit;
  return {};
}

Result<std::vector<WalRange>> Archive::ranges() {
  const WalInventory known = TRY(inventory());
  const auto pieces = pieces_of(known);
  auto ranges = known.ranges(identity_.segment_bytes);
  for (WalRange& range : ranges) {
    TRY(add_times(range, pieces));
    for (const WalMark& mark : known.marks)
      if (mark.timeline == range.timeline && mark.lsn >= range.from && mark.lsn <= range.to)
        range.covered_until = range.covered_until ? std::max(*range.covered_until, mark.time) : mark.time;
  }
  return ranges;
}

Result<std::vector<std::string>> Archive::gaps(uint32_t timeline, Lsn from, Lsn to, Duration listed_within) {
  const auto path = path_to(timeline, TRY(history(timeline)));
  const WalInventory known = TRY(inventory(listed_within));
  return gaps_along(path, known.ranges(identity_.segment_bytes), {from, to}, identity_.segment_bytes);
}

// ---- expiry

Result<std::vector<std::string>> Archive::expire(const WalNeed& needed, bool dry_run) {
  const auto names = expirable_records(TRY(inventory()), identity_.segment_bytes, needed);
  if (dry_run) return names;
  for (const std::string& name : names) {
    auto removed = store_.remove(stream_, name);
    if (!removed.ok() && removed.error().code() != ErrorCode::kNotFound)
      return std::move(removed).error().with_context(fmt::format("removing {}", name));
  }
  std::lock_guard lock(names_mutex_);
  names_read_at_.reset();
  return names;
}

Result<void> check_identity(const WalArchive::Identity& identity) {
  const bool power_of_two = identity.segment_bytes != 0 && (identity.segment_bytes & (identity.segment_bytes - 1)) == 0;
  if (!power_of_two || identity.segment_bytes < kMinSegmentBytes || identity.segment_bytes > kMaxSegmentBytes)
    return make_error(ErrorCode::kInvalidData, "{} bytes can't be the size of WAL segments", identity.segment_bytes);
  return {};
}

}  // namespace

Result<std::unique_ptr<WalArchive>> WalArchive::open(repo::LogStore& store, Clock& clock, const Identity& identity,
                                                     repo::LogStore* quick) {
  TRY(check_identity(identity));
  return std::unique_ptr<WalArchive>(new Archive({}, store, quick != nullptr ? *quick : store, clock, identity));
}

Result<std::unique_ptr<WalArchive>> WalArchive::open(repo::Repository& repository, const Identity& identity,
                                                     int compression_level) {
  TRY(check_identity(identity));
  Archive::OwnedStores stores;
  stores.push_back(repo::open_log_store(repository, compression_level));
  stores.push_back(repo::open_log_store(repository, std::min(compression_level, kQuickLevel)));
  repo::LogStore &store = *stores[0], &quick = *stores[1];
  return std::unique_ptr<WalArchive>(
      new Archive(std::move(stores), store, quick, repository.environment().clock, identity));
}

}  // namespace holdfast::postgres
