#include "repo/reseal.h"

#include <algorithm>
#include <set>

#include "base/log.h"
#include "repo/lease.h"
#include "repo/log_codec.h"
#include "repo/log_store.h"
#include "repo/read_whole.h"
#include "repo/tombstone.h"
#include "repo/write_session.h"

// Packs go the way of repacking: they are announced as tombstoned, so that every
// session from then on stores their blocks anew, ours does so with all of them, and
// collection removes the old ones when nobody can be building on them.
//
// A log record's object has a fixed name and is never overwritten. Its new bytes are
// first stored under log-moving/, then the old object is removed, the new one takes
// its name, and the copy goes. Readers look at both places (log_store.cc).

namespace holdfast::repo {

namespace {

class Resealer {
 public:
  Resealer(RepositoryAccess& repository, uint32_t epoch, Lease& lease, Progress& progress)
      : repository_(repository), epoch_(epoch), lease_(lease), progress_(progress) {}

  Result<std::vector<ResealFailure>> run() {
    TRY(reseal_packs());
    TRY(reseal_logs());
    return std::move(failures_);
  }

 private:
  Result<void> go_on() {
    if (progress_.stop)
      return make_error(ErrorCode::kInterrupted, "re-sealing was stopped; the next rotation goes on with it");
    return lease_.ensure_held(Lease::kCommitMargin);
  }

  // ---- Packs

  Result<void> reseal_packs() {
    progress_.phase = "re-sealing packs";
    TRY(repository_.refresh());
    const auto index = TRY(repository_.index());
    // Only what is settled has its copies in place: an announcement of a rotation that was
    // killed says nothing.
    std::set<ObjectDigest> settled;
    for (const Tombstone& tombstone : TRY(load_tombstones(repository_.store()))) {
      if (tombstone.settled && !tombstone.damaged) settled.insert(tombstone.packs.begin(), tombstone.packs.end());
    }
    std::vector<PackInfo> old;
    std::set<ObjectDigest> digests;
    for (const PackInfo& pack : index->packs()) {
      if (pack.epoch >= epoch_ || settled.contains(pack.digest)) continue;
      old.push_back(pack);
      digests.insert(pack.digest);
      progress_.bytes_total += pack.size_bytes;
    }
    if (old.empty()) return {};
    TRY(go_on());
    Tombstone tombstone = TRY(announce_tombstone(repository_.environment(), digests));
    const std::set<ObjectDigest> failed = TRY(copy_packs(old));
    if (!failed.empty()) TRY(resurrect(repository_.environment(), tombstone, failed));
    TRY(go_on());
    return settle_tombstone(repository_.environment(), tombstone);
  }

  Result<std::set<ObjectDigest>> copy_packs(const std::vector<PackInfo>& packs) {
    const auto session = TRY(begin_session(repository_, {.purpose = "re-seal"}, {}));
    std::set<ObjectDigest> failed;
    for (const PackInfo& pack : packs) {
      TRY(go_on());
      auto copied = copy_pack(*session, pack);
      progress_.bytes_done += pack.size_bytes;
      if (copied.ok()) continue;
      if (copied.error().code() != ErrorCode::kDamaged && copied.error().code() != ErrorCode::kNotFound)
        return std::move(copied).error();
      failures_.push_back({pack_name(pack.digest), copied.error().text()});
      failed.insert(pack.digest);
    }
    TRY(session->flush());
    return failed;
  }

  Result<void> copy_pack(WriteSession& session, const PackInfo& pack) {
    const std::string name = pack_name(pack.digest);
    const Bytes bytes = TRY(read_whole(repository_.store(), name));
    const PackScan scan = TRY(scan_pack(repository_.keys(), bytes.view(), name));
    const auto key = TRY(repository_.pack_key(pack));
    for (const PackRecord& record : scan.records) {
      const OpenedRecord opened =
          TRY(open_record(repository_.keys(), *key, bytes.view(record.offset, record.length), &record.id, name));
      TRY(session.put_known(opened.id, record.kind, opened.plain.view()));
    }
    if (!scan.damage.empty()) return make_error(ErrorCode::kDamaged, "{}", scan.damage.front().problem);
    return {};
  }

  // ---- Log records

  Result<void> reseal_logs() {
    progress_.phase = "re-sealing logs";
    const auto logs = open_log_store(repository_);
    for (const std::string& stream : TRY(logs->streams())) {
      for (const LogStore::Info& info : TRY(logs->list(stream))) {
        TRY(go_on());
        auto moved = reseal_record(stream, info.name);
        if (moved.ok() || moved.error().code() == ErrorCode::kNotFound) continue;  // removed meanwhile
        if (moved.error().code() != ErrorCode::kDamaged && moved.error().code() != ErrorCode::kMismatch) return moved;
        failures_.push_back({log_object_name(stream, info.name), moved.error().text()});
      }
    }
    return {};
  }

  struct Record {
    uint32_t epoch = 0;
    Bytes object, header, body;
  };

  Result<Record> read_record(const std::string& object_name, const std::string& context) {
    Record record;
    record.object = TRY(read_whole(repository_.store(), object_name));
    const LogPrefix prefix = TRY(parse_log_prefix(record.object.view(), object_name));
    record.epoch = prefix.header.epoch;
    record.header = TRY(decode_log_header(repository_.keys(), record.object.view(), context, object_name));
    record.body = TRY(decode_log_body(repository_.keys(), record.object.view(), context, object_name));
    return record;
  }

  Result<void> remove(const std::string& object_name) {
    auto removed = repository_.store().remove(object_name);
    if (!removed.ok() && removed.error().code() != ErrorCode::kNotFound) return removed;
    return {};
  }

  // Brings a record back under its own name after a move that was cut short.
  Result<void> finish_move(const std::string& stream, const std::string& name) {
    const std::string context = log_context(stream, name);
    const std::string here = log_object_name(stream, name), copy_name = log_moving_name(stream, name);
    const auto copy = read_record(copy_name, context);
    if (!copy.ok() && copy.error().code() == ErrorCode::kNotFound) return {};
    const auto record = read_record(here, context);
    if (record.ok()) {
      // The record is whole under its own name: the copy is not needed, or not usable.
      if (copy.ok() && !equal(copy->body.view(), record->body.view())) {
        return make_error(ErrorCode::kMismatch, "objects {} and {} hold other bytes", here, copy_name);
      }
      return remove(copy_name);
    }
    if (!copy.ok()) return copy.error().clone();
    TRY(remove(here));
    TRY(repository_.store().create(here, copy->object.view()));
    return remove(copy_name);
  }

  Result<void> reseal_record(const std::string& stream, const std::string& name) {
    TRY(finish_move(stream, name));
    const std::string context = log_context(stream, name);
    const std::string here = log_object_name(stream, name), copy_name = log_moving_name(stream, name);
    const Bytes beginning = TRY(repository_.store().read(here, 0, kLogPrefixBytes));
    const LogPrefix prefix = TRY(parse_log_prefix(beginning.view(), here));
    if (prefix.header.epoch >= epoch_) return {};
    const Record record = TRY(read_record(here, context));
    const Bytes object = TRY(encode_log_record(repository_.keys(), repository_.random(), context, record.header.view(),
                                               record.body.view(), kLogCompressionLevel));
    TRY(repository_.store().create(copy_name, object.view()));
    TRY(repository_.store().remove(here));
    auto created = repository_.store().create(here, object.view());
    if (!created.ok()) {
      // Somebody stored the record again in between: the same bytes, or it is a conflict to tell.
      if (created.error().code() != ErrorCode::kAlreadyExists) return created;
      return finish_move(stream, name);
    }
    progress_.bytes_done += object.size();
    return remove(copy_name);
  }

  static constexpr int kLogCompressionLevel = 3;

  RepositoryAccess& repository_;
  const uint32_t epoch_;
  Lease& lease_;
  Progress& progress_;
  std::vector<ResealFailure> failures_;
};

}  // namespace

Result<std::vector<ResealFailure>> reseal(RepositoryAccess& repository, uint32_t epoch, Progress& progress) {
  const auto lease =
      TRY(Lease::take(repository.environment(), {.kind = LeaseKind::kCollector, .purpose = "key rotation"}));
  auto failures = Resealer(repository, epoch, *lease, progress).run();
  ignore(lease->release(), "it ends by itself");
  return failures;
}

}  // namespace holdfast::repo
