#include "recovery/moment.h"

#include <algorithm>
#include <map>

#include "base/filesystem.h"
#include "base/time.h"
#include "source/postgres/wal_reader.h"

namespace holdfast::servers {
namespace {

using postgres::Lsn;
using postgres::WalEvent;
using postgres::WalEventKind;

// The record that ends a transaction, committed or not.
struct End {
  uint32_t xid = 0;
  Time time;
};
using Ends = std::vector<End>;  // in the order of the log

struct Row {
  size_t writer = 0;
  int64_t seq = 0;
};

// Of the records that begin in [from, to), which the server has flushed.
Result<Ends> ends_in_log(PrivatePostgres& server, uint32_t timeline, Lsn from, Lsn to) {
  const uint64_t segment_bytes = static_cast<uint64_t>(server.options().wal_segment_mib) << 20;
  Lsn at = postgres::segment_start(from, segment_bytes);
  Ends ends;
  postgres::WalReader reader(at, segment_bytes, [&](const WalEvent& event) {
    const bool end = event.kind == WalEventKind::kCommit || event.kind == WalEventKind::kAbort;
    if (end && event.start >= from) ends.push_back({event.xid, event.time});
  });
  for (; at < to; at.value += segment_bytes) {
    const std::string path = server.data_directory() + "/pg_wal/" + postgres::segment_name(timeline, at, segment_bytes);
    const Bytes segment = TRY(read_file(real_file_system(), path, segment_bytes));
    reader.feed(segment.view(0, std::min<uint64_t>(segment_bytes, to.value - at.value)));
  }
  if (reader.fault())
    return make_error(ErrorCode::kInvalidData, "{}: {}", reader.fault()->at.text(), reader.fault()->problem);
  return ends;
}

Result<std::map<uint32_t, Row>> rows_of(postgres::ServerSession& session, const Ends& ends) {
  std::string xids;
  for (const End& end : ends) xids += fmt::format("{}{}", xids.empty() ? "" : ",", end.xid);
  const auto found = TRY(
      session.exec("select xmin::text, writer, seq from app.ledger where xmin::text = any($1)", {"{" + xids + "}"}));
  std::map<uint32_t, Row> rows;
  for (size_t i = 0; i < found.size(); i++) {
    rows[static_cast<uint32_t>(std::stoul(std::string(found.at(i, 0))))] = {std::stoul(std::string(found.at(i, 1))),
                                                                            std::stoll(std::string(found.at(i, 2)))};
  }
  return rows;
}

// Where times fall or stand still along the log, if they do; else anywhere behind `begun`.
Result<size_t> choose(const Ends& ends, Time begun, std::mt19937_64& random) {
  std::vector<size_t> possible, edges;
  for (size_t i = 0; i + 2 < ends.size(); i++) {
    if (ends[i].time <= begun) continue;
    possible.push_back(i);
    if (ends[i + 1].time <= ends[i].time) edges.push_back(i);
  }
  if (possible.empty()) return make_error(ErrorCode::kInternal, "of {} commits none can be chosen", ends.size());
  const auto& from = edges.empty() ? possible : edges;
  return from[random() % from.size()];
}

// The commit's own time, just before it, or anywhere until the next.
Time draw_time(const Ends& ends, size_t chosen, std::mt19937_64& random) {
  const Time time = ends[chosen].time;
  switch (random() % 4) {
    case 0: return time - Duration::microseconds(1);
    case 1: {
      const int64_t apart = std::max<int64_t>((ends[chosen + 1].time - time).ns / 1000, 1);
      return time + Duration::microseconds(static_cast<int64_t>(random() % static_cast<uint64_t>(apart)));
    }
    default: return time;
  }
}

// The last of each writer before the first record for which `stops`.
template <typename Stops>
Result<std::array<int64_t, kWriters>> ledger_until(const Ends& ends, const std::map<uint32_t, Row>& rows,
                                                   const Stops& stops) {
  const auto stop = std::find_if(ends.begin(), ends.end(), stops);
  if (stop == ends.end()) return make_error(ErrorCode::kInternal, "no commit comes behind the moment");
  std::array<int64_t, kWriters> last{};
  last.fill(-1);
  for (auto end = ends.begin(); end != ends.end(); ++end) {
    const auto row = rows.find(end->xid);
    if (row == rows.end()) continue;
    int64_t& known = last[row->second.writer];
    if (end < stop)
      known = row->second.seq;
    else if (known < 0)
      known = row->second.seq - 1;
  }
  if (std::find(last.begin(), last.end(), -1) == last.end()) return last;
  return make_error(ErrorCode::kInternal, "a writer has no commit beside the moment");
}

std::string words_of(const std::array<int64_t, kWriters>& ledger) { return fmt::format("{}", fmt::join(ledger, "/")); }

}  // namespace

std::string Moment::text() const {
  return fmt::format("{}{}: {} commits of the writers with it, {} before it", time,
                     inverted ? " (times fall along the log)" : "", words_of(with), words_of(before));
}

Result<Moment> note_moment(PrivatePostgres& server, Workload& workload, std::mt19937_64& random) {
  auto session = TRY(server.connect());
  const Lsn from = TRY(postgres::parse_lsn(TRY(session->value("select pg_current_wal_insert_lsn()"))));
  const std::string clock = TRY(session->value("select (extract(epoch from clock_timestamp()) * 1000000)::bigint"));
  const Time begun = Time::from_unix_microseconds(std::stoll(clock));
  TRY(workload.let_commit(static_cast<int64_t>(3 + random() % 10)));
  TRY(session->exec("insert into app.marks values (2)"));  // flushes what came before it
  const Lsn to = TRY(postgres::parse_lsn(TRY(session->value("select pg_current_wal_flush_lsn()"))));
  const std::string segment = TRY(session->value("select pg_walfile_name(pg_current_wal_flush_lsn())"));
  const auto timeline = static_cast<uint32_t>(std::stoul(segment.substr(0, 8), nullptr, 16));
  const Ends ends = TRY(ends_in_log(server, timeline, from, to));
  const auto rows = TRY(rows_of(*session, ends));

  const size_t chosen = TRY(choose(ends, begun, random));
  const Time time = draw_time(ends, chosen, random);
  Moment moment;
  moment.time = format_rfc3339(time);
  moment.inverted = ends[chosen + 1].time < ends[chosen].time;
  moment.with = TRY(ledger_until(ends, rows, [&](const End& end) { return end.time > time; }));
  moment.before = TRY(ledger_until(ends, rows, [&](const End& end) { return end.time >= time; }));
  return moment;
}

Result<void> compare_moment(const PrivatePostgres& restored, const Moment& moment, bool inclusive) {
  const auto ledger = TRY(ledger_of(restored));
  const auto& expected = inclusive ? moment.with : moment.before;
  if (ledger != expected) {
    return make_error(ErrorCode::kVerifyFailed, "{} ({}): {} commits are there", moment.text(),
                      inclusive ? "inclusive" : "exclusive", words_of(ledger));
  }
  auto session = TRY(restored.connect());
  const auto counts =
      TRY(session->exec(fmt::format("select count(at), count(*) filter (where at {} $1::timestamptz) "
                                    "from (select pg_xact_commit_timestamp(xmin) as at from app.ledger) commits",
                                    inclusive ? ">" : ">="),
                        {moment.time}));
  if (counts.at(0, 0) != "0" && counts.at(0, 1) == "0") return {};
  return make_error(ErrorCode::kVerifyFailed, "{}: of {} commits {} are later", moment.text(), counts.at(0, 0),
                    counts.at(0, 1));
}

}  // namespace holdfast::servers
