// Covers: a repository of every released version of the format opens and gives back
// exactly what was put in, with each of its passphrases.

#include <gtest/gtest.h>

#include "base/filesystem.h"
#include "base/random.h"
#include "content.h"
#include "repo/access.h"
#include "repo/check.h"
#include "repo/collect.h"
#include "repo/damaged_packs.h"
#include "repo/hold.h"
#include "repo/keyring.h"
#include "repo/log_store.h"
#include "repo/tombstone.h"
#include "store/local_store.h"
#include "store/memory_store.h"

namespace holdfast::golden {
namespace {

struct GoldenTest : testing::TestWithParam<std::string> {
  std::unique_ptr<store::ObjectStore> store =
      store::open_local_store(real_file_system(), join_path(HOLDFAST_GOLDEN_DIRECTORY, GetParam()), true).value();
  repo::Environment environment{*store, system_clock(), system_random()};
};

std::string read_content(repo::Repository& repository, const repo::Content& content) {
  std::string text;
  const auto read =
      repo::for_each_extent(repository, content, [&](uint64_t, const repo::Extent& extent) -> Result<void> {
        if (!extent.block) {
          text.append(extent.length_bytes, '\0');
          return {};
        }
        const auto block = TRY(repository.read_block(*extent.block));
        text += as_text(block->view(extent.block_offset, extent.length_bytes));
        return {};
      });
  EXPECT_TRUE(read.ok()) << read.error().text();
  return text;
}

TEST_P(GoldenTest, GivesBackEveryFileOfEveryPoint) {
  for (const std::string_view passphrase : {kFirstPassphrase, kSecondPassphrase}) {
    const auto repository = repo::open_repository(environment, Secret::from_text(passphrase));
    ASSERT_TRUE(repository.ok()) << repository.error().text();
    const auto points = (*repository)->points();
    ASSERT_TRUE(points.ok()) << points.error().text();
    ASSERT_EQ(points->size(), 2u);
    for (int round = 0; round < 2; round++) {
      const repo::Point& point = (*points)[static_cast<size_t>(round)];
      EXPECT_EQ(point.stack, "golden");
      EXPECT_EQ(point.time, Time::from_unix_seconds(kTimeSeconds + round));
      ASSERT_EQ(point.snapshots.size(), 1u);
      const auto tree = repo::TreeReader::open(**repository, point.snapshots[0].root);
      ASSERT_TRUE(tree.ok()) << tree.error().text();
      std::map<std::string, repo::Entry> entries;
      while (true) {
        auto entry = (*tree)->next();
        ASSERT_TRUE(entry.ok()) << entry.error().text();
        if (!entry->has_value()) break;
        entries.emplace((*entry)->path, std::move(**entry));
      }
      EXPECT_EQ(entries.size(), 7u);
      EXPECT_EQ(entries["to-data"].link_target, "data");
      EXPECT_EQ(entries["data"].mode, 0750u);
      for (const File& file : files(round)) {
        const repo::Entry& entry = entries[file.path];
        const Bytes bytes = content(file.seed, file.size);
        EXPECT_EQ(read_content(**repository, entry.content),
                  std::string(as_text(bytes.view())) + std::string(file.hole_bytes, '\0'));
        EXPECT_EQ(entry.modified, (Time{kTimeSeconds * 1'000'000'000 + 123'456'789}));
        EXPECT_EQ(entry.xattrs, (std::vector<std::pair<std::string, std::string>>{{"user.note", "golden"}}));
      }
    }
  }
}

TEST_P(GoldenTest, GivesBackLogRecords) {
  const auto repository = repo::open_repository(environment, Secret::from_text(kFirstPassphrase)).value();
  const auto logs = repo::open_log_store(*repository);
  for (uint32_t round = 0; round < 2; round++) {
    const auto record = logs->get("db", fmt::format("{:08d}", round));
    ASSERT_TRUE(record.ok()) << record.error().text();
    EXPECT_EQ(as_text(record->header.view()), "header");
    EXPECT_TRUE(equal(record->body.view(), content(100 + round, 5000).view()));
  }
}

TEST_P(GoldenTest, ListsItsKeys) {
  const auto repository = repo::open_repository(environment, Secret::from_text(kSecondPassphrase)).value();
  const auto slots = repo::list_keys(*repository).value();
  EXPECT_EQ(slots.size(), 2u);
  EXPECT_EQ(repo::list_epochs(*repository)->size(), 2u);
  ASSERT_TRUE(repo::check_key_objects(repo::access(*repository), [](const std::string& object, const Error& error) {
                ADD_FAILURE() << object << ": " << error.text();
              }).ok());
}

// Holds, verifications, and a tombstone of a pack that is noted as damaged: in the second.
struct GoldenMarks : GoldenTest {};

TEST_P(GoldenMarks, GivesBackWhatIsNotedOfPointsAndPacks) {
  const auto repository = repo::open_repository(environment, Secret::from_text(kFirstPassphrase)).value();
  const auto points = repository->points().value();
  ASSERT_EQ(points.size(), 2u);
  const auto holds = repo::all_holds(*repository).value();
  ASSERT_EQ(holds.size(), 1u);
  EXPECT_EQ(holds[0].point, points[0].id);
  EXPECT_EQ(holds[0].reason, kHoldReason);
  EXPECT_EQ(holds[0].time, Time::from_unix_seconds(kTimeSeconds));
  EXPECT_EQ(repo::verified_points(*repository).value(), std::vector{points[1].id});
  const auto tombstones = repo::load_tombstones(*store).value();
  ASSERT_EQ(tombstones.size(), 1u);
  EXPECT_FALSE(tombstones[0].damaged);
  EXPECT_TRUE(tombstones[0].settled.has_value());
  EXPECT_FALSE(tombstones[0].packs.empty());
  EXPECT_EQ(repo::tombstoned_packs(*store).value(), tombstones[0].packs);
  const auto noted = repo::noted_damaged_packs(*store).value();
  EXPECT_EQ(noted, std::set{*tombstones[0].packs.begin()});
  for (const auto& pack : tombstones[0].packs) EXPECT_TRUE(store->stat(repo::pack_name(pack)).ok());
}

// On a copy: a check takes a lease, and leaves how far it read.
TEST_P(GoldenMarks, HoldNoDamage) {
  const auto copy = store::make_memory_store(system_clock());
  const auto copied = store->list("", [&](const store::ObjectInfo& object) -> Result<void> {
    return copy->create(object.name, TRY(store->read_all(object.name)));
  });
  ASSERT_TRUE(copied.ok()) << copied.error().text();
  repo::Environment of_copy{*copy, system_clock(), system_random()};
  const auto repository = repo::open_repository(of_copy, Secret::from_text(kFirstPassphrase)).value();
  Progress progress;
  const auto report = repo::check(*repository, {.read_data_percent = 100}, progress);
  ASSERT_TRUE(report.ok()) << report.error().text();
  for (const repo::Damage& damage : report->damage) ADD_FAILURE() << damage.object << ": " << damage.problem;
  EXPECT_GT(report->garbage_packs, 0u);
}

INSTANTIATE_TEST_SUITE_P(EveryVersion, GoldenMarks, testing::Values("v1_marks"),
                         [](const auto& version) { return version.param; });
INSTANTIATE_TEST_SUITE_P(EveryVersion, GoldenTest, testing::Values("v1", "v1_marks"),
                         [](const auto& version) { return version.param; });

}  // namespace
}  // namespace holdfast::golden
