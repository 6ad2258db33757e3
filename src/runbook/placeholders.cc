#include "runbook/placeholders.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "runbook/phrases.h"

namespace holdfast::runbook {

namespace {

bool is_alpha(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; }
bool is_alnum(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; }
bool is_word(char c) { return is_alnum(c) || c == '_' || c == '-'; }

char at(std::string_view text, size_t place) { return place < text.size() ? text[place] : '\0'; }

constexpr size_t kLongest_bytes = 60;

std::string name_of(std::string_view words) {
  std::string name;
  for (const char c : words) name += is_alnum(c) ? static_cast<char>(std::tolower(static_cast<unsigned char>(c))) : '_';
  return name;
}

bool is_html_tag(std::string_view inside) {
  constexpr std::array<std::string_view, 16> kTags = {"b",  "i",  "p",    "br",   "hr",   "div",     "span",    "a",
                                                      "ul", "li", "html", "body", "code", "details", "summary", "em"};
  return std::find(kTags.begin(), kTags.end(), inside) != kTags.end();
}

// "<pod-name>", "<see secrets manager>": letters first, nothing that a redirection would need.
size_t angle_end(std::string_view text, size_t begin) {
  if (at(text, begin) != '<' || !is_alpha(at(text, begin + 1))) return 0;
  if (begin > 0 && (text[begin - 1] == '<' || text[begin - 1] == '&')) return 0;
  for (size_t place = begin + 1; place < text.size() && place - begin < kLongest_bytes; place++) {
    const char c = text[place];
    if (c == '>') {
      const bool valid = text[place - 1] != ' ' && !is_html_tag(text.substr(begin + 1, place - begin - 1));
      return valid ? place + 1 : 0;
    }
    if (!is_word(c) && c != ' ' && c != '.' && c != '/' && c != ':') return 0;
  }
  return 0;
}

// "{environment}": a name alone, neither ${x} nor {{x}} nor {a,b}.
size_t brace_end(std::string_view text, size_t begin) {
  if (at(text, begin) != '{' || !is_alpha(at(text, begin + 1))) return 0;
  if (begin > 0 &&
      (text[begin - 1] == '$' || text[begin - 1] == '{' || text[begin - 1] == '@' || text[begin - 1] == '%'))
    return 0;
  size_t place = begin + 1;
  while (place < text.size() && place - begin < kLongest_bytes && is_word(text[place])) place++;
  return at(text, place) == '}' && at(text, place + 1) != '}' ? place + 1 : 0;
}

// "[service]", "[Contact Information]": words of letters.
size_t bracket_end(std::string_view text, size_t begin, bool prose) {
  if (at(text, begin) != '[' || !is_alpha(at(text, begin + 1))) return 0;
  if (begin > 0 && prose && is_alnum(text[begin - 1])) return 0;
  if (begin > 0 && !prose && text[begin - 1] != ' ' && text[begin - 1] != '=' && text[begin - 1] != '"') return 0;
  size_t place = begin + 1;
  while (place < text.size() && place - begin < kLongest_bytes &&
         (is_word(text[place]) || text[place] == ' ' ||
          (prose && (text[place] == '/' || text[place] == ',' || text[place] == '?' || text[place] == '.'))))
    place++;
  if (at(text, place) != ']' || place - begin < 4) return 0;
  if (at(text, place + 1) == '(' || at(text, place + 1) == '[' || at(text, place + 1) == ':') return 0;
  return place + 1;
}

size_t word_end(std::string_view text, size_t begin) {
  size_t place = begin;
  while (place < text.size() && (is_word(text[place]))) place++;
  return place;
}

// YOUR_ZONE_ID, your-org, CHANGEME, TBD, XXX, xxx-xxx-xxxx.
bool is_marker(std::string_view word, bool prose) {
  if (word.starts_with("YOUR_") || word.starts_with("YOUR-") || word.starts_with("your-") || word.starts_with("your_"))
    return word.size() > 5;
  if (word == "CHANGEME" || word == "CHANGE_ME" || word == "REPLACE_ME" || word == "FIXME") return true;
  if (word == "TBD" || word == "TBA") return true;
  if (prose && word == "TODO") return true;
  bool crosses = false;
  size_t run = 0;
  for (const char c : word) {
    run = c == 'x' || c == 'X' ? run + 1 : 0;
    crosses = crosses || run >= 3;
    if (!(c == 'x' || c == 'X' || c == '-' || c == '_' || is_alnum(c))) return false;
  }
  if (!crosses) return false;
  // A run of crosses that stands for itself, not inside of a word.
  size_t place = 0;
  while (place < word.size()) {
    size_t end = place;
    while (end < word.size() && word[end] != '-' && word[end] != '_') end++;
    const std::string_view part = word.substr(place, end - place);
    if (part.size() >= 3 && part.find_first_not_of("xX") == std::string_view::npos) return true;
    place = end + 1;
  }
  return false;
}

void add(std::vector<FoundPlaceholder>& found, std::string_view text, size_t begin, size_t end, size_t margin) {
  FoundPlaceholder placeholder;
  placeholder.text = std::string(text.substr(begin, end - begin));
  placeholder.name = name_of(text.substr(begin + margin, end - begin - 2 * margin));
  placeholder.span = {static_cast<uint32_t>(begin), static_cast<uint32_t>(end)};
  found.push_back(std::move(placeholder));
}

size_t delimited_end(std::string_view text, size_t place, bool prose, bool quoted) {
  if (const size_t end = angle_end(text, place)) return end;
  if (!quoted)
    if (const size_t end = brace_end(text, place)) return end;
  if (!quoted || prose)
    if (const size_t end = bracket_end(text, place, prose)) return end;
  return 0;
}

// Where a path of the kind "path/to/vault.db" begins.
bool is_sample_path(std::string_view text, size_t place) {
  const bool begins = place == 0 || text[place - 1] == ' ' || text[place - 1] == '/' || text[place - 1] == '=' ||
                      text[place - 1] == '"';
  return begins && text.substr(place).starts_with("path/to/");
}

size_t sample_path_end(std::string_view text, size_t place) {
  while (place < text.size() && (is_word(text[place]) || text[place] == '/' || text[place] == '.')) place++;
  return place;
}

std::vector<FoundPlaceholder> find(std::string_view text, bool prose) {
  std::vector<FoundPlaceholder> found;
  bool single_quoted = false;
  size_t place = 0;
  while (place < text.size()) {
    if (!prose && text[place] == '\'') single_quoted = !single_quoted;
    if (text[place] == '\n') single_quoted = false;
    if (const size_t end = delimited_end(text, place, prose, single_quoted)) {
      add(found, text, place, end, 1);
      place = end;
    } else if (is_sample_path(text, place)) {
      const size_t end_of_path = sample_path_end(text, place);
      add(found, text, place, end_of_path, 0);
      place = end_of_path;
    } else if (is_word(text[place])) {
      const size_t end_of_word = word_end(text, place);
      const bool variable = place > 0 && (text[place - 1] == '$' || text[place - 1] == '{');
      if (!variable && is_marker(text.substr(place, end_of_word - place), prose))
        add(found, text, place, end_of_word, 0);
      place = end_of_word;
    } else {
      place++;
    }
  }
  return found;
}

}  // namespace

std::vector<FoundPlaceholder> placeholders_in_code(std::string_view code) { return find(code, false); }
std::vector<FoundPlaceholder> placeholders_in_prose(std::string_view prose) { return find(prose, true); }

void collect_placeholders(const std::vector<markdown::Inline>& inlines, std::vector<Placeholder>& found) {
  using Kind = markdown::Inline::Kind;
  for (size_t index = 0; index < inlines.size(); index++) {
    const markdown::Inline& part = inlines[index];
    collect_placeholders(part.children, found);
    if (part.kind != Kind::kText && part.kind != Kind::kCode && part.kind != Kind::kHtml) continue;
    // Text that cmark cut at a bracket is joined again: "[", "Contact Information", "]".
    std::string text = part.text;
    size_t last = index;
    while (part.kind == Kind::kText && last + 1 < inlines.size() && inlines[last + 1].kind == Kind::kText)
      text += inlines[++last].text;
    for (FoundPlaceholder& each : placeholders_in_prose(text)) {
      Placeholder placeholder{std::move(each.text), std::move(each.name), {part.range.begin, part.range.begin}};
      placeholder.range.begin.column += each.span.begin;
      placeholder.range.end.column += each.span.end;
      found.push_back(std::move(placeholder));
    }
    index = last;
  }
}

std::string without_angles(std::string_view code) {
  std::string result(code);
  for (size_t place = 0; place < code.size(); place++) {
    const size_t end = angle_end(code, place);
    if (end == 0) continue;
    for (size_t each = place; each < end; each++)
      if (!is_word(result[each]) && result[each] != '.') result[each] = '_';
    place = end - 1;
  }
  return result;
}

bool looks_like_placeholder(std::string_view value) {
  const std::string whole = trim(value);
  if (whole.empty() || whole == "..." || whole == "-") return true;
  const auto found = find(whole, true);
  return found.size() == 1 && found[0].text.size() == whole.size();
}

}  // namespace holdfast::runbook
