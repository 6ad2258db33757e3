#include "source/files/patterns.h"

#include <algorithm>

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

bool is_crossing(std::string_view pattern) {
  return pattern.starts_with("**") && (pattern.size() == 2 || pattern[2] == '/');
}

// Matches `c` against what stands for one character at the front of `pattern`, which is no
// '*', and takes that away.
bool one_matches(std::string_view& pattern, char c) {
  if (pattern[0] == '[') return c != '/' && class_matches(pattern, c);
  const bool any = pattern[0] == '?';
  if (pattern[0] == '\\' && pattern.size() > 1) pattern.remove_prefix(1);
  const bool matches = any ? c != '/' : pattern[0] == c;
  pattern.remove_prefix(1);
  return matches;
}

// Goes through the text once, and back only to the last '*' of the same part and to the last
// "**": what an earlier one could take besides, the later one can take as well.
class Matching {
 public:
  Matching(std::string_view pattern, std::string_view text) : pattern_(pattern), text_(text) {}

  bool run() {
    while (true) {
      if (part_begins_ && is_crossing(pattern_)) {
        if (pattern_.size() == 2) return true;
        pattern_.remove_prefix(3);
        cross_ = {pattern_, text_};
        star_.reset();
      } else if (!pattern_.empty() && pattern_[0] == '*') {
        pattern_.remove_prefix(std::min(pattern_.find_first_not_of('*'), pattern_.size()));
        star_ = {pattern_, text_};
        part_begins_ = false;
      } else if (pattern_.empty() && text_.empty()) {
        return true;
      } else if (!step() && !widen_star() && !widen_cross()) {
        return false;
      }
    }
  }

 private:
  struct Place {
    std::string_view pattern, text;
  };

  bool step() {
    if (pattern_.empty() || text_.empty() || !one_matches(pattern_, text_[0])) return false;
    part_begins_ = text_[0] == '/';
    if (part_begins_) star_.reset();
    text_.remove_prefix(1);
    return true;
  }
  bool widen_star() {
    if (!star_ || star_->text.empty() || star_->text[0] == '/') return false;
    star_->text.remove_prefix(1);
    go_to(*star_, false);
    return true;
  }
  bool widen_cross() {
    if (!cross_) return false;
    const size_t slash = cross_->text.find('/');
    if (slash == std::string_view::npos) return false;
    cross_->text.remove_prefix(slash + 1);
    star_.reset();
    go_to(*cross_, true);
    return true;
  }
  void go_to(const Place& place, bool part_begins) {
    pattern_ = place.pattern;
    text_ = place.text;
    part_begins_ = part_begins;
  }

  std::string_view pattern_, text_;
  bool part_begins_ = true;
  std::optional<Place> star_, cross_;  // what follows them, and where it was tried last
};

}  // namespace

bool has_wildcard(std::string_view text) { return text.find_first_of("*?[\\") != std::string_view::npos; }

bool glob_matches(std::string_view pattern, std::string_view text) { return Matching(pattern, text).run(); }

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
