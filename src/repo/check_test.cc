// Covers: check (clean repositories, garbage, shares that rotate, every object type
// flipped and cut at sampled bytes, and of absurd size: named, and never wrong data), explain against a
// brute-force oracle, rebuild_index.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>

#include "base/filesystem.h"
#include "repo/check.h"
#include "repo/collect.h"
#include "repo/damaged_packs.h"
#include "repo/hold.h"
#include "repo/lease.h"
#include "repo/log_codec.h"
#include "repo/log_store.h"
#include "repo/scratch_repository.h"
#include "repo/test_clock.h"
#include "repo/test_points.h"
#include "repo/tombstone.h"
#include "repo/visibility.h"
#include "store/local_store.h"

namespace holdfast::repo {
namespace {

class CheckTest : public testing::Test {
 protected:
  CheckTest() : scratch_(3, clock_), repository_(scratch_.init()) {}

  void take(const std::vector<TestFile>& files) {
    clock_.advance(Duration::seconds(10));
    auto point = take_test_point(*repository_, files, clock_.now());
    ASSERT_TRUE(point.ok()) << point.error().text();
    files_[point->id] = files;
    std::sort(files_[point->id].begin(), files_[point->id].end(),
              [](const TestFile& a, const TestFile& b) { return compare_paths(a.path, b.path) < 0; });
  }
  // One of everything that a repository can hold.
  void fill() {
    take({{"a", {1, 2, 3, 4, 5, 6, 7}}, {"b/c", {8}}});
    take({{"a", {1, 2, 3, 4, 50, 6, 7}}, {"b/c", {8}}, {"b/d", {9, 10, 11}}});
    take({{"e", {20, 21, 22, 23, 24, 25}}});
    const auto logs = open_log_store(*repository_);
    for (int i = 0; i < 3; i++) {
      LogRecord record{fmt::format("{:024x}", i), Bytes::copy_of(as_bytes("header")), piece(static_cast<uint64_t>(i))};
      ASSERT_TRUE(logs->put("db", record).ok());
    }
    ASSERT_TRUE(record_verified(*repository_, files_.begin()->first, clock_.now()).ok());
    Progress progress;
    ASSERT_TRUE(check(*repository_, {.read_data_percent = 1}, progress).ok());
    lease_ = Lease::take(scratch_.environment, {LeaseKind::kWriter, "backup", Duration::hours(1), false}).value();
    ObjectDigest gone;
    gone.bytes.fill(1);
    Tombstone tombstone = announce_tombstone(scratch_.environment, {gone}).value();
    ASSERT_TRUE(settle_tombstone(scratch_.environment, tombstone).ok());
    ASSERT_TRUE(resurrect(scratch_.environment, tombstone, {gone}).ok());
  }
  void lose(const std::string& object) { ASSERT_TRUE(scratch_.store->remove(object).ok()); }
  CheckReport run(int percent) {
    Progress progress;
    auto report = check(*scratch_.open().value(), {.read_data_percent = percent}, progress);
    EXPECT_TRUE(report.ok()) << (report.ok() ? "" : report.error().text());
    return std::move(report).value();
  }
  static std::set<std::string> objects(const CheckReport& report) {
    std::set<std::string> names;
    for (const Damage& damage : report.damage) names.insert(damage.object);
    return names;
  }
  static std::string text(const CheckReport& report) {
    std::string lines;
    for (const Damage& damage : report.damage) lines += damage.object + ": " + damage.problem + "\n";
    return lines;
  }

  TestClock clock_;
  ScratchRepository scratch_;
  std::unique_ptr<Repository> repository_;
  std::unique_ptr<Lease> lease_;
  std::map<PointId, std::vector<TestFile>> files_;
};

TEST_F(CheckTest, what_is_read_is_what_was_added_up_before) {
  fill();
  Progress progress;
  ASSERT_TRUE(check(*repository_, {.read_data_percent = 100}, progress).ok());
  EXPECT_GT(progress.bytes_total, 50'000u);
  EXPECT_EQ(progress.bytes_done, progress.bytes_total);
  ASSERT_TRUE(explain(*repository_, "", progress).ok());
  EXPECT_EQ(progress.bytes_total, 0u);
  EXPECT_EQ(progress.bytes_done, 0u);
}

TEST_F(CheckTest, a_whole_repository_is_clean) {
  fill();
  for (const int percent : {0, 100}) {
    const CheckReport report = run(percent);
    EXPECT_EQ(text(report), "");
    EXPECT_EQ(report.points, 3u);
    EXPECT_EQ(report.packs, scratch_.names("packs/").size());
    EXPECT_EQ(report.records, 3u);
    EXPECT_EQ(report.garbage_packs, 0u);
    EXPECT_GT(report.blocks, 20u);
    EXPECT_GT(report.objects, 15u);
    EXPECT_EQ(report.bytes_read > 50'000, percent == 100);
  }
  ASSERT_TRUE(repository_->remove_point(files_.begin()->first).ok());
  EXPECT_EQ(text(run(100)), "");
}

// A flipped bit in data that the source still has: the next backup from it mends it.
TEST_F(CheckTest, what_is_found_damaged_is_stored_anew_by_the_next_backup) {
  const std::vector<TestFile> files = {{"a", {1, 2, 3, 4, 5, 6, 7}}, {"b", {8, 9}}};
  take(files);
  const std::vector<std::string> packs = scratch_.names("packs/");
  const std::string damaged = *std::max_element(packs.begin(), packs.end(), [&](const auto& one, const auto& other) {
    return scratch_.get(one).size() < scratch_.get(other).size();
  });
  scratch_.flip(damaged, scratch_.get(damaged).size() / 2, 0x10);
  EXPECT_EQ(objects(run(100)), std::set<std::string>{damaged});
  EXPECT_EQ(scratch_.names("damaged/").size(), 1u);
  run(100);
  EXPECT_EQ(scratch_.names("damaged/").size(), 1u) << "noted once";

  repository_ = scratch_.open().value();
  take(files);
  for (const Point& point : repository_->points().value()) {
    const auto verified = verify_test_point(*scratch_.open().value(), point);
    EXPECT_TRUE(verified.ok()) << verified.error().text();
  }
  EXPECT_EQ(objects(run(100)), std::set<std::string>{damaged}) << "it stays until it is collected";
  Progress progress;
  EXPECT_EQ(explain(*scratch_.open().value(), damaged, progress).value().size(), 0u) << "and touches nothing";

  // Collection keeps the copies and lets the damaged pack go, with its note.
  const CollectOptions now{.dry_run = false, .grace = {}, .repack_below = 0.7};
  for (int i = 0; i < 3; i++) {
    clock_.advance(Duration::hours(1));
    const auto collected = collect(*scratch_.open().value(), now, {}, progress);
    ASSERT_TRUE(collected.ok()) << collected.error().text();
  }
  EXPECT_EQ(text(run(100)), "");
  EXPECT_EQ(scratch_.names("damaged/").size(), 0u);
  for (const Point& point : scratch_.open().value()->points().value()) {
    const auto verified = verify_test_point(*scratch_.open().value(), point);
    EXPECT_TRUE(verified.ok()) << verified.error().text();
  }
}

TEST_F(CheckTest, garbage_is_counted_and_no_damage) {
  take({{"a", {1, 2, 3}}});
  ASSERT_TRUE(repository_->remove_point(files_.begin()->first).ok());
  const CheckReport report = run(100);
  EXPECT_EQ(text(report), "");
  EXPECT_EQ(report.garbage_packs, 2u);
  EXPECT_GT(report.garbage_bytes, 3 * kPieceBytes);
}

TEST_F(CheckTest, shares_rotate_until_everything_was_read) {
  for (uint64_t i = 0; i < 12; i++) take({{"f", {i * 3, i * 3 + 1}}});
  const uint64_t all = run(100).bytes_read;
  uint64_t sum = 0;
  for (int round = 0; round < 10; round++) {
    clock_.advance(Duration::hours(5));
    const CheckReport report = run(10);
    EXPECT_LT(report.bytes_read, all);
    sum += report.bytes_read;
  }
  EXPECT_EQ(sum, all) << "each byte once";
  EXPECT_EQ(scratch_.names("checks/").size(), 1u);
}

// Whether anything that is read is right, or an error that names `object`.
void expect_right_or_named(ScratchRepository& scratch, const std::string& object) {
  const auto repository = scratch.open();
  if (!repository.ok()) {
    EXPECT_NE(repository.error().text().find(object), std::string::npos) << object << ": " << repository.error().text();
    return;
  }
  const auto points = (*repository)->points([&](const std::string& name, const Error&) { EXPECT_EQ(name, object); });
  ASSERT_TRUE(points.ok()) << object << ": " << points.error().text();
  for (const Point& point : *points) {
    const auto verified = verify_test_point(**repository, point);
    if (verified.ok()) continue;
    EXPECT_NE(verified.error().text().find(object), std::string::npos) << object << ": " << verified.error().text();
  }
  const auto logs = open_log_store(**repository);
  for (uint64_t i = 0; i < 3; i++) {
    const auto record = logs->get("db", fmt::format("{:024x}", i));
    const bool right = record.ok() && equal(record->body, piece(i));
    const bool named = !record.ok() && record.error().text().find(object) != std::string::npos;
    EXPECT_TRUE(right || named) << object << ": " << (record.ok() ? "wrong bytes" : record.error().text());
  }
}

TEST_F(CheckTest, every_flipped_or_missing_byte_is_named_and_never_read_as_right) {
  fill();
  ASSERT_TRUE(place_hold(*repository_, files_.begin()->first, "audit", clock_.now()).ok());
  ObjectDigest elsewhere;
  elsewhere.bytes.fill(2);
  ASSERT_TRUE(note_damaged_pack(scratch_.environment, elsewhere).ok());
  // A record whose rotation was cut short half-way.
  const std::string moved = fmt::format("{:024x}", 2);
  ASSERT_TRUE(scratch_.store->create(log_moving_name("db", moved), scratch_.get(log_object_name("db", moved))).ok());
  lose(log_object_name("db", moved));
  std::mt19937_64 random(1);
  std::set<std::string> kinds;
  for (const std::string& object : scratch_.names()) {
    kinds.insert(object.substr(0, object.find('/')));
    const Bytes good = scratch_.get(object);
    std::set<size_t> places;
    for (size_t i = 0; i < 80; i += 3) places.insert({i % good.size(), good.size() - 1 - i % good.size()});
    for (int i = 0; i < 25; i++) places.insert(random() % good.size());
    for (const size_t at : places) {
      scratch_.flip(object, at, static_cast<uint8_t>(1u << (random() % 8)));
      Progress progress;
      const auto repository = scratch_.open();
      if (repository.ok()) {
        const auto report = check(**repository, {.read_data_percent = 100}, progress);
        ASSERT_TRUE(report.ok()) << object << " byte " << at << ": " << report.error().text();
        EXPECT_TRUE(objects(*report).count(object)) << object << " byte " << at << " is not named:\n" << text(*report);
      }
      expect_right_or_named(scratch_, object);
      scratch_.replace(object, good);
    }
    for (const size_t size : {size_t{0}, size_t{1}, good.size() / 2, good.size() - 1}) {
      scratch_.truncate(object, size);
      Progress progress;
      const auto repository = scratch_.open();
      if (repository.ok()) {
        const auto report = check(**repository, {}, progress);
        ASSERT_TRUE(report.ok()) << object << " cut to " << size << ": " << report.error().text();
        EXPECT_TRUE(objects(*report).count(object)) << object << " cut to " << size << " is not named:\n"
                                                    << text(*report);
      }
      expect_right_or_named(scratch_, object);
      scratch_.replace(object, good);
    }
    // The cursor of a check is replaced by the next one.
    ignore(scratch_.store->list("checks/",
                                [&](const store::ObjectInfo& info) -> Result<void> {
                                  if (info.name != object && object.starts_with("checks/"))
                                    return scratch_.store->remove(info.name);
                                  return {};
                                }),
           "memory does not fail");
  }
  EXPECT_EQ(kinds,
            (std::set<std::string>{"checks", "config", "config.copy", "damaged", "epochs", "holds", "index", "keys",
                                   "leases", "log", "log-moving", "packs", "points", "tombs", "verified"}));
}

// A size is believed of no object: what a file system makes of a crash may be anything.
TEST_F(CheckTest, an_object_of_absurd_size_is_named) {
  fill();
  ASSERT_TRUE(place_hold(*repository_, files_.begin()->first, "audit", clock_.now()).ok());
  ObjectDigest elsewhere;
  elsewhere.bytes.fill(2);
  ASSERT_TRUE(note_damaged_pack(scratch_.environment, elsewhere).ok());
  std::string directory = testing::TempDir() + "holdfast-check-XXXXXX";
  ASSERT_NE(::mkdtemp(directory.data()), nullptr);
  FileSystem& fs = real_file_system();
  const auto store = store::open_local_store(fs, directory, true).value();
  for (const std::string& object : scratch_.names()) ASSERT_TRUE(store->create(object, scratch_.get(object)).ok());
  for (const std::string& object : scratch_.names()) {
    if (object.starts_with("checks/")) continue;  // each check replaces the one before
    const std::string path = join_path(directory, object);
    ASSERT_EQ(::truncate(path.c_str(), off_t{1} << 40), 0);
    Progress progress;
    const auto fresh = store::open_local_store(fs, directory, true).value();
    const auto repository = open_repository({*fresh, clock_, *scratch_.random}, ScratchRepository::passphrase());
    ASSERT_TRUE(repository.ok()) << object << ": " << repository.error().text();
    const auto report = check(**repository, {.read_data_percent = 100}, progress);
    ASSERT_TRUE(report.ok()) << object << ": " << report.error().text();
    EXPECT_TRUE(objects(*report).count(object)) << object << " is not named:\n" << text(*report);
    EXPECT_TRUE(verified_points(**repository).ok()) << object;
    ASSERT_TRUE(write_file_durably(fs, path, scratch_.get(object).view()).ok());
  }
  EXPECT_TRUE(remove_tree(fs, directory).ok());
}

// ---- Explain

// A lost piece of a file: point, path, number of the piece in it.
using LostPiece = std::tuple<PointId, std::string, size_t>;

// By trying everything: which pieces can't be read.
std::set<LostPiece> lost_by_trying(Repository& repository, const std::map<PointId, std::vector<TestFile>>& points) {
  std::set<LostPiece> lost;
  for (const auto& [id, files] : points) {
    const auto point = repository.find_point(id.hex());
    std::map<std::string, Entry> entries;
    const auto reader = point.ok() ? TreeReader::open(repository, point->snapshots[0].root)
                                   : Result<std::unique_ptr<TreeReader>>(point.error().clone());
    for (size_t failures = 0; reader.ok() && failures < 100;) {
      auto entry = (*reader)->next();  // after an error it goes on behind the chunk that is lost
      failures += !entry.ok();
      if (!entry.ok()) continue;
      if (!*entry) break;
      entries[(*entry)->path] = **entry;
    }
    for (const TestFile& file : files) {
      for (size_t i = 0; i < file.pieces.size(); i++) {
        const auto found = entries.find(file.path);
        bool good = found != entries.end();
        if (good && !found->second.content.regions.empty()) {
          good = read_region(repository, found->second.content.regions[i / (kTestRegionBytes / kPieceBytes)]).ok();
        }
        const Bytes bytes = piece(file.pieces[i]);
        good = good && repository.read_block(repository.id_of(BlockKind::kData, bytes)).ok();
        if (!good) lost.insert({id, file.path, i});
      }
    }
  }
  return lost;
}

std::set<LostPiece> lost_as_explained(const std::vector<Touched>& touched,
                                      const std::map<PointId, std::vector<TestFile>>& points) {
  std::set<LostPiece> lost;
  for (const Touched& each : touched) {
    const std::vector<TestFile>& files = points.at(each.point);
    auto file = std::find_if(files.begin(), files.end(), [&](const TestFile& one) { return one.path == each.path; });
    const bool whole_point = each.path.empty();
    if (whole_point) file = files.begin();
    EXPECT_NE(file, files.end()) << each.path;
    uint64_t count = whole_point ? files.size() : each.entries;
    const bool ranged = each.entries == 1 && !whole_point;
    for (; count > 0 && file != files.end(); count--, ++file) {
      for (size_t i = 0; i < file->pieces.size(); i++) {
        const bool inside = i * kPieceBytes >= each.offset && i * kPieceBytes < each.offset + each.length_bytes;
        if (!ranged || inside) lost.insert({each.point, file->path, i});
      }
    }
  }
  return lost;
}

class ExplainTest : public CheckTest {
 protected:
  void SetUp() override {
    take({{"a", {1, 2, 3, 4, 5, 6, 7}}, {"b/c", {8}}});
    take({{"a", {1, 2, 3, 4, 50, 6, 7}}, {"b/c", {8}}, {"b/d", {9, 10, 11, 9, 9, 10}}});
    take({{"e", {20, 21, 22, 23, 24, 25}}, {"f", {}}});
    std::vector<TestFile> many;
    for (uint64_t i = 0; i < 4000; i++) many.push_back({fmt::format("dir{}/file-{:06}", i / 100, i), {i % 7 + 1}});
    std::sort(many.begin(), many.end(),
              [](const TestFile& a, const TestFile& b) { return compare_paths(a.path, b.path) < 0; });
    take(many);
  }
  std::vector<Touched> run_explain(const std::string& object) {
    Progress progress;
    auto touched = explain(*scratch_.open().value(), object, progress);
    EXPECT_TRUE(touched.ok()) << (touched.ok() ? "" : touched.error().text());
    return std::move(touched).value();
  }
};

TEST_F(ExplainTest, lists_exactly_what_a_damaged_pack_touches) {
  std::mt19937_64 random(4);
  size_t lossy = 0;
  for (const std::string& object : scratch_.names("packs/")) {
    const Bytes good = scratch_.get(object);
    for (int round = 0; round < 5; round++) {
      if (round == 0) lose(object);
      if (round == 1) scratch_.truncate(object, random() % good.size());
      if (round > 1) scratch_.flip(object, random() % good.size());
      const auto touched = run_explain(object);
      const auto expected = lost_by_trying(*scratch_.open().value(), files_);
      EXPECT_EQ(lost_as_explained(touched, files_), expected) << object << " round " << round;
      lossy += !expected.empty();
      for (const Touched& each : touched) {
        EXPECT_EQ(each.cause, object);
        EXPECT_EQ(each.component, "data");
      }
      EXPECT_TRUE(round > 1 || lost_as_explained(run_explain(""), files_) == expected) << "found without being told";
      if (round > 0) lose(object);
      ASSERT_TRUE(scratch_.store->create(object, good).ok());
    }
  }
  EXPECT_GT(lossy, 20u);
}

TEST_F(ExplainTest, a_whole_object_touches_nothing) {
  for (const std::string& object : scratch_.names()) EXPECT_TRUE(run_explain(object).empty()) << object;
  EXPECT_TRUE(run_explain("").empty());
  const Bytes bytes = piece(1);
  EXPECT_TRUE(run_explain(repository_->id_of(BlockKind::kData, bytes).hex()).empty());
}

// Held against what can no longer be read once it is gone.
TEST_F(ExplainTest, tells_what_would_be_lost_with_a_whole_object) {
  Progress progress;
  size_t lossy = 0;
  for (const std::string& object : scratch_.names("packs/")) {
    const auto told = lost_with(*scratch_.open().value(), object, progress);
    ASSERT_TRUE(told.ok()) << told.error().text();
    const Bytes good = scratch_.get(object);
    lose(object);
    const auto expected = lost_by_trying(*scratch_.open().value(), files_);
    EXPECT_EQ(lost_as_explained(*told, files_), expected) << object;
    lossy += !expected.empty();
    ASSERT_TRUE(scratch_.store->create(object, good).ok());
  }
  EXPECT_GT(lossy, 2u);
  for (const auto& [id, files] : files_) {
    const auto told = lost_with(*scratch_.open().value(), point_name(id), progress).value();
    ASSERT_EQ(told.size(), 1u);
    EXPECT_EQ(told[0].point, id);
    EXPECT_NE(told[0].point_time, Time());
  }
  ASSERT_TRUE(open_log_store(*repository_)->put("db", {"0001", Bytes(), piece(1)}).ok());
  EXPECT_EQ(lost_with(*scratch_.open().value(), "log/db/0001", progress).value()[0].path, "0001");
  const auto block = repository_->id_of(BlockKind::kData, piece(50)).hex();
  const auto told = lost_with(*scratch_.open().value(), block, progress).value();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].offset, 4 * kPieceBytes);
  for (const std::string& object : {std::string("config"), scratch_.names("keys/")[0], scratch_.names("index/")[0]}) {
    const auto refused = lost_with(*scratch_.open().value(), object, progress);
    ASSERT_FALSE(refused.ok()) << object;
    EXPECT_EQ(refused.error().code(), ErrorCode::kUnsupported);
    EXPECT_NE(refused.error().hint(), "");
  }
}

TEST_F(ExplainTest, says_nothing_of_what_there_never_was) {
  for (const char* object : {"packs/00/doesnotexist", "nope", "/etc/passwd", "points/nope", "../config"}) {
    Progress progress;
    const auto touched = explain(*scratch_.open().value(), object, progress);
    ASSERT_FALSE(touched.ok()) << object;
    EXPECT_EQ(touched.error().code(), ErrorCode::kNotFound) << object;
  }
}

TEST_F(ExplainTest, names_the_files_behind_a_block) {
  const BlockId id = repository_->id_of(BlockKind::kData, piece(50));
  const auto place = access(*repository_).index().value()->find(id)[0];
  const std::string pack = pack_name(access(*repository_).index().value()->packs()[place.pack].digest);
  scratch_.flip(pack, place.offset + 100);
  const auto touched = run_explain(id.hex());
  ASSERT_EQ(touched.size(), 1u);
  EXPECT_EQ(touched[0].path, "a");
  EXPECT_EQ(touched[0].offset, 4 * kPieceBytes);
  EXPECT_EQ(touched[0].length_bytes, kPieceBytes);
  EXPECT_EQ(touched[0].cause, pack);
}

TEST_F(ExplainTest, a_damaged_index_object_touches_what_only_it_knew) {
  for (const std::string& object : scratch_.names("index/")) {
    const Bytes good = scratch_.get(object);
    scratch_.flip(object, 60);
    const auto touched = run_explain(object);
    EXPECT_FALSE(touched.empty());
    for (const Touched& each : touched) EXPECT_EQ(each.cause, object);
    scratch_.replace(object, good);
  }
}

TEST_F(ExplainTest, a_damaged_point_or_log_record_touches_itself) {
  const PointId id = files_.begin()->first;
  scratch_.flip(point_name(id), 60);
  auto touched = run_explain(point_name(id));
  ASSERT_EQ(touched.size(), 1u);
  EXPECT_EQ(touched[0].point, id);
  EXPECT_EQ(touched[0].path, "");
  ASSERT_TRUE(open_log_store(*repository_)->put("db", {"0001", Bytes(), piece(1)}).ok());
  scratch_.flip("log/db/0001", 2000);
  touched = run_explain("log/db/0001");
  ASSERT_EQ(touched.size(), 1u);
  EXPECT_EQ(touched[0].component, "db");
  EXPECT_EQ(touched[0].path, "0001");
}

// ---- The index, from the packs

TEST_F(CheckTest, a_lost_or_damaged_index_is_rebuilt_from_the_packs) {
  fill();
  const auto indexes = scratch_.names("index/");
  ASSERT_EQ(indexes.size(), 3u);
  for (const bool lose_all : {false, true}) {
    for (const std::string& object : lose_all ? scratch_.names("index/") : std::vector{indexes[1]}) {
      if (lose_all)
        lose(object);
      else
        scratch_.flip(object, 100);
    }
    EXPECT_FALSE(run(0).damage.empty());
    Progress progress;
    const auto repository = scratch_.open().value();
    const auto found = rebuild_index(*repository, progress);
    ASSERT_TRUE(found.ok()) << found.error().text();
    EXPECT_GT(found->blocks, 2u);
    EXPECT_TRUE(found->skipped.empty());
    EXPECT_EQ(text(run(100)), "");
    for (const Point& point : repository->points().value()) {
      const auto verified = verify_test_point(*repository, point);
      EXPECT_TRUE(verified.ok()) << verified.error().text();
    }
    EXPECT_EQ(rebuild_index(*repository, progress).value().blocks, 0u) << "nothing is missing any more";
  }
}

TEST_F(CheckTest, packs_that_tell_nothing_are_named_when_the_index_is_rebuilt) {
  take({{"a", {1, 2, 3}}});
  const std::string other = "packs/00/" + std::string(64, '0');
  ASSERT_TRUE(scratch_.store->create(other, as_bytes(std::string(1000, 'x'))).ok());
  Progress progress;
  const auto repository = scratch_.open().value();
  const RebuiltIndex rebuilt = rebuild_index(*repository, progress).value();
  ASSERT_EQ(rebuilt.skipped.size(), 1u);
  EXPECT_EQ(rebuilt.skipped[0].object, other);
}

// Else packs that it deletes meanwhile would be in the new index.
TEST_F(CheckTest, the_index_is_not_rebuilt_beside_a_collection) {
  take({{"a", {1, 2, 3}}});
  Progress progress;
  const auto repository = scratch_.open().value();
  const auto collector =
      Lease::take(scratch_.environment, {LeaseKind::kCollector, "collection", Duration::hours(1), false}).value();
  EXPECT_EQ(rebuild_index(*repository, progress).error().code(), ErrorCode::kLocked);
}

TEST_F(CheckTest, packs_with_broken_footers_are_indexed_block_by_block) {
  take({{"a", {1, 2, 3, 4, 5, 6, 7}}});
  for (const std::string& object : scratch_.names("index/")) ASSERT_TRUE(scratch_.store->remove(object).ok());
  for (const std::string& object : scratch_.names("packs/")) scratch_.flip(object, scratch_.get(object).size() - 1);
  Progress progress;
  const auto repository = scratch_.open().value();
  ASSERT_TRUE(rebuild_index(*repository, progress).ok());
  const auto verified = verify_test_point(*repository, repository->points().value()[0]);
  EXPECT_TRUE(verified.ok()) << verified.error().text();
}

}  // namespace
}  // namespace holdfast::repo
