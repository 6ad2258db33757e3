#include "runbook/phrases.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

namespace holdfast::runbook {

namespace {

struct Unit {
  std::string_view name;
  int64_t seconds;
};
constexpr Unit kUnits[] = {
    {"seconds", 1},      {"second", 1},      {"secs", 1},      {"sec", 1},        {"s", 1},         {"sekunden", 1},
    {"minutes", 60},     {"minute", 60},     {"mins", 60},     {"min", 60},       {"m", 60},        {"minuten", 60},
    {"minutos", 60},     {"minuti", 60},     {"hours", 3600},  {"hour", 3600},    {"hrs", 3600},    {"hr", 3600},
    {"h", 3600},         {"stunden", 3600},  {"stunde", 3600}, {"heures", 3600},  {"heure", 3600},  {"horas", 3600},
    {"hora", 3600},      {"ore", 3600},      {"days", 86400},  {"day", 86400},    {"d", 86400},     {"tage", 86400},
    {"tag", 86400},      {"jours", 86400},   {"dias", 86400},  {"weeks", 604800}, {"week", 604800}, {"w", 604800},
    {"months", 2592000}, {"month", 2592000},
};

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_alpha(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; }
bool is_space(char c) { return c == ' ' || c == '\t'; }

// Reads a text from left to right.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}
  void skip_spaces() {
    while (!done() && is_space(text_[place_])) place_++;
  }
  bool done() const { return place_ >= text_.size(); }
  char peek() const { return done() ? '\0' : text_[place_]; }
  void advance() { place_++; }
  std::optional<double> number() {
    skip_spaces();
    size_t end = place_;
    while (end < text_.size() &&
           (is_digit(text_[end]) || (text_[end] == '.' && end + 1 < text_.size() && is_digit(text_[end + 1]))))
      end++;
    if (end == place_ || end - place_ > 9) return std::nullopt;
    double value = 0;
    const auto read = std::from_chars(text_.data() + place_, text_.data() + end, value);
    if (read.ec != std::errc()) return std::nullopt;
    place_ = end;
    return value;
  }
  std::string word() {
    skip_spaces();
    std::string read;
    while (!done() && is_alpha(text_[place_]))
      read += static_cast<char>(std::tolower(static_cast<unsigned char>(text_[place_++])));
    return read;
  }
  bool literal(std::string_view expected) {
    const size_t before = place_;
    skip_spaces();
    if (text_.substr(place_).starts_with(expected)) {
      place_ += expected.size();
      return true;
    }
    place_ = before;
    return false;
  }
  size_t place() const { return place_; }
  void back_to(size_t place) { place_ = place; }

 private:
  std::string_view text_;
  size_t place_ = 0;
};

std::optional<int64_t> unit_seconds(const std::string& word) {
  for (const Unit& unit : kUnits)
    if (unit.name == word) return unit.seconds;
  return std::nullopt;
}

bool dash(Scanner& scanner) {
  return scanner.literal("-") || scanner.literal("\xE2\x80\x93") || scanner.literal("\xE2\x80\x94") ||
         scanner.literal("to ");
}

Duration of(double amount, int64_t unit) {
  return Duration::nanoseconds(static_cast<int64_t>(amount * static_cast<double>(unit)) * 1'000'000'000);
}

// At a digit: "15", "15-20 minutes", "1 hour 30 minutes", "15+ min".
std::optional<Length> length_at(Scanner& scanner) {
  const auto first = scanner.number();
  if (!first) return std::nullopt;
  Length length;
  const std::string early = scanner.word();
  const auto early_unit = unit_seconds(early);
  if (!early.empty() && !early_unit) return std::nullopt;
  if (scanner.literal("+")) length.open = true;
  const size_t before_dash = scanner.place();
  std::optional<double> second;
  if (dash(scanner)) second = scanner.number();
  if (!second) scanner.back_to(before_dash);
  std::optional<int64_t> unit = early_unit;
  if (!unit || second) {
    const auto late_unit = unit_seconds(scanner.word());
    if (!unit) unit = late_unit;
    if (!unit && *first == 0.0 && !second) unit = 1;
    if (!unit) return std::nullopt;
    const int64_t second_unit = late_unit.value_or(*unit);
    length.least = of(*first, early_unit.value_or(*unit));
    length.most = of(second.value_or(*first), second ? second_unit : *unit);
    if (*length.most < *length.least) return std::nullopt;
  } else {
    length.least = length.most = of(*first, *unit);
    const size_t place = scanner.place();
    const auto more = scanner.number();
    const auto more_unit = more ? unit_seconds(scanner.word()) : std::nullopt;
    if (more && more_unit && *more_unit < *unit) {
      length.least = length.most = *length.most + of(*more, *more_unit);
    } else {
      scanner.back_to(place);
    }
  }
  if (length.open) length.most.reset();
  return length;
}

// Digits that belong to a name ("P1", "us-east-1") say no time.
bool inside_name(std::string_view text, size_t place) {
  if (place == 0) return false;
  const char before = text[place - 1];
  if (before == '-') return place > 1 && is_alpha(text[place - 2]);
  return is_alpha(before) || is_digit(before);
}

bool contains_word(const std::vector<std::string>& words, std::initializer_list<std::string_view> wanted) {
  return std::any_of(words.begin(), words.end(), [&](const std::string& word) {
    return std::find(wanted.begin(), wanted.end(), word) != wanted.end();
  });
}

}  // namespace

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

std::string trim(std::string_view text) {
  while (!text.empty() && (is_space(text.front()) || text.front() == '\n' || text.front() == '\r'))
    text.remove_prefix(1);
  while (!text.empty() && (is_space(text.back()) || text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
  return std::string(text);
}

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  for (const char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '\'') {
      word += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    } else if (!word.empty()) {
      words.push_back(std::move(word));
      word.clear();
    }
  }
  if (!word.empty()) words.push_back(std::move(word));
  return words;
}

bool share_word(std::string_view a, std::string_view b) {
  const std::vector<std::string> first = words_of(a), second = words_of(b);
  return std::any_of(first.begin(), first.end(), [&](const std::string& word) {
    return word.size() > 3 && std::find(second.begin(), second.end(), word) != second.end();
  });
}

std::string slug(std::string_view text) {
  constexpr size_t kLongest_bytes = 48;
  std::string result;
  for (const std::string& word : words_of(text)) {
    if (!result.empty() && result.size() + word.size() + 1 > kLongest_bytes) break;
    result += (result.empty() ? "" : "-") + word.substr(0, kLongest_bytes);
  }
  std::erase(result, '\'');
  return result;
}

std::optional<Length> parse_length(std::string_view text) {
  const std::vector<std::string> words = words_of(text);
  const std::string whole = lower(trim(text));
  if (whole == "n/a" || whole == "none" || whole == "-" || whole == "not applicable") {
    Length none;
    none.not_applicable = true;
    return none;
  }
  Scanner scanner(text);
  while (!scanner.done()) {
    if (is_digit(scanner.peek()) && !inside_name(text, scanner.place())) {
      const size_t place = scanner.place();
      if (auto length = length_at(scanner)) {
        length->from_start = contains_word(words, {"within", "first"});
        length->every = contains_word(words, {"every", "each"});
        return length;
      }
      scanner.back_to(place);
    }
    scanner.advance();
  }
  if (contains_word(words, {"immediate", "immediately", "instant"}) && words.size() <= 3) {
    Length now;
    now.least = now.most = Duration();
    return now;
  }
  return std::nullopt;
}

Target target_of(Text text) {
  Target target;
  if (const auto length = parse_length(text.text)) {
    target.least = length->least;
    target.most = length->most;
    target.not_applicable = length->not_applicable;
  }
  target.text = std::move(text);
  return target;
}

namespace {

// Columns move with what is cut off in front; a title stands on one line.
void cut_front(Text& text, size_t bytes) {
  while (bytes < text.text.size() && is_space(text.text[bytes])) bytes++;
  text.text.erase(0, bytes);
  if (text.range.begin.line == text.range.end.line) text.range.begin.column += static_cast<uint32_t>(bytes);
}

// How many bytes a sign or an emoji has that begins at `place`; 0 for ASCII, and for letters of any script.
size_t symbol_at(std::string_view text, size_t place) {
  const auto byte = [&](size_t index) -> uint32_t {
    return index < text.size() ? static_cast<unsigned char>(text[index]) : 0;
  };
  const uint32_t first = byte(place);
  if (first < 0x80) return 0;
  if (first < 0xC3) return first < 0xC2 ? 1 : 2;  // a stray byte; U+0080 to U+00BF
  const uint32_t tail = ((byte(place + 1) & 0x3F) << 6) | (byte(place + 2) & 0x3F);
  if (first < 0xE0) return 0;
  if (first >= 0xF0) return byte(place + 1) == 0x9F || first > 0xF0 ? 4 : 0;  // U+1F000 and above; below are letters
  const uint32_t code = ((first & 0x0F) << 12) | tail;
  const bool letter = code < 0x2000 || (code >= 0x2C00 && code < 0x2E00) || (code >= 0x3040 && code < 0xD800) ||
                      (code >= 0xF900 && code < 0xFE00);
  return letter ? 0 : 3;
}

void cut_symbols(Text& text) {
  size_t bytes = 0;
  while (bytes < text.text.size()) {
    const size_t symbol = is_space(text.text[bytes]) ? 1 : symbol_at(text.text, bytes);
    if (symbol == 0) break;
    bytes = std::min(bytes + symbol, text.text.size());
  }
  const bool letters_follow = bytes > 0 && bytes < text.text.size() && is_space(text.text[bytes - 1]);
  if (letters_follow) cut_front(text, bytes);
}

// "(ncn-mw#) Verify": where it is typed.
void cut_prompt(Text& text) {
  const size_t close = text.text.find(')');
  if (!text.text.starts_with("(") || close == std::string::npos || close < 2 || close > 40) return;
  const char mark = text.text[close - 1];
  if (mark == '#' || mark == '$' || mark == '>') cut_front(text, close + 1);
}

// "Scenario 1:", "Option B -", "Phase 2.".
bool read_label(TitleParts& parts) {
  constexpr std::array<std::string_view, 9> kLabels = {"scenario", "step",  "phase", "option", "level",
                                                       "appendix", "stage", "part",  "method"};
  Scanner scanner(parts.title.text);
  const std::string word = scanner.word();
  if (std::find(kLabels.begin(), kLabels.end(), word) == kLabels.end()) return false;
  scanner.skip_spaces();
  std::string number;
  while (is_digit(scanner.peek()) || is_alpha(scanner.peek()) || (scanner.peek() == '.' && !number.empty())) {
    number += scanner.peek();
    scanner.advance();
  }
  const bool single_letter = number.size() == 1 && is_alpha(number[0]);
  if (!number.empty() && !is_digit(number[0]) && !single_letter) return false;
  while (number.ends_with(".")) number.pop_back();
  scanner.skip_spaces();
  const bool separated = scanner.literal(":") || scanner.literal("-") || scanner.literal("\xE2\x80\x93") ||
                         scanner.literal("\xE2\x80\x94") || scanner.literal(".") || scanner.literal(")");
  if (!separated && !(scanner.done() && !number.empty())) return false;
  parts.label = word;
  parts.number = number;
  cut_front(parts.title, scanner.place());
  return true;
}

// "2. ", "2.1 ", "3a) ".
void read_number(TitleParts& parts) {
  const std::string& text = parts.title.text;
  size_t end = 0;
  while (end < text.size() && is_digit(text[end])) end++;
  if (end == 0 || end > 3) return;
  while (end + 1 < text.size() && text[end] == '.' && is_digit(text[end + 1])) {
    end++;
    while (end < text.size() && is_digit(text[end])) end++;
  }
  std::string number = text.substr(0, end);
  if (end + 1 < text.size() && is_alpha(text[end]) && (text[end + 1] == '.' || text[end + 1] == ')'))
    number += text[end++];
  const bool dotted = end < text.size() && (text[end] == '.' || text[end] == ')' || text[end] == ':');
  if (dotted) end++;
  if (end >= text.size() || !is_space(text[end])) return;
  if (!dotted && number.find('.') == std::string::npos) return;
  parts.number = number;
  cut_front(parts.title, end);
}

void read_parentheses(TitleParts& parts) {
  std::string& text = parts.title.text;
  std::string_view rest = text;
  while (rest.ends_with(":")) rest.remove_suffix(1);
  const size_t close = rest.rfind(')');
  const size_t open = close == std::string_view::npos ? close : rest.rfind('(', close);
  if (open == std::string_view::npos || open == 0) return;
  const std::string inside(rest.substr(open + 1, close - open - 1));
  const std::string small = lower(inside);
  const bool tail = close + 1 == rest.size();
  auto length = parse_length(inside);
  if (length && length->every) length.reset();
  const bool conditional = small.starts_with("if ") || small == "optional" || small.starts_with("only ") ||
                           small.starts_with("when ") || small.starts_with("last resort");
  if (length && !length->not_applicable && !conditional) {
    parts.length = length;
    parts.length_text.text = inside;
    parts.length_text.range = parts.title.range;
    if (parts.title.range.begin.line == parts.title.range.end.line) {
      parts.length_text.range.begin.column += static_cast<uint32_t>(open) + 1;
      parts.length_text.range.end = parts.length_text.range.begin;
      parts.length_text.range.end.column += static_cast<uint32_t>(inside.size());
    }
  } else if (conditional) {
    parts.condition = inside;
  } else if (parse_frequency(inside)) {
    parts.frequency = {inside, parts.title.range};
  } else {
    return;
  }
  if (!tail) return;
  parts.title.text = trim(std::string_view(text).substr(0, open));
  if (parts.title.range.begin.line == parts.title.range.end.line)
    parts.title.range.end.column = parts.title.range.begin.column + static_cast<uint32_t>(parts.title.text.size());
}

}  // namespace

TitleParts parse_title(const Text& title) {
  TitleParts parts;
  parts.title = title;
  cut_symbols(parts.title);
  cut_prompt(parts.title);
  if (!read_label(parts)) {
    read_number(parts);
    const std::string number = parts.number;
    if (read_label(parts) && parts.number.empty()) parts.number = number;
  }
  read_parentheses(parts);
  while (parts.title.text.ends_with(":")) parts.title.text.pop_back();
  parts.title.text = trim(parts.title.text);
  return parts;
}

}  // namespace holdfast::runbook
