// Writes a golden repository: make_golden DIRECTORY. Run once for each version of the
// format; what it wrote is kept for ever. Seeded, so that a run can be repeated, up to the
// store's times. v1 was written before it made marks.

#include <cstdio>

#include "base/filesystem.h"
#include "base/random.h"
#include "content.h"
#include "repo/check.h"
#include "repo/collect.h"
#include "repo/damaged_packs.h"
#include "repo/hold.h"
#include "repo/keyring.h"
#include "repo/log_store.h"
#include "repo/tombstone.h"
#include "store/local_store.h"

namespace holdfast::golden {
namespace {

class FixedClock final : public Clock {
 public:
  Time now() override { return Time::from_unix_seconds(kTimeSeconds); }
  Duration monotonic() override { return system_clock().monotonic(); }
  void sleep(Duration duration) override { system_clock().sleep(duration); }
};

Result<repo::Content> put_content(repo::WriteSession& session, const File& file) {
  constexpr size_t kBlockBytes = 10'000;
  constexpr uint64_t kRegionBytes = 100'000;
  repo::ContentBuilder builder(session, kRegionBytes);
  const Bytes bytes = content(file.seed, file.size);
  for (size_t at = 0; at < bytes.size(); at += kBlockBytes) {
    const size_t length = std::min(kBlockBytes, bytes.size() - at);
    const repo::BlockId id = TRY(session.put(repo::BlockKind::kData, bytes.view(at, length)));
    TRY(builder.add({length, id, 0}));
  }
  if (file.hole_bytes) TRY(builder.add({file.hole_bytes, std::nullopt, 0}));
  return builder.finish();
}

Result<repo::BlockId> put_tree(repo::WriteSession& session, int round) {
  repo::TreeWriter tree(session);
  const auto add = [&](std::string path, repo::EntryKind kind) {
    repo::Entry entry;
    entry.path = std::move(path);
    entry.kind = kind;
    entry.mode = kind == repo::EntryKind::kDirectory ? 0750 : 0640;
    entry.uid = entry.gid = 1000;
    entry.user = entry.group = "golden";
    entry.modified = Time{kTimeSeconds * 1'000'000'000 + 123'456'789};
    return entry;
  };
  TRY(tree.add(add("", repo::EntryKind::kDirectory)));
  TRY(tree.add(add("data", repo::EntryKind::kDirectory)));
  for (const File& file : files(round)) {
    repo::Entry entry = add(file.path, repo::EntryKind::kFile);
    entry.size_bytes = file.size + file.hole_bytes;
    entry.xattrs = {{"user.note", "golden"}};
    entry.content = TRY(put_content(session, file));
    TRY(tree.add(entry));
  }
  repo::Entry link = add("to-data", repo::EntryKind::kSymlink);
  link.link_target = "data";
  TRY(tree.add(link));
  return tree.finish();
}

Result<repo::PointId> commit_round(repo::Repository& repository, int round) {
  const auto session = TRY(repo::WriteSession::begin(repository, {}));
  repo::Snapshot snapshot;
  snapshot.component = "data";
  snapshot.kind = "files";
  snapshot.root = TRY(put_tree(*session, round));
  snapshot.instant = Time::from_unix_seconds(kTimeSeconds + round);
  repo::Point point;
  point.time = snapshot.instant;
  point.stack = "golden";
  point.host = "host";
  point.version = "0.1.0";
  point.snapshots.push_back(std::move(snapshot));
  const repo::PointId id = TRY(session->commit(point));
  const auto logs = repo::open_log_store(repository);
  TRY(logs->put("db", {fmt::format("{:08d}", round), Bytes::copy_of(as_bytes("header")),
                       content(100u + static_cast<uint32_t>(round), 5000)}));
  return id;
}

// What is noted of the points and packs: a pack that is about to go is noted as damaged.
Result<void> make_marks(repo::Repository& repository, FixedClock& clock, const repo::PointId& held,
                        const repo::PointId& verified) {
  const Time now = clock.now();
  TRY(repo::place_hold(repository, held, std::string(kHoldReason), now));
  TRY(repo::record_verified(repository, verified, now));
  repo::Environment& environment = repository.environment();
  TRY(repository.remove_point(TRY(commit_round(repository, 2))));
  Progress progress;
  TRY(repo::check(repository, {.read_data_percent = 40}, progress));
  TRY(repo::collect(repository, {.repack_below = 0}, progress));
  for (const repo::Tombstone& tombstone : TRY(repo::load_tombstones(environment.store)))
    TRY(repo::note_damaged_pack(environment, *tombstone.packs.begin()));
  return {};
}

Result<void> make(const std::string& directory) {
  FixedClock clock;
  const auto random = seeded_random(20'261'122);
  const auto store = TRY(store::open_local_store(real_file_system(), directory, false));
  const auto repository =
      TRY(repo::init_repository({*store, clock, *random}, Secret::from_text(kFirstPassphrase), {8192, 1}));
  TRY(repo::add_key(*repository, Secret::from_text(kSecondPassphrase), "second"));
  const repo::PointId first = TRY(commit_round(*repository, 0));
  Progress progress;
  TRY(repo::rotate_epoch(*repository, false, progress));
  return make_marks(*repository, clock, first, TRY(commit_round(*repository, 1)));
}

}  // namespace
}  // namespace holdfast::golden

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: make_golden DIRECTORY\n");
    return 2;
  }
  const auto made = holdfast::golden::make(argv[1]);
  if (!made.ok()) std::fprintf(stderr, "make_golden: %s\n", made.error().text().c_str());
  return made.ok() ? 0 : 1;
}
