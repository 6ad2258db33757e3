#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <set>

#include "runbook/phrases.h"

// How often: crontab fields and words.

namespace holdfast::runbook {

namespace {

struct Field {
  int least, most;
};
constexpr std::array<Field, 5> kFields = {{{0, 59}, {0, 23}, {1, 31}, {1, 12}, {0, 7}}};
constexpr std::array<std::string_view, 19> kNames = {"jan", "feb", "mar", "apr", "may", "jun", "jul",
                                                     "aug", "sep", "oct", "nov", "dec", "sun", "mon",
                                                     "tue", "wed", "thu", "fri", "sat"};

std::optional<int> value_of(std::string_view text, size_t field) {
  if (text.empty() || text.size() > 3) return std::nullopt;
  const auto* name = std::find(kNames.begin(), kNames.end(), lower(text));
  if (name != kNames.end()) {
    const auto index = static_cast<int>(name - kNames.begin());
    if (field == 3 && index < 12) return index + 1;
    if (field == 4 && index >= 12) return index - 12;
    return std::nullopt;
  }
  if (!std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; })) return std::nullopt;
  const int value = std::atoi(std::string(text).c_str());
  if (value < kFields[field].least || value > kFields[field].most) return std::nullopt;
  return value;
}

// One part between commas: "*", "*/5", "3", "1-5", "1-30/2".
bool add_part(std::string_view part, size_t field, std::set<int>& values) {
  int step = 1;
  const size_t slash = part.find('/');
  if (slash != std::string_view::npos) {
    const std::string steps(part.substr(slash + 1));
    step = std::atoi(steps.c_str());
    if (step <= 0 || steps.find_first_not_of("0123456789") != std::string::npos) return false;
    part = part.substr(0, slash);
  }
  int first = kFields[field].least, last = kFields[field].most;
  if (part != "*") {
    const size_t dash = part.find('-');
    const auto begin = value_of(part.substr(0, dash), field);
    const auto end = dash == std::string_view::npos ? begin : value_of(part.substr(dash + 1), field);
    if (!begin || !end || *end < *begin) return false;
    first = *begin;
    if (dash != std::string_view::npos || slash == std::string_view::npos) last = *end;
  }
  for (int value = first; value <= last; value += step) values.insert(value);
  return true;
}

std::optional<std::set<int>> field_values(std::string_view text, size_t field) {
  std::set<int> values;
  while (true) {
    const size_t comma = text.find(',');
    if (!add_part(text.substr(0, comma), field, values)) return std::nullopt;
    if (comma == std::string_view::npos) return values;
    text = text.substr(comma + 1);
  }
}

// The longest time between two runs, as far as fields of this kind tell.
Duration interval_of(const std::array<std::set<int>, 5>& values, const std::array<bool, 5>& any) {
  if (!any[4] && values[4].size() < 7) return Duration::hours(24 * 7 / static_cast<int64_t>(values[4].size()));
  if (!any[3]) return Duration::hours(24 * 365 / static_cast<int64_t>(values[3].size()));
  if (!any[2]) return Duration::hours(24 * 30 / static_cast<int64_t>(values[2].size()));
  const auto longest_gap = [](const std::set<int>& set, int period) {
    int gap = 0, before = *set.rbegin() - period;
    for (const int value : set) {
      gap = std::max(gap, value - before);
      before = value;
    }
    return gap;
  };
  if (values[1].size() < 24) return Duration::hours(longest_gap(values[1], 24));
  return Duration::seconds(60LL * longest_gap(values[0], 60));
}

}  // namespace

std::optional<CronLine> parse_cron(std::string_view line) {
  CronLine cron;
  std::array<std::set<int>, 5> values;
  std::array<bool, 5> any{};
  size_t place = 0;
  for (size_t field = 0; field < kFields.size(); field++) {
    place = line.find_first_not_of(" \t", place);
    if (place == std::string_view::npos) return std::nullopt;
    const size_t end = std::min(line.find_first_of(" \t", place), line.size());
    const std::string_view text = line.substr(place, end - place);
    auto read = field_values(text, field);
    if (!read || text.size() > 64) return std::nullopt;
    any[field] = text == "*";
    values[field] = std::move(*read);
    cron.expression += (field > 0 ? " " : "") + std::string(text);
    place = end;
  }
  cron.command = trim(line.substr(place));
  if (cron.command.empty()) return std::nullopt;
  cron.interval = interval_of(values, any);
  return cron;
}

namespace {

// Behind the next word "every" of a lower-case text; the text's size when there is none.
size_t every_at(std::string_view small, size_t from) {
  constexpr std::string_view kEvery = "every";
  const auto letter = [&](size_t place) {
    return place < small.size() && std::isalnum(static_cast<unsigned char>(small[place])) != 0;
  };
  for (size_t place = small.find(kEvery, from); place != std::string_view::npos; place = small.find(kEvery, place + 1))
    if ((place == 0 || !letter(place - 1)) && !letter(place + kEvery.size())) return place + kEvery.size();
  return small.size();
}

// "15 minutes", "1 hour 30 minutes": the number has to have its unit.
std::optional<Duration> length_in_front(std::string_view rest) {
  size_t two_words = std::min(rest.find(' '), rest.size());
  two_words = std::min(rest.find(' ', std::min(two_words + 1, rest.size())), rest.size());
  if (!parse_length(rest.substr(0, two_words))) return std::nullopt;
  return parse_length(rest)->most;
}

// "15 minutes from 8 to 18", "night at 2": what stands right behind "every" says how often.
std::optional<Duration> interval_after(std::string_view behind) {
  constexpr size_t kLongest_bytes = 40;
  const std::string rest = trim(behind.substr(0, kLongest_bytes));
  if (!rest.empty() && std::isdigit(static_cast<unsigned char>(rest[0])) != 0) return length_in_front(rest);
  const std::vector<std::string> words = words_of(rest);
  if (words.empty()) return std::nullopt;
  const std::string& unit = words.front();
  if (unit == "minute") return Duration::seconds(60);
  if (unit == "hour") return Duration::hours(1);
  if (unit == "day" || unit == "night") return Duration::hours(24);
  if (unit == "week") return Duration::hours(168);
  if (unit == "month") return Duration::hours(720);
  if (unit == "quarter") return Duration::hours(2190);
  if (unit == "year") return Duration::hours(8760);
  return std::nullopt;
}

}  // namespace

std::optional<Duration> parse_frequency(std::string_view text) {
  struct Word {
    std::string_view word;
    int64_t hours;
  };
  constexpr Word kWords[] = {{"hourly", 1},     {"daily", 24},    {"nightly", 24},     {"weekly", 168},
                             {"biweekly", 336}, {"monthly", 720}, {"quarterly", 2190}, {"annually", 8760},
                             {"annual", 8760},  {"yearly", 8760}};
  const std::vector<std::string> words = words_of(text);
  for (const std::string& word : words)
    for (const Word& known : kWords)
      if (known.word == word) return Duration::hours(known.hours);
  const std::string small = lower(text);
  for (size_t place = every_at(small, 0); place < small.size(); place = every_at(small, place))
    if (const auto interval = interval_after(std::string_view(small).substr(place))) return interval;
  return std::nullopt;
}

}  // namespace holdfast::runbook
