#include "source/postgres/changed_blocks.h"

#include <algorithm>
#include <atomic>
#include <map>

#include "base/parallel.h"
#include "source/postgres/wal_summary.h"

namespace holdfast::postgres {
namespace {

// About 60 MB; what they stand for is 2 TiB.
constexpr size_t kMostRegions = 512u << 10;
// Of log that has to be read itself because there is no map of it.
constexpr uint64_t kMostBytesRead = 1u << 30;
// Segments whose maps are in memory at once.
constexpr size_t kBatch = 64;
// How far behind the end of the stretch the first record of the last segment is looked for.
constexpr uint64_t kLookBehind = 64u << 10;
constexpr size_t kAtOnce = 64u << 10;  // of a segment in which one record is looked for

Error not_known(std::string why) { return make_error(ErrorCode::kUnsupported, "{}", why); }

uint64_t key_of(uint32_t database, uint32_t relation) { return (uint64_t{database} << 32) | relation; }

}  // namespace

size_t ChangedBlocks::Hash::operator()(const Place& place) const {
  const uint64_t mixed = (place.relation ^ (uint64_t{place.region} << 32) ^ place.region) * 0x9E3779B97F4A7C15u;
  return static_cast<size_t>(mixed ^ (mixed >> 29));
}

Result<void> ChangedBlocks::add(const BlockMap& map) {
  if (!map.untold.empty()) return not_known(map.untold);
  databases_.insert(map.databases.begin(), map.databases.end());
  for (const BlockMap::Relation& relation : map.relations) {
    const uint64_t key = key_of(relation.database, relation.relation);
    if (relation.all_from) {
      const auto [at, fresh] = all_from_.try_emplace(key, *relation.all_from);
      if (!fresh) at->second = std::min(at->second, *relation.all_from);
    }
    Pages* pages = nullptr;
    uint32_t region = 0;
    for (const uint32_t block : relation.blocks) {
      if (!pages || block / kRegionPages != region) {
        region = block / kRegionPages;
        pages = &regions_[{key, region}];
      }
      pages->set(block % kRegionPages);
    }
    if (regions_.size() > kMostRegions) return not_known("more has changed than is kept track of");
  }
  return {};
}

ChangedBlocks::Pages ChangedBlocks::region(uint32_t database, uint32_t relation, uint32_t first_block) const {
  if (databases_.contains(database)) return Pages().set();
  const uint64_t key = key_of(database, relation);
  Pages pages;
  if (const auto touched = regions_.find({key, first_block / kRegionPages}); touched != regions_.end())
    pages = touched->second;
  if (const auto limit = all_from_.find(key); limit != all_from_.end()) {
    for (uint32_t page = limit->second > first_block ? limit->second - first_block : 0; page < kRegionPages; page++)
      pages.set(page);
  }
  return pages;
}

namespace {

using SegmentMaps = std::vector<BlockMap>;  // of one segment, in the order of the log

// Reads a stretch segment by segment and checks that each goes on where the one before ended.
class ChainReader {
 public:
  ChainReader(source::World& world, WalArchive& archive, const LogStretch& stretch)
      : world_(world), archive_(archive), stretch_(stretch), segment_bytes_(archive.identity().segment_bytes) {}

  Result<ChangedBlocks> run() {
    TRY(list_pieces());
    const Lsn last = segment_start(Lsn{stretch_.to.value - 1}, segment_bytes_);
    std::vector<Lsn> segments;
    for (Lsn at = segment_start(stretch_.from, segment_bytes_); at < last; at.value += segment_bytes_)
      segments.push_back(at);
    for (size_t first = 0; first < segments.size(); first += kBatch) {
      const size_t count = std::min(kBatch, segments.size() - first);
      std::vector<SegmentMaps> batch(count);
      const auto read_one = [&](size_t i) -> Result<void> {
        if (world_.progress.stop) return make_error(ErrorCode::kInterrupted, "the capture was stopped");
        batch[i] = TRY(maps_of(segments[first + i]));
        return {};
      };
      TRY(parallel_for(count, world_.threads, read_one));
      for (size_t i = 0; i < count; i++) TRY(add(segments[first + i], batch[i]));
    }
    const SegmentMaps end = TRY(maps_of_last(last));
    TRY(add(last, end));
    TRY(prove_own(last));
    return std::move(changes_);
  }

 private:
  Result<void> list_pieces();
  Result<SegmentMaps> maps_of(Lsn segment);
  Result<SegmentMaps> maps_of_last(Lsn segment);
  Result<BlockMap> scan_archived(Lsn segment);
  Result<Bytes> read_server_segment(Lsn segment, uint64_t length);
  Result<void> count_bytes(uint64_t bytes);
  Result<void> prove_own(Lsn last);
  Result<bool> is_own(Lsn segment, Lsn end);
  Lsn stored_end(Lsn segment) const;
  bool has_time(Lsn segment, ByteView content) const;
  Result<void> add(Lsn segment, const SegmentMaps& maps);
  Result<void> join(Lsn segment, const SegmentMaps& maps);
  std::string name_of(Lsn segment) const { return segment_name(stretch_.timeline, segment, segment_bytes_); }
  Error broken(Lsn segment, std::string_view how) const {
    return not_known(fmt::format("the log does not go on in {} as it should: {}", name_of(segment), how));
  }

  source::World& world_;
  WalArchive& archive_;
  const LogStretch& stretch_;
  const uint64_t segment_bytes_;
  std::map<Lsn, std::vector<WalPiece>> pieces_;  // by their segment
  std::atomic<uint64_t> bytes_read_ = 0;

  ChangedBlocks changes_;
  // Where the chain stands: what the next segment must fit.
  bool begun_ = false;
  std::optional<Lsn> last_record_;
  std::optional<BlockMap::Edge> tail_;
  Lsn tail_start_;
};

Result<void> ChainReader::list_pieces() {
  // Whoever asks has just waited for the log to be stored.
  for (WalPiece& piece : TRY(archive_.pieces(WalArchive::kListedLately))) {
    if (piece.timeline != stretch_.timeline || piece.to <= segment_start(stretch_.from, segment_bytes_)) continue;
    pieces_[segment_start(piece.from, segment_bytes_)].push_back(std::move(piece));
  }
  return {};
}

Result<void> ChainReader::count_bytes(uint64_t bytes) {
  if (bytes_read_.fetch_add(bytes) + bytes <= kMostBytesRead) return {};
  return not_known(fmt::format("more than {} MiB of the log would have to be read", kMostBytesRead >> 20));
}

// A segment of the server's own. That it is the right one, whole and not overwritten
// meanwhile is seen when it is scanned.
Result<Bytes> ChainReader::read_server_segment(Lsn segment, uint64_t length) {
  TRY(count_bytes(length));
  const std::string path = join_path(join_path(stretch_.data_directory, "pg_wal"), name_of(segment));
  const auto file = TRY(world_.fs.open(path, {}));
  Bytes content(length);
  content.resize(TRY(file->read_at(0, content.mutable_view())));
  const WalPageHeader header = TRY_CONTEXT(parse_wal_segment_header(content), "{}", path);
  if (header.system_id != archive_.identity().system_id || header.address != segment ||
      header.timeline > stretch_.timeline)
    return not_known(path + " holds another segment");
  return content;
}

Result<BlockMap> ChainReader::scan_archived(Lsn segment) {
  TRY(count_bytes(segment_bytes_));
  const auto content = TRY(archive_.fetch(name_of(segment)));
  if (!content) return not_known(name_of(segment) + " is gone");
  SegmentScanner scanner(segment, segment_bytes_);
  scanner.scan(*content);
  return scanner.take_map();
}

// Where what is stored of a segment from its beginning ends.
Lsn ChainReader::stored_end(Lsn segment) const {
  Lsn end = segment;
  const auto pieces = pieces_.find(segment);
  if (pieces == pieces_.end()) return end;
  for (const WalPiece& piece : pieces->second) {
    if (piece.from <= end) end = std::max(end, piece.to);
  }
  return end;
}

Result<SegmentMaps> ChainReader::maps_of(Lsn segment) {
  SegmentMaps found;
  const auto pieces = pieces_.find(segment);
  if (stored_end(segment).value < segment.value + segment_bytes_) {
    const Bytes content = TRY(read_server_segment(segment, segment_bytes_));
    if (content.size() != segment_bytes_) return not_known(name_of(segment) + " is not whole");
    SegmentScanner scanner(segment, segment_bytes_);
    scanner.scan(content);
    found.push_back(scanner.take_map());
    return found;
  }
  for (const WalPiece& piece : pieces->second) {
    auto map = TRY(archive_.block_map(piece.record));
    if (!map) {
      found.clear();
      found.push_back(TRY(scan_archived(segment)));
      return found;
    }
    found.push_back(std::move(*map));
  }
  return found;
}

// The last segment is the server's own, whatever the archive has of it: so the chain
// ends in this server's log.
Result<SegmentMaps> ChainReader::maps_of_last(Lsn segment) {
  const uint64_t length = stretch_.to.value - segment.value;
  const Bytes content = TRY(read_server_segment(segment, std::min(length + kLookBehind, segment_bytes_)));
  if (content.size() < length) return not_known(name_of(segment) + " is not whole");
  SegmentScanner scanner(segment, segment_bytes_);
  SegmentMaps found;
  scanner.scan(content.view(0, length));
  found.push_back(scanner.take_map());
  if (found.back().tail) return broken(segment, "a record lies across the end");
  if (found.back().first_previous) return found;
  // No record begins before the end: the first one behind it shows what the segment follows.
  scanner.scan(content.view(length, content.size() - length));
  found.back().first_previous = scanner.take_map().first_previous;
  return found;
}

Result<void> ChainReader::join(Lsn segment, const SegmentMaps& maps) {
  const BlockMap::Edge* lead = nullptr;
  std::optional<Lsn> first_previous;
  for (const BlockMap& map : maps) {
    if (map.lead && !lead) lead = &*map.lead;
    if (map.first_previous && !first_previous) first_previous = map.first_previous;
  }
  if (begun_) {
    if (lead) {
      BlockMapBuilder builder;
      if (!tail_ || !add_joined_record(*tail_, *lead, maps.back().major, builder))
        return broken(segment, "its first record does not fit the segment before");
      TRY(changes_.add(builder.take()));
      last_record_ = tail_start_;
    }
    // A record that was never finished may stand before; the next one passes it over.
    if (!first_previous || first_previous != last_record_) return broken(segment, "its first record has another link");
  }
  const BlockMap& end = maps.back();
  if (end.last_record) last_record_ = end.last_record;
  tail_.reset();
  if (end.tail) {
    tail_ = BlockMap::Edge{Bytes::copy_of(end.tail->head), end.tail->bytes, end.tail->crc};
    tail_start_ = *end.tail_start;
  }
  begun_ = true;
  return {};
}

Result<void> ChainReader::add(Lsn segment, const SegmentMaps& maps) {
  for (const BlockMap& map : maps) {
    auto added = changes_.add(map);
    if (!added.ok()) return std::move(added).error().with_context(name_of(segment));
  }
  return join(segment, maps);
}

// Whether a record of the stretch says when it was written.
bool ChainReader::has_time(Lsn segment, ByteView content) const {
  bool found = false;
  WalReader reader(segment, segment_bytes_, [&](const WalEvent& event) {
    found = found || (event.start >= stretch_.from && event.time != Time());
  });
  for (size_t at = 0; !found && at < content.size(); at += kAtOnce)
    reader.feed(content.subspan(at, std::min(kAtOnce, content.size() - at)));
  return found;
}

// Compares what is stored of a segment before `end` with the server's own copy. False: it
// is the same, but may be of another history, too.
Result<bool> ChainReader::is_own(Lsn segment, Lsn end) {
  const uint64_t length = std::min(end, stored_end(segment)).value - segment.value;
  if (length == 0) return false;
  const auto file = TRY(world_.fs.open(join_path(join_path(stretch_.data_directory, "pg_wal"), name_of(segment)), {}));
  Bytes own(length);
  own.resize(TRY(file->read_at(0, own.mutable_view())));
  const auto stored = TRY(archive_.fetch(name_of(segment)));
  if (!stored) return not_known(name_of(segment) + " is gone");
  if (!equal(own, stored->view(0, length)))
    return not_known(name_of(segment) + " is stored with other content: the server was set back");
  return has_time(segment, own);
}

// By their links the segments of another history may fit, too: where little happens each ends
// at the same place. A commit or a checkpoint at one time happened in one history only. So
// the server's own copies are compared, from the end backwards, to the first that holds one.
Result<void> ChainReader::prove_own(Lsn last) {
  for (Lsn at = last; at >= segment_start(stretch_.from, segment_bytes_); at.value -= segment_bytes_) {
    const auto own = is_own(at, stretch_.to);
    if (!own.ok() && own.error().code() == ErrorCode::kNotFound) break;
    if (!own.ok()) return own.error().clone();
    if (own.value()) return {};
  }
  return not_known("nothing that the server still has of its log shows that the stored one is its own");
}

}  // namespace

Result<ChangedBlocks> read_changes(source::World& world, WalArchive& archive, const LogStretch& stretch) {
  // A standby may begin where it began before; and it begins earlier than its
  // primary did, whose snapshot this one may build on.
  if (stretch.from == stretch.to) return ChangedBlocks();
  if (stretch.from > stretch.to) return not_known("the previous snapshot begins behind this one");
  return ChainReader(world, archive, stretch).run();
}

}  // namespace holdfast::postgres
