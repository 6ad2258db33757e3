#include "source/postgres/wal_summary.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "base/json_number.h"

namespace holdfast::postgres {

namespace {

using nlohmann::json;

constexpr int kSummaryVersion = 1;
constexpr size_t kMaxRestorePoints = 100;
constexpr uint8_t kMapFollows = 0;  // no JSON text has such a byte
constexpr size_t kMaxTablespaces = 100;

int64_t microseconds(Time time) { return time.ns / 1000; }

template <typename T, typename Encode>
void put_optional(json& out, const char* key, const std::optional<T>& value, Encode encode) {
  if (value) out[key] = encode(*value);
}

std::optional<Lsn> lsn_of(const json& in, const char* key) {
  if (!in.contains(key)) return std::nullopt;
  return Lsn{whole_number<uint64_t>(in, key)};
}
std::optional<Time> time_of(const json& in, const char* key) {
  if (!in.contains(key)) return std::nullopt;
  return Time::from_unix_microseconds(whole_number<int64_t>(in, key));
}

// Names of restore points are the user's bytes, perhaps not UTF-8: they stand as hex.
std::string text_from_hex(const std::string& hex) { return std::string(as_text(from_hex(hex))); }

WalSummary from_json(const json& in) {
  WalSummary summary;
  summary.from = Lsn{whole_number<uint64_t>(in, "from")};
  summary.to = Lsn{whole_number<uint64_t>(in, "to")};
  summary.major = whole_number<int>(in, "major");
  summary.last_record = lsn_of(in, "last_record");
  summary.first_previous = lsn_of(in, "first_previous");
  summary.last_end = Lsn{whole_number<uint64_t>(in, "last_end")};
  summary.commits = whole_number<uint64_t>(in, "commits");
  summary.first_commit = time_of(in, "first_commit");
  summary.last_commit = time_of(in, "last_commit");
  summary.latest = time_of(in, "latest");
  if (in.contains("min_xid")) summary.min_xid = whole_number<uint32_t>(in, "min_xid");
  if (in.contains("max_xid")) summary.max_xid = whole_number<uint32_t>(in, "max_xid");
  for (const json& point : in.at("restore_points"))
    summary.restore_points.push_back({text_from_hex(point.at("name").get<std::string>()),
                                      Lsn{whole_number<uint64_t>(point, "start")},
                                      Lsn{whole_number<uint64_t>(point, "end")},
                                      Time::from_unix_microseconds(whole_number<int64_t>(point, "time"))});
  summary.restore_points_complete = in.at("restore_points_complete").get<bool>();
  // Summaries did not always list them.
  summary.tablespaces_complete = in.value("tablespaces_complete", false);
  for (const json& space : in.value("tablespaces", json::array()))
    summary.tablespaces.push_back({whole_number<uint32_t>(space, "oid"),
                                   text_from_hex(space.at("location").get<std::string>()),
                                   Lsn{whole_number<uint64_t>(space, "start")}});
  if (const auto at = lsn_of(in, "fault_at")) summary.fault = WalFault{*at, in.at("fault").get<std::string>()};
  summary.zeros_at = lsn_of(in, "zeros_at");
  summary.lead_end = lsn_of(in, "lead_end");
  summary.tail_start = lsn_of(in, "tail_start");
  if (in.contains("lead")) summary.lead = from_hex(in.at("lead").get<std::string>());
  if (in.contains("tail")) summary.tail = from_hex(in.at("tail").get<std::string>());
  return summary;
}

}  // namespace

void WalSummary::add(const WalEvent& event) {
  if (event.kind == WalEventKind::kRestorePoint) {
    restore_points_complete = restore_points_complete && restore_points.size() < kMaxRestorePoints;
    if (restore_points_complete) restore_points.push_back({event.name, event.start, event.end, event.time});
  }
  if (event.kind == WalEventKind::kTablespace) {
    tablespaces_complete = tablespaces_complete && tablespaces.size() < kMaxTablespaces;
    if (tablespaces_complete) tablespaces.push_back({event.oid, event.name, event.start});
  }
  const bool commit = event.kind == WalEventKind::kCommit;
  if (!commit && event.kind != WalEventKind::kAbort) return;
  if (commit) {
    commits++;
    if (!first_commit) first_commit = event.time;
    last_commit = event.time;
  }
  latest = latest ? std::max(*latest, event.time) : event.time;
  min_xid = min_xid ? std::min(*min_xid, event.xid) : event.xid;
  max_xid = max_xid ? std::max(*max_xid, event.xid) : event.xid;
}

WalSummary WalSummary::clone() const {
  WalSummary copy;
  copy.from = from;
  copy.to = to;
  copy.major = major;
  copy.last_record = last_record;
  copy.first_previous = first_previous;
  copy.last_end = last_end;
  copy.commits = commits;
  copy.first_commit = first_commit;
  copy.last_commit = last_commit;
  copy.latest = latest;
  copy.min_xid = min_xid;
  copy.max_xid = max_xid;
  copy.restore_points = restore_points;
  copy.restore_points_complete = restore_points_complete;
  copy.tablespaces = tablespaces;
  copy.tablespaces_complete = tablespaces_complete;
  copy.fault = fault;
  copy.zeros_at = zeros_at;
  copy.lead_end = lead_end;
  copy.lead = Bytes::copy_of(lead);
  copy.tail_start = tail_start;
  copy.tail = Bytes::copy_of(tail);
  return copy;
}

Bytes encode_summary(const WalSummary& summary, const BlockMap* map) {
  const auto lsn = [](Lsn value) { return value.value; };
  json out = {{"version", kSummaryVersion},
              {"from", summary.from.value},
              {"to", summary.to.value},
              {"major", summary.major},
              {"last_end", summary.last_end.value},
              {"commits", summary.commits},
              {"restore_points", json::array()},
              {"restore_points_complete", summary.restore_points_complete},
              {"tablespaces", json::array()},
              {"tablespaces_complete", summary.tablespaces_complete}};
  put_optional(out, "last_record", summary.last_record, lsn);
  put_optional(out, "first_previous", summary.first_previous, lsn);
  put_optional(out, "first_commit", summary.first_commit, microseconds);
  put_optional(out, "last_commit", summary.last_commit, microseconds);
  put_optional(out, "latest", summary.latest, microseconds);
  put_optional(out, "min_xid", summary.min_xid, [](uint32_t xid) { return xid; });
  put_optional(out, "max_xid", summary.max_xid, [](uint32_t xid) { return xid; });
  for (const auto& point : summary.restore_points)
    out["restore_points"].push_back({{"name", to_hex(as_bytes(point.name))},
                                     {"start", point.start.value},
                                     {"end", point.end.value},
                                     {"time", microseconds(point.time)}});
  for (const auto& space : summary.tablespaces)
    out["tablespaces"].push_back(
        {{"oid", space.oid}, {"location", to_hex(as_bytes(space.location))}, {"start", space.start.value}});
  if (summary.fault) {
    out["fault_at"] = summary.fault->at.value;
    out["fault"] = summary.fault->problem;
  }
  put_optional(out, "zeros_at", summary.zeros_at, lsn);
  put_optional(out, "lead_end", summary.lead_end, lsn);
  put_optional(out, "tail_start", summary.tail_start, lsn);
  if (!summary.lead.empty()) out["lead"] = to_hex(summary.lead);
  if (!summary.tail.empty()) out["tail"] = to_hex(summary.tail);
  Bytes header = Bytes::copy_of(as_bytes(out.dump()));
  if (map) {
    header.append(ByteView(&kMapFollows, 1));
    header.append(encode_block_map(*map));
  }
  return header;
}

Result<std::optional<BlockMap>> decode_map_of(ByteView header) {
  const auto end_of_summary = std::find(header.begin(), header.end(), kMapFollows);
  if (end_of_summary == header.end()) return std::optional<BlockMap>();
  return std::optional<BlockMap>(TRY(decode_block_map(ByteView(end_of_summary + 1, header.end()))));
}

Result<WalSummary> decode_summary(ByteView header) {
  try {
    const json in = json::parse(header.begin(), std::find(header.begin(), header.end(), kMapFollows));
    if (const int version = whole_number<int>(in, "version"); version != kSummaryVersion)
      return make_error(ErrorCode::kNewerFormat, "a WAL record's summary has version {}", version)
          .with_hint("use the holdfast that wrote it, or a newer one");
    return from_json(in);
  } catch (const json::exception& problem) {
    return make_error(ErrorCode::kDamaged, "a WAL record's summary can't be understood: {}", problem.what());
  }
}

Result<std::optional<WalEvent>> join_edges(const WalSummary& before, const WalSummary& after) {
  if (!before.tail_start || !after.lead_end) return std::optional<WalEvent>();
  if (before.tail.empty()) return std::optional<WalEvent>();  // known to be none
  Bytes record = Bytes::copy_of(before.tail);
  record.append(after.lead);
  if (record.size() < kWalRecordHeaderBytes) return make_error(ErrorCode::kUnsupported, "a record's end was not kept");
  const WalRecordHeader header = parse_wal_record_header(record.data());
  if (!may_be_wal_event(header)) return std::optional<WalEvent>();
  if (header.total_bytes != record.size()) return make_error(ErrorCode::kUnsupported, "a record's end was not kept");
  if (!wal_record_crc_matches(record)) return std::optional<WalEvent>();  // overwritten after a crash
  return decode_wal_event(record, after.major, *before.tail_start, *after.lead_end);
}

SegmentScanner::SegmentScanner(Lsn segment, uint64_t segment_bytes)
    : reader_(
          segment, segment_bytes, [this](const WalEvent& event) { current_.add(event); },
          [this](const WalRecordHeader& header, ByteView prefix) { blocks_.add(header, prefix, reader_.major()); }) {}

WalSummary SegmentScanner::scan(ByteView content) {
  current_ = WalSummary();
  current_.from = reader_.position();
  const std::optional<Lsn> known_record = reader_.last_record();
  const bool had_lead = reader_.lead_end().has_value(), had_first = reader_.first_previous().has_value();
  reader_.feed(content);
  WalSummary summary = std::move(current_);
  summary.to = reader_.position();
  summary.major = reader_.major();
  if (reader_.last_record() != known_record) summary.last_record = reader_.last_record();
  if (!had_first) summary.first_previous = reader_.first_previous();
  summary.last_end = std::max(reader_.last_end(), summary.from);
  summary.fault = reader_.fault();
  summary.zeros_at = reader_.zeros_at();
  if (reader_.lead_end() && !had_lead) {
    summary.lead_end = reader_.lead_end();
    summary.lead = Bytes::copy_of(reader_.lead());
  }
  summary.tail_start = reader_.tail_start();
  summary.tail = Bytes::copy_of(reader_.tail());
  return summary;
}

BlockMap SegmentScanner::take_map() {
  const auto kept = [](const WalReader::Edge& edge) {
    return BlockMap::Edge{Bytes::copy_of(edge.head), edge.bytes, edge.crc};
  };
  BlockMap map = blocks_.take();
  map.major = reader_.major();
  if (reader_.fault()) map.untold = reader_.fault()->problem;
  if (reader_.zeros_at()) map.untold = "the log ends before it is full";
  if (const auto lead = reader_.lead_edge(); lead && !std::exchange(told_lead_, true)) map.lead = kept(*lead);
  if (reader_.first_previous() && !std::exchange(told_first_, true)) map.first_previous = reader_.first_previous();
  if (const auto tail = reader_.tail_edge()) {
    map.tail = kept(*tail);
    map.tail_start = reader_.tail_start();
  }
  map.last_record = reader_.last_record();
  return map;
}

}  // namespace holdfast::postgres
