#include "cli/table.h"

#include <gtest/gtest.h>

#include "base/units.h"
#include "cli/progress_view.h"
#include "cli/terminal.h"

namespace holdfast::cli {
namespace {

TEST(Table, AlignsColumnsAndLeavesNoTrailingSpaces) {
  Table table({{"ID"}, {"SIZE", Table::Align::kRight}, {"NAMES"}});
  table.add({"3f0a91c2", "4.20 GiB", "db"});
  table.add({"aa", "1 B", ""});
  EXPECT_EQ(table.text(),
            "ID            SIZE  NAMES\n"
            "3f0a91c2  4.20 GiB  db\n"
            "aa             1 B\n");
}

TEST(Table, TheLastColumnGoesOnBelowWhereThereIsNoRoom) {
  Table table({{"ID"}, {"TOOK", Table::Align::kRight}, {"WHY"}});
  table.add({"3f0a91c2", "1 s", "the newest, daily 2027-01-15"});
  table.add({"aa", "2 s", "no rule"});
  EXPECT_EQ(table.text(30),
            "ID        TOOK  WHY\n"
            "3f0a91c2   1 s  the newest,\n"
            "                daily\n"
            "                2027-01-15\n"
            "aa         2 s  no rule\n");
  EXPECT_EQ(table.text(20), table.text()) << "no room for words at all";
  table.leave_out("TOOK");
  EXPECT_EQ(table.text(),
            "ID        WHY\n"
            "3f0a91c2  the newest, daily 2027-01-15\n"
            "aa        no rule\n");
}

TEST(Table, CountsCodePointsAndDisarmsControlCharacters) {
  Table table({{"NAME"}, {"X"}});
  table.add({"é", "1"});
  table.add({"a\x1b[31m", "2"});
  EXPECT_EQ(table.text(),
            "NAME       X\n"
            "é          1\n"
            "a\\x1b[31m  2\n");
}

TEST(Terminal, PrintableKeepsUtf8AndShowsEveryOtherByte) {
  EXPECT_EQ(printable("grün ok"), "grün ok");
  EXPECT_EQ(printable("a\xff\xc3"), "a\\xff\\xc3");
  EXPECT_EQ(printable("line\nfeed\x7f"), "line\\x0afeed\\x7f");
}

TEST(Terminal, WrapBreaksBetweenWords) {
  EXPECT_EQ(wrap("one two three", 7), (std::vector<std::string>{"one two", "three"}));
  EXPECT_EQ(wrap("incomprehensible", 4), (std::vector<std::string>{"incomprehensible"}));
  EXPECT_EQ(wrap("", 4), (std::vector<std::string>{""}));
}

TEST(Progress, SaysWhatFits) {
  ProgressFigures figures;
  figures.phase = "copying";
  figures.bytes_done = 512 * kMiB;
  figures.bytes_total = 2 * kGiB;
  figures.recent_bytes_per_second = 256 * kMiB;
  const std::string whole = progress_line(figures, 200, true);
  EXPECT_EQ(whole.find("copying  [=====>              ]   25%  512 MiB of 2.00 GiB  256 MiB/s  "), 0u) << whole;
  EXPECT_NE(whole.find(" left"), std::string::npos) << whole;
  EXPECT_LE(display_width(progress_line(figures, 40, true)), 40u);
  EXPECT_EQ(progress_line(figures, 200, false).find('['), std::string::npos);
}

TEST(Progress, WithoutATotalItTellsWhatIsDone) {
  ProgressFigures figures;
  figures.bytes_done = 3 * kMiB;
  EXPECT_EQ(progress_line(figures, 80, true), "working  3.00 MiB");
  figures.bytes_done = 0;
  figures.files_done = 1234;
  EXPECT_EQ(progress_line(figures, 80, true), "working  1,234 files");
}

}  // namespace
}  // namespace holdfast::cli
