#include "source/postgres/backup_label.h"

#include <gtest/gtest.h>

namespace holdfast::postgres {
namespace {

constexpr const char* kLabel =
    "START WAL LOCATION: 0/2000028 (file 000000030000000000000002)\n"
    "CHECKPOINT LOCATION: 0/2000060\n"
    "BACKUP METHOD: streamed\n"
    "BACKUP FROM: standby\n"
    "START TIME: 2026-03-01 09:30:00 UTC\n"
    "LABEL: nightly: with colon\n"
    "START TIMELINE: 3\n";

TEST(BackupLabel, IsReadWhole) {
  auto label = parse_backup_label(kLabel);
  ASSERT_TRUE(label.ok()) << label.error().text();
  EXPECT_EQ(label.value().start.value, 0x2000028u);
  EXPECT_EQ(label.value().start_segment, "000000030000000000000002");
  EXPECT_EQ(label.value().checkpoint.value, 0x2000060u);
  EXPECT_TRUE(label.value().from_standby);
  EXPECT_EQ(label.value().timeline, 3u);
  EXPECT_EQ(label.value().label, "nightly: with colon");
}

TEST(BackupLabel, OfPostgreSql13CallsThePrimaryMaster) {
  std::string text = kLabel;
  text.replace(text.find("standby"), 7, "master");
  auto label = parse_backup_label(text);
  ASSERT_TRUE(label.ok()) << label.error().text();
  EXPECT_FALSE(label.value().from_standby);
}

TEST(BackupLabel, AnyTruncationIsRefusedOrLosesNothingThatMatters) {
  const std::string text = kLabel;
  for (size_t length = 0; length + 2 < text.size(); length++) {
    EXPECT_FALSE(parse_backup_label(text.substr(0, length)).ok()) << length;
  }
}

TEST(BackupLabel, SaysWhatIsWrong) {
  EXPECT_EQ(parse_backup_label("").error().message(), "backup_label lacks the start, the checkpoint or the timeline");
  EXPECT_EQ(parse_backup_label("nonsense\n").error().message(),
            "backup_label has a line that can't be understood: 'nonsense'");
  EXPECT_EQ(parse_backup_label(std::string(kLabel) + "INCREMENTAL FROM LSN: 0/1\n").error().code(),
            ErrorCode::kUnsupported);
}

TEST(TablespaceMap, UnescapesLocations) {
  auto lines = parse_tablespace_map("16385 /srv/a b\n16386 /srv/new\\\nline\\\\\n");
  ASSERT_TRUE(lines.ok());
  EXPECT_EQ(lines.value(), (std::vector<TablespaceLine>{{"16385", "/srv/a b"}, {"16386", "/srv/new\nline\\"}}));
  EXPECT_FALSE(parse_tablespace_map("16385\n").ok());
  EXPECT_FALSE(parse_tablespace_map("x /srv\n").ok());
  EXPECT_FALSE(parse_tablespace_map("1 /srv\\").ok());
}

}  // namespace
}  // namespace holdfast::postgres
