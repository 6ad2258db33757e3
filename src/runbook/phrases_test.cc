// Covers: lengths of time, titles with their labels, numbers and times, crontab lines,
// words that say how often.

#include "runbook/phrases.h"

#include <gtest/gtest.h>

namespace holdfast::runbook {
namespace {

std::string shown(std::string_view text) {
  const auto length = parse_length(text);
  if (!length) return "none";
  if (length->not_applicable) return "n/a";
  const auto seconds = [](const std::optional<Duration>& duration) {
    return duration ? std::to_string(duration->ns / 1'000'000'000) : std::string("open");
  };
  return seconds(length->least) + ".." + seconds(length->most);
}

TEST(Lengths, AsPeopleWriteThem) {
  EXPECT_EQ(shown("< 4 hours"), "14400..14400");
  EXPECT_EQ(shown("2-4 hours"), "7200..14400");
  EXPECT_EQ(shown("15\xE2\x80\x93"
                  "20 minutes"),
            "900..1200");
  EXPECT_EQ(shown("15+ minutes"), "900..open");
  EXPECT_EQ(shown("0 (no data loss)"), "0..0");
  EXPECT_EQ(shown("0-15 minutes"), "0..900");
  EXPECT_EQ(shown("1 hour 30 minutes"), "5400..5400");
  EXPECT_EQ(shown("90 seconds to 2 minutes"), "90..120");
  EXPECT_EQ(shown("N/A"), "n/a");
  EXPECT_EQ(shown("Immediate"), "0..0");
  EXPECT_EQ(shown("24 Stunden"), "86400..86400");
  EXPECT_EQ(shown("P1"), "none");
  EXPECT_EQ(shown("us-east-1 minutes"), "none");
  EXPECT_EQ(shown("near-zero"), "none");
}

TEST(Titles, LabelsNumbersAndTimes) {
  const TitleParts scenario = parse_title({"Scenario 2: Database Corruption/Loss", {{3, 5}, {3, 41}}});
  EXPECT_EQ(scenario.label, "scenario");
  EXPECT_EQ(scenario.number, "2");
  EXPECT_EQ(scenario.title.text, "Database Corruption/Loss");
  EXPECT_EQ(scenario.title.range.begin.column, 17u);
  const TitleParts option = parse_title({"Option B: Failover to Replica (10-20 minutes)", {}});
  EXPECT_EQ(option.number, "B");
  EXPECT_EQ(option.title.text, "Failover to Replica");
  EXPECT_EQ(option.length->most, Duration::seconds(1200));
  EXPECT_EQ(parse_title({"Scale Up (if capacity issue)", {}}).condition, "if capacity issue");
  EXPECT_EQ(parse_title({"\xE5\xBE\xA9\xE6\x97\xA7 (if lost)", {}}).title.text, "\xE5\xBE\xA9\xE6\x97\xA7");
  EXPECT_EQ(parse_title({"\xC3\x80 faire", {}}).title.text, "\xC3\x80 faire");
  EXPECT_EQ(parse_title({"\xE2\x9A\xA0\xEF\xB8\x8F Restore", {}}).title.text, "Restore");
  EXPECT_EQ(parse_title({"\xF0\x9F\x94\xA5 Restore", {}}).title.text, "Restore");
  EXPECT_EQ(parse_title({"2.1 Complete System Recovery", {}}).number, "2.1");
  EXPECT_EQ(parse_title({"Database Backups (Daily at 2 AM UTC)", {}}).frequency.text, "Daily at 2 AM UTC");
  EXPECT_EQ(parse_title({"3 replicas are lost", {}}).number, "");
}

TEST(Cron, Lines) {
  EXPECT_EQ(parse_cron("*/30 * * * * /x.sh")->interval, Duration::seconds(1800));
  EXPECT_EQ(parse_cron("0 3 * * 0 /x.sh")->interval, Duration::hours(168));
  EXPECT_EQ(parse_cron("0 2,14 * * * /x.sh")->interval, Duration::hours(12));
  EXPECT_EQ(parse_cron("0 2 1 * * /x.sh")->interval, Duration::hours(720));
  EXPECT_EQ(parse_cron("0 2 * * mon-fri cmd a b")->command, "cmd a b");
  EXPECT_FALSE(parse_cron("61 * * * * x"));
  EXPECT_FALSE(parse_cron("* * * *"));
  EXPECT_FALSE(parse_cron("docker ps -a --all x"));
}

TEST(Frequency, Words) {
  EXPECT_EQ(parse_frequency("Daily at 2 AM UTC"), Duration::hours(24));
  EXPECT_EQ(parse_frequency("every 15 minutes"), Duration::seconds(900));
  EXPECT_EQ(parse_frequency("Run quarterly"), Duration::hours(2190));
  EXPECT_EQ(parse_frequency("Backups run every 6 hours, kept 30 days"), Duration::hours(6));
  EXPECT_EQ(parse_frequency("a backup every 1 hour 30 minutes"), Duration::seconds(5400));
  EXPECT_FALSE(parse_frequency("sometimes"));
  EXPECT_FALSE(parse_frequency("any instant of the last 14 days, of every object in the backup"));
  EXPECT_FALSE(parse_frequency("every 3 copies of the last 14 days"));
}

}  // namespace
}  // namespace holdfast::runbook
