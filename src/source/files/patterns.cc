#include "source/files/patterns.h"

#include "source/files/faults.h"

namespace holdfast::files {
namespace {

// The part of `text` behind its last '/'.
std::string_view name_of(std::string_view text) {
  const size_t slash = text.rfind('/');
  return slash == std::string_view::npos ? text : text.substr(slash + 1);
}

// Matches `c` against the class at the front of `pattern` ("[...]") and takes
// the class away. An unclosed class matches nothing.
bool class_matches(std::string_view& pattern, char c) {
  size_t i = 1;
  const bool negated = i < pattern.size() && (pattern[i] == '!' || pattern[i] == '^');
  if (negated) i++;
  bool found = false;
  const auto value = static_cast<unsigned char>(c);
  for (bool first = true; i < pattern.size() && (first || pattern[i] != ']'); first = false) {
    if (pattern[i] == '\\' && i + 1 < pattern.size()) i++;
    const auto low = static_cast<unsigned char>(pattern[i++]);
    auto high = low;
    if (i + 1 < pattern.size() && pattern[i] == '-' && pattern[i + 1] != ']') {
      high = static_cast<unsigned char>(pattern[i + 1]);
      i += 2;
    }
    if (low <= value && value <= high) found = true;
  }
  if (i >= pattern.size()) return false;
  pattern.remove_prefix(i + 1);
  return found != negated;
}

// "**" as a whole part at the front of `pattern`: tries the rest at this part
// of `text` and at every later one.
bool crosses(std::string_view pattern, std::string_view text) {
  pattern.remove_prefix(2);
  if (pattern.empty()) return true;
  pattern.remove_prefix(1);  // '/'
  while (true) {
    if (glob_matches(pattern, text)) return true;
    const size_t slash = text.find('/');
    if (slash == std::string_view::npos) return false;
    text.remove_prefix(slash + 1);
  }
}

bool is_crossing(std::string_view pattern) {
  return pattern.starts_with("**") && (pattern.size() == 2 || pattern[2] == '/');
}

bool star_matches(std::string_view pattern, std::string_view text) {
  while (!pattern.empty() && pattern[0] == '*') pattern.remove_prefix(1);
  for (size_t taken = 0;; taken++) {
    if (glob_matches(pattern, text.substr(taken))) return true;
    if (taken >= text.size() || text[taken] == '/') return false;
  }
}

bool has_wildcard(std::string_view text) { return text.find_first_of("*?[\\") != std::string_view::npos; }

}  // namespace

bool glob_matches(std::string_view pattern, std::string_view text) {
  bool part_begins = true;
  while (!pattern.empty()) {
    if (part_begins && is_crossing(pattern)) return crosses(pattern, text);
    if (pattern[0] == '*') return star_matches(pattern, text);
    if (text.empty()) return false;
    const char c = text[0];
    if (pattern[0] == '?') {
      if (c == '/') return false;
      pattern.remove_prefix(1);
    } else if (pattern[0] == '[') {
      if (c == '/' || !class_matches(pattern, c)) return false;
    } else {
      if (pattern[0] == '\\' && pattern.size() > 1) pattern.remove_prefix(1);
      if (pattern[0] != c) return false;
      pattern.remove_prefix(1);
    }
    part_begins = c == '/';
    text.remove_prefix(1);
  }
  return text.empty();
}

Result<ExcludePatterns> ExcludePatterns::create(const std::vector<std::string>& patterns) {
  ExcludePatterns result;
  for (const auto& text : patterns) result.patterns_.push_back(TRY(parse(text)));
  return result;
}

Result<ExcludePatterns::Pattern> ExcludePatterns::parse(std::string_view text) {
  const std::string_view whole = text;
  const auto refuse = [&](const char* why) {
    return make_error(ErrorCode::kConfig, "exclude pattern '{}' {}", display_path(whole), why);
  };
  Pattern pattern;
  if (text.starts_with('!')) {
    pattern.negated = true;
    text.remove_prefix(1);
  }
  if (text.ends_with('/')) {
    pattern.directories_only = true;
    while (text.ends_with('/')) text.remove_suffix(1);
  }
  if (text.starts_with('/')) {
    pattern.scope = Scope::kAbsolute;
    while (text.starts_with('/')) text.remove_prefix(1);
  } else if (text.find('/') != std::string_view::npos) {
    pattern.scope = Scope::kBelowRoot;
  }
  if (text.empty()) return refuse("is empty");
  for (size_t i = 0; i < text.size(); i++) {
    if (text[i] == '\\')
      i++;
    else if (text[i] == '[' && text.find(']', i + 2) == std::string_view::npos)
      return refuse("has '[' without ']'");
  }
  pattern.text = text;
  return pattern;
}

bool ExcludePatterns::excludes(std::string_view path, std::string_view below_root, bool is_directory) const {
  for (auto pattern = patterns_.rbegin(); pattern != patterns_.rend(); ++pattern) {
    if (pattern->directories_only && !is_directory) continue;
    const std::string_view text = pattern->scope == Scope::kName       ? name_of(path)
                                  : pattern->scope == Scope::kAbsolute ? path
                                                                       : below_root;
    if (glob_matches(pattern->text, text)) return !pattern->negated;
  }
  return false;
}

Choice::Choice(const std::vector<std::string>& wanted, std::optional<std::string> never, IsTooLong is_too_long)
    : never_(std::move(never)), is_too_long_(std::move(is_too_long)) {
  for (std::string_view text : wanted) {
    while (text.starts_with('/')) text.remove_prefix(1);
    while (text.ends_with('/')) text.remove_suffix(1);
    wanted_.emplace_back(text);
  }
}

bool Choice::avoids(std::string_view path) const {
  if (!never_ || !path.starts_with(*never_)) return false;
  return never_->empty() || path.size() == never_->size() || path[never_->size()] == '/';
}

bool Choice::is_chosen(std::string_view path) const {
  if (avoids(path)) return false;
  if (everything() || names("") || names(path)) return true;
  for (size_t slash = path.find('/'); slash != std::string_view::npos; slash = path.find('/', slash + 1)) {
    if (names(path.substr(0, slash))) return true;
  }
  return false;
}

bool Choice::names(std::string_view path) const {
  for (const auto& wanted : wanted_) {
    if (wanted == path) return true;
    if (!has_wildcard(wanted)) continue;
    const bool by_name = wanted.find('/') == std::string::npos;
    if (glob_matches(wanted, by_name ? name_of(path) : path)) return true;
  }
  return false;
}

}  // namespace holdfast::files
