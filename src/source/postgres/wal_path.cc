#include "source/postgres/wal_path.h"

#include <algorithm>
#include <map>
#include <utility>

namespace holdfast::postgres {

namespace {

// The segment in which a timeline was left is stored under its successor's name
// too; like PostgreSQL, take the newest timeline that has it.
const std::vector<const WalPiece*>* choose(
    const std::vector<TimelinePiece>& path, Lsn segment, uint64_t segment_bytes,
    const std::map<std::pair<uint32_t, Lsn>, std::vector<const WalPiece*>>& stored, Lsn* limit) {
  for (auto piece = path.rbegin(); piece != path.rend(); ++piece) {
    if (piece->from.value >= segment.value + segment_bytes) continue;
    if (piece->to <= segment) return nullptr;
    const auto found = stored.find({piece->timeline, segment});
    if (found == stored.end()) continue;
    *limit = piece->to;
    return &found->second;
  }
  return nullptr;
}

// Whether all of it is the middle of one record, longer than a segment.
bool is_within_record(const WalSummary& summary) {
  return !summary.lead_end && !summary.last_record && !summary.first_previous && !summary.tail_start;
}

}  // namespace

bool is_unreadable(const Error& error) {
  return error.code() == ErrorCode::kDamaged || error.code() == ErrorCode::kInvalidData;
}

std::string WalPath::segment_at(uint32_t timeline, Lsn lsn) const {
  return segment_name(timeline, lsn, archive_->identity().segment_bytes);
}

Result<WalPath> WalPath::follow(WalArchive& archive, uint32_t timeline, Lsn from, Purpose purpose) {
  // What looks like a hole may be filled at this moment, and parts may go because their
  // segment is there whole now.
  constexpr int kLooks = 4;
  std::optional<std::string> hole;
  for (int look = 1;; look++) {
    WalPath path(archive, timeline, purpose);
    auto outcome = path.read(from);
    const bool new_hole = outcome.ok() && path.hole_ && path.broken_ != hole;
    const bool gone = !outcome.ok() && outcome.error().code() == ErrorCode::kNotFound;
    if (look == kLooks || (!new_hole && !gone)) {
      TRY(std::move(outcome));
      return path;
    }
    hole = path.broken_;
    archive.await_stores();
  }
}

Result<void> WalPath::read(Lsn from) {
  TRY(collect(from));
  TRY(summarise());
  prove_links();
  return prove();
}

// Lines up the stored pieces, segment after segment, as far as they join.
Result<void> WalPath::collect(Lsn from) {
  const uint64_t segment_bytes = archive_->identity().segment_bytes;
  const auto path = path_to(timeline_, TRY(archive_->history(timeline_)));
  const auto pieces = TRY(archive_->pieces());
  std::map<std::pair<uint32_t, Lsn>, std::vector<const WalPiece*>> stored;
  for (const WalPiece& piece : pieces)
    stored[{piece.timeline, segment_start(piece.from, segment_bytes)}].push_back(&piece);

  Lsn segment = segment_start(from, segment_bytes);
  end_ = segment;
  while (true) {
    Lsn limit;
    const auto* chosen = choose(path, segment, segment_bytes, stored, &limit);
    if (!chosen) break;
    for (const WalPiece* piece : *chosen) {
      if (piece->from >= limit || piece->from > end_) break;
      Stretch stretch{piece->record, piece->timeline, piece->from, std::min(piece->to, limit), piece->to > limit, {}};
      end_ = stretch.to;
      stretches_.push_back(std::move(stretch));
    }
    segment.value += segment_bytes;
    if (end_ < segment) break;
  }
  if (stretches_.empty()) end_ = from;
  for (const WalPiece& piece : pieces) {
    const auto part =
        std::find_if(path.begin(), path.end(), [&](const auto& p) { return p.timeline == piece.timeline; });
    if (part == path.end() || piece.from < end_ || piece.from >= part->to) continue;
    const auto missing = std::find_if(path.begin(), path.end(), [&](const auto& p) { return end_ < p.to; });
    broken_ = fmt::format("WAL from {} on is missing (segment {}) though later WAL is stored (from {} on)", end_.text(),
                          segment_at(missing->timeline, end_), piece.from.text());
    hole_ = true;
    break;
  }
  return {};
}

Result<Bytes> WalPath::content_of(uint32_t timeline, Lsn segment) const {
  const std::string name = segment_at(timeline, segment);
  if (purpose_ == Purpose::kLook) {
    auto beginning = archive_->beginning_of(timeline, segment);
    if (beginning.ok() && beginning->size() > 0) {
      Bytes content(archive_->identity().segment_bytes);
      std::copy(beginning->begin(), beginning->end(), content.begin());
      return content;
    }
  }
  auto content = TRY(archive_->fetch(name));
  if (!content) return make_error(ErrorCode::kDamaged, "{} is listed but absent", name);
  return std::move(*content);
}

// What a stretch holds up to where it is cut: read anew, since the stored summary tells of the rest too.
Result<WalSummary> WalPath::summary_of_cut(const Stretch& stretch) const {
  const uint64_t segment_bytes = archive_->identity().segment_bytes;
  const Lsn segment = segment_start(stretch.from, segment_bytes);
  const Bytes content = TRY(content_of(stretch.timeline, segment));
  SegmentScanner scanner(segment, segment_bytes);
  if (stretch.from > segment) scanner.scan(content.view(0, stretch.from.value - segment.value));
  return scanner.scan(content.view(stretch.from.value - segment.value, stretch.to.value - stretch.from.value));
}

Result<void> WalPath::read_summary(Stretch& stretch) {
  stretch.summary = stretch.cut ? TRY(summary_of_cut(stretch)) : TRY(archive_->summary(stretch.record))->clone();
  return add_edges(stretch);
}

Result<void> WalPath::summarise() {
  for (size_t i = 0; i < stretches_.size(); i++) {
    Stretch& stretch = stretches_[i];
    auto read = read_summary(stretch);
    if (!read.ok() && purpose_ == Purpose::kTarget && is_unreadable(read.error())) {
      end_ = stretch.from;
      broken_ = fmt::format("WAL segment {} can't be read: {}", segment_at(stretch.timeline, stretch.from),
                            read.error().text());
      stretches_.resize(i);
      break;
    }
    TRY(std::move(read));
    std::optional<Lsn> stop = stretch.summary.zeros_at;
    std::string problem = "no more records follow";
    if (stretch.summary.fault) {
      stop = stretch.summary.fault->at;
      problem = stretch.summary.fault->problem;
    }
    if (!stop) continue;
    end_ = std::max(stretch.from, stretch.summary.last_end);
    // Zeros end the log as it should end; a fault, or more behind, does not.
    if (stretch.summary.fault || i + 1 < stretches_.size())
      broken_ = fmt::format("WAL segment {} can't be read from {} on: {}", segment_at(stretch.timeline, stretch.from),
                            end_.text(), problem);
    stretches_.resize(i + 1);
    break;
  }
  return {};
}

namespace {

// Goes over the summaries and compares the link of each segment's first record with the record
// that is stored before it.
class LinkProof {
 public:
  struct Break {
    Lsn linked, stored;
  };
  // Parts of two receivers overlap and may both tell how the segment begins: the first holds.
  std::optional<Break> take(Lsn segment, const WalSummary& summary) {
    if (segment != segment_) lead_taken_ = link_taken_ = false;
    segment_ = segment;
    if (summary.lead_end && !std::exchange(lead_taken_, true)) {
      last_ = tail_;  // the record that lies across is the newest now
      tail_.reset();
    }
    const auto linked = summary.first_previous;
    const bool compare = linked && !std::exchange(link_taken_, true) && last_;
    if (compare && *linked != *last_) return Break{*linked, *last_};
    if (summary.last_record) last_ = summary.last_record;
    if (!is_within_record(summary)) tail_ = summary.tail_start;
    return std::nullopt;
  }

 private:
  std::optional<Lsn> last_, tail_;
  std::optional<Lsn> segment_;
  bool lead_taken_ = false, link_taken_ = false;  // of segment_
};

}  // namespace

// Where two histories of one server meet (it was set back), the log looks whole by its names;
// recovery would end there.
void WalPath::prove_links() {
  LinkProof proof;
  for (size_t i = 0; i < stretches_.size(); i++) {
    const Lsn segment = segment_start(stretches_[i].from, archive_->identity().segment_bytes);
    const auto broken = proof.take(segment, stretches_[i].summary);
    if (!broken) continue;
    broken_ = fmt::format(
        "WAL segment {} does not go on from the one before: its first record follows one at {}, but the last that is "
        "stored is at {} (another history of the server, which was set back?)",
        segment_at(stretches_[i].timeline, segment), broken->linked.text(), broken->stored.text());
    end_ = segment;
    std::erase_if(stretches_, [&](const Stretch& stretch) { return stretch.from >= segment; });
    return;
  }
}

// The summary of where the record began that goes on at the segment's beginning.
const WalSummary* WalPath::tail_before(Lsn segment) const {
  const auto before = std::find_if(stretches_.rbegin(), stretches_.rend(), [&](const auto& other) {
    return other.to <= segment && !is_within_record(other.summary);
  });
  return before == stretches_.rend() || !before->summary.tail_start ? nullptr : &before->summary;
}

namespace {

// The event of a record that began before, and whose whole is proven: it may be the last one here.
void add_lead(WalSummary& summary, const WalEvent& event) {
  summary.add(event);
  if (!summary.last_record) summary.last_record = event.start;
}

}  // namespace

// Adds the event of a record that began in a segment before.
Result<void> WalPath::add_edges(Stretch& stretch) {
  if (!stretch.summary.lead_end) return {};
  const WalSummary* tail = tail_before(segment_start(stretch.from, archive_->identity().segment_bytes));
  if (tail == nullptr) return {};
  auto joined = join_edges(*tail, stretch.summary);
  if (joined.ok()) {
    if (joined.value()) add_lead(stretch.summary, *joined.value());
    return {};
  }
  if (joined.error().code() != ErrorCode::kUnsupported) return std::move(joined).error();
  return events(*tail->tail_start, Lsn{tail->tail_start->value + 1}, [&](const WalEvent& event) {
    add_lead(stretch.summary, event);
    return false;
  });
}

Result<void> WalPath::prove() {
  for (const Stretch& stretch : stretches_)
    if (stretch.summary.latest)
      proven_until_ = std::max(proven_until_.value_or(*stretch.summary.latest), *stretch.summary.latest);
  for (const WalMark& mark : TRY(archive_->marks())) {
    const bool here = mark.timeline == timeline() && !stretches_.empty() && mark.lsn >= stretches_.front().from;
    if (here && mark.lsn <= end_) proven_until_ = std::max(proven_until_.value_or(mark.time), mark.time);
  }
  return {};
}

std::optional<Lsn> WalPath::last_record() const {
  for (auto stretch = stretches_.rbegin(); stretch != stretches_.rend(); ++stretch)
    if (stretch->summary.last_record) return stretch->summary.last_record;
  return std::nullopt;
}

std::optional<Time> WalPath::last_commit() const {
  for (auto stretch = stretches_.rbegin(); stretch != stretches_.rend(); ++stretch)
    if (stretch->summary.last_commit) return stretch->summary.last_commit;
  return std::nullopt;
}

Result<void> WalPath::events(Lsn from, Lsn to, const std::function<bool(const WalEvent&)>& visit) const {
  const uint64_t segment_bytes = archive_->identity().segment_bytes;
  bool going = true;
  std::optional<WalReader> reader;
  for (size_t i = 0; i < stretches_.size() && going;) {
    const Stretch& first = stretches_[i];
    const Lsn segment = segment_start(first.from, segment_bytes);
    Lsn stored_to = first.to;
    for (; i < stretches_.size() && segment_start(stretches_[i].from, segment_bytes) == segment; i++)
      stored_to = stretches_[i].to;
    if (stored_to <= from) continue;
    // A record that begins before `to` may end behind it; one segment more shows its end.
    if (segment >= to && !(reader && reader->tail_start())) break;
    if (!reader) {
      reader.emplace(segment, segment_bytes, [&](const WalEvent& event) {
        if (going && event.start >= from && event.start < to) going = visit(event);
      });
    }
    const Bytes content = TRY(content_of(first.timeline, segment));
    reader->feed(content.view(0, stored_to.value - segment.value));
  }
  return {};
}

Result<std::optional<WalEvent>> WalPath::find(Lsn from, Lsn to, const std::function<bool(const WalSummary&)>& may_hold,
                                              const std::function<bool(const WalEvent&)>& match) const {
  const uint64_t segment_bytes = archive_->identity().segment_bytes;
  std::optional<WalEvent> found;
  for (const Stretch& stretch : stretches_) {
    if (stretch.to <= from || !may_hold(stretch.summary)) continue;
    // A record that ends here may begin in a segment before.
    Lsn begin = segment_start(stretch.from, segment_bytes);
    if (const WalSummary* tail = stretch.summary.lead_end ? tail_before(begin) : nullptr) begin = *tail->tail_start;
    if (begin >= to) break;
    TRY(events(std::max(from, begin), std::min(to, stretch.to), [&](const WalEvent& event) {
      if (match(event)) found = event;
      return !found;
    }));
    if (found) break;
  }
  return found;
}

}  // namespace holdfast::postgres
