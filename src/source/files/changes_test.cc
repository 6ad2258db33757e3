// Covers: what is told and counted of many changes, of several kinds, joined and taken back.
#include "source/files/changes.h"

#include <gmock/gmock.h>

namespace holdfast::files {
namespace {

using ::testing::ElementsAre;

constexpr auto kFile = repo::EntryKind::kFile, kDirectory = repo::EntryKind::kDirectory;

TEST(Changes, AreAllCountedAndTheFirstOfEachKindTold) {
  Changes changes;
  for (size_t i = 0; i < Changes::kToldOfEachKind + 5; i++) changes.add("create", kFile, std::to_string(i));
  changes.add("create", kDirectory, "last");
  EXPECT_EQ(changes.lines().size(), Changes::kToldOfEachKind + 1);
  EXPECT_EQ(changes.lines().front(), "create file 0");
  EXPECT_EQ(changes.lines().back(), "create directory last");
  EXPECT_EQ(changes.kinds().at("create file").count, Changes::kToldOfEachKind + 5);
  EXPECT_EQ(changes.kinds().at("create directory").count, 1u);
}

TEST(Changes, JoinOthersInTheirOrder) {
  Changes changes, others;
  for (size_t i = 0; i < Changes::kToldOfEachKind - 1; i++) changes.add("remove", kFile, "old");
  others.add("remove", kFile, "a");
  others.add("remove", kDirectory, "b");
  others.add("remove", kFile, "c");
  changes.add(others);
  EXPECT_EQ(changes.kinds().at("remove file").count, Changes::kToldOfEachKind + 1);
  EXPECT_EQ(changes.lines().size(), Changes::kToldOfEachKind + 1);
  EXPECT_EQ(changes.lines()[Changes::kToldOfEachKind - 1], "remove file a");
  EXPECT_EQ(changes.lines().back(), "remove directory b");
}

TEST(Changes, AreTakenBackToAMark) {
  Changes changes;
  changes.add("remove", kFile, "a");
  const auto mark = changes.mark();
  for (size_t i = 0; i < 2 * Changes::kToldOfEachKind; i++) changes.add("remove", kFile, "d/x");
  changes.add("remove", kDirectory, "d/e");
  changes.take_back(mark);
  changes.add("remove", kDirectory, "d");
  changes.add("remove", kFile, "f");
  EXPECT_THAT(changes.lines(), ElementsAre("remove file a", "remove directory d", "remove file f"));
  EXPECT_EQ(changes.kinds().at("remove file").count, 2u);
  EXPECT_EQ(changes.kinds().at("remove directory").count, 1u);
}

}  // namespace
}  // namespace holdfast::files
