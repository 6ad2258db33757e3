#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runbook/model.h"

namespace holdfast::runbook {

// How people write lengths of time, numbers of headings and crontab lines.

// "< 4 hours", "15-20 minutes", "15+ min", "first 2 minutes", "every 30 minutes", "N/A".
struct Length {
  std::optional<Duration> least, most;
  bool open = false;        // "15+ minutes": no upper end
  bool from_start = false;  // "within 1 hour", "first 2 minutes"
  bool every = false;
  bool not_applicable = false;
};
// Null when the text says no length of time.
std::optional<Length> parse_length(std::string_view text);
Target target_of(Text text);

// "Scenario 2: Database Corruption/Loss", "Step 1: Assess (5 minutes)", "2.1 Complete
// System Recovery", "Option A: Restart (5-10 minutes)", "Scale Up (if capacity issue)".
struct TitleParts {
  std::string label;   // "scenario", "step", "phase", "option", "level", "appendix" or ""
  std::string number;  // "2", "A", "2.1"
  Text title;
  std::optional<Length> length;
  Text length_text;
  std::string condition;  // "if capacity issue", "optional"
  Text frequency;         // "Daily at 2 AM UTC"
};
TitleParts parse_title(const Text& title);

// The interval of five fields of a crontab, and where the command after them begins; null
// when the line is none.
struct CronLine {
  std::string expression, command;
  std::optional<Duration> interval;
};
std::optional<CronLine> parse_cron(std::string_view line);

// "Daily at 2 AM UTC", "Weekly backup verification process", "every 15 minutes", "Run quarterly".
std::optional<Duration> parse_frequency(std::string_view text);

// Lower-case words, without punctuation, emoji and numbering.
std::vector<std::string> words_of(std::string_view text);
// Whether both have a word of more than three letters: "of" and "API" join what has nothing in common.
bool share_word(std::string_view a, std::string_view b);
std::string lower(std::string_view text);
std::string trim(std::string_view text);
// "Database Corruption/Loss" -> "database-corruption-loss"; at most 48 bytes.
std::string slug(std::string_view text);

}  // namespace holdfast::runbook
